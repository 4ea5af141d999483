"""Own one lane: take it over in the right order, step its batches, commit each, survive what a hop does.

Theory of operation. Taking over: start the transactional producer (fences the old owner, ends its open
transaction), read the committed offsets *after* that, restore the state up to the changelog's last stable
offset, seek to what the restored state says it has applied, and only then take input. A record below the
applied offset is dropped: the client may have fetched it earlier.

A turn: fetch, step in an overlay, commit in one transaction, then put the same changes into the local
store. Whatever fails after the transaction began leaves its outcome unknown: the owner is of no use any
more, and its successor reads the outcome from the changelog.

A hop that fails on a batch meets its records one by one, and the culprit is set aside. A hop that kills
its process is found by marks: the first batch after a take-over is announced in the changelog, so an
owner that finds the announcement steps records one by one and announces each, and the one whose
announcement survives its owner is set aside unseen.
"""

import logging
import traceback
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar

from processors import lane, position
from processors.lane import Batch, Commit, LaneSettings
from processors.position import POSITION_KEY, Position
from processors.sizing import Sizing
from processors.step import STACK_CHARACTERS_MAX, CulpritError, Verdict, Warm
from processors.vocabulary.reasons import Reason
from processors.vocabulary.record import Record
from streams import logs
from streams.lanes.ports import Agents, Clocks, Kafka, LaneStore, Observer, Reader, Took, Writer

log = logging.getLogger(__name__)

IDLE_WAIT_MS: Final = 500
OFFSETS_EVERY_MS: Final = 1_000
"""How often the group hears of a lane's offsets. It costs a transaction a third of its time (ADR 8)."""
OWNERS_MAX: Final = 3
"""Owners that a record may have had when they ended. One may have ended for another reason."""
SUSPICIOUS_TAKEOVERS: Final = 2
"""Owners that ended in their first batch before records are met singly: one is chance, a broker's outage say."""
CULPRITS_MAX: Final = 100
"""Deferred records set aside in one go because releasing them fails."""
TICK_PAUSE_MS: Final = 60_000
"""How long a lane goes on without ticks after one failed, so that its records still flow."""


class LaneOwner:
    """One ownership of one lane: never used again after an error."""

    def __init__(
        self,
        settings: LaneSettings,
        *,
        kafka: Kafka,
        store: LaneStore,
        agents: Agents,
        clocks: Clocks,
        observer: Observer,
        alone: Callable[[], AbstractAsyncContextManager[object]] = nullcontext,
    ) -> None:
        self.settings = settings
        self.position = Position()
        self.sizing = Sizing()
        self.due_ms: int | None = 0
        self.stepped_ms = 0
        """When the newest record that has been committed was written to the log."""
        self.in_flight = False
        self._kafka = kafka
        self._store = store
        self._agents = agents
        self._clocks = clocks
        self._observer = observer
        self._alone = alone
        self._writer: Writer | None = None
        self._reader: Reader | None = None
        self._announced: set[str] = set()
        self._unproven = set(settings.inputs)
        self._hops_ms: dict[str, float] = {}
        self._polled_ms = 0.0
        self._at_hop = ""
        """The hop whose work was begun last."""
        self._told: Mapping[str, int] = {}
        self._told_ms = clocks.steady_ms()
        self._warm: Warm = {}
        self._verdicts: dict[tuple[str, int], Verdict] = {}
        self._no_ticks_until_ms = 0.0

    async def take_over(self) -> None:
        """Take the lane. After this every older owner can commit no more."""
        number = self.settings.lane
        self._writer = await self._kafka.fence(number)
        # After the fence, for before it the old owner could still commit.
        committed = await self._kafka.committed(number)
        await self._restore()
        self.position = self._restored_position(committed)
        self._reader = await self._kafka.read(number, self.position.applied)
        self._verdicts = {
            (topic, offset): Verdict(Reason.STUCK)
            for topic, (offset, owners) in self.position.attempting.items()
            if owners >= OWNERS_MAX
        }

    async def _restore(self) -> None:
        number = self.settings.lane
        start = self._store.changelog_offset()
        if start is None:
            self._store.clear()
        async for batch in self._kafka.changelog(number, start):
            if batch.restart:
                self._store.clear()
            self._store.apply(batch.changes, batch.next_offset)
            self._observer.restored(number, batch.next_offset, batch.end_offset)

    def _restored_position(self, committed: Mapping[str, int]) -> Position:
        packed = self._store.get_many((POSITION_KEY,))[0]
        # What the state says it has applied is the truth; the group's offsets may have expired.
        return Position(applied=committed) if packed is None else position.unpack(packed)

    async def turn(self) -> int:
        """Step one batch, if there is one; return how many records were in it."""
        reader = _there(self._reader)
        asked_ms = self._clocks.steady_ms()
        fetched = await reader.fetch(self.sizing.records_max, self._wait_ms())
        self._polled_ms = self._clocks.steady_ms() - asked_ms
        self._calm_down(reader.positions(), fetched)
        batch = self._batch_of(fetched, reader.positions())
        count = sum(map(len, batch.records.values()))
        if count == 0 and not self._is_due():
            if self._offsets_due():
                await self._mark(self.position)
            return 0
        if not self._announced.issuperset(batch.records):
            await self._announce(batch)
        if count and self.position.careful:
            await self._one_by_one(batch)
            return count
        self.in_flight = True
        try:
            await self._turn(batch, count)
        finally:
            self.in_flight = False
        return count

    async def _turn(self, batch: Batch, count: int) -> None:
        began_ms = self._clocks.steady_ms()
        try:
            commit = await self._step(batch)
        except Exception as error:  # boundary: a hop's code may raise anything; its records are met singly
            self._observer.failed(self.settings.lane, self._at_hop, error)
            log.exception("lane %d: a hop failed on %d records", self.settings.lane, count)
            await self._one_by_one(batch)
            return
        if count == 0 and not commit.outputs and len(commit.changes) == 1:
            # Nothing was due after all; a commit would only say that there is nothing to say.
            self.due_ms = commit.due_ms if batch.ticks else 0
            self._warm = commit.warm
            return
        await self._commit(commit, batch, began_ms)
        self.sizing = self.sizing.after(count, sum(self._hops_ms.values()))

    def lag(self) -> Mapping[str, int]:
        """Return for each input how many records wait."""
        return self._reader.lag() if self._reader is not None else {}

    async def close(self) -> None:
        """Let go of the lane, whatever state it is in."""
        if self._reader is not None:
            await self._reader.close()
        if self._writer is not None:
            await self._writer.discard()

    def _wait_ms(self) -> int:
        if self.due_ms is None or not self._ticks():
            return IDLE_WAIT_MS
        return max(0, min(IDLE_WAIT_MS, self.due_ms - self._now_ms()))

    def _is_due(self) -> bool:
        return self.due_ms is not None and self.due_ms <= self._now_ms() and self._ticks()

    def _ticks(self) -> bool:
        # Not in careful mode, for a tick may be what kills.
        return not self.position.careful and self._clocks.steady_ms() >= self._no_ticks_until_ms

    def _now_ms(self) -> int:
        return lane.clock(self.position, self._clocks.wall_ms())

    def _batch_of(self, fetched: Mapping[str, Sequence[Record]], positions: Mapping[str, int]) -> Batch:
        """Drop what was applied already: the client may have fetched it before the seek."""
        applied = self.position.applied
        records = {}
        for topic, found in fetched.items():
            least = applied.get(topic, 0)
            fresh = found if found[0].offset >= least else [r for r in found if r.offset >= least]
            if fresh:
                records[topic] = fresh
        return Batch(
            records,
            {topic: positions[topic] for topic in records},
            {at: verdict for at, verdict in self._verdicts.items() if at[0] in records},
            ticks=self._ticks(),
        )

    def _calm_down(self, positions: Mapping[str, int], fetched: Container[str]) -> None:
        """Leave careful mode for a topic of which only markers were left: they are never fetched."""
        careful = self.position.careful
        if careful:
            rest = {t: n for t, n in careful.items() if t in fetched or positions.get(t, 0) < n}
            self.position = replace(self.position, careful=rest)

    async def _announce(self, batch: Batch) -> None:
        """Write down that an owner is about to step this lane's first batch, and whether it will with care.

        The first batch of each topic, for a record that kills may stand in one that is read later.
        """
        fresh = batch.records.keys() - self._announced
        found, careful = self.position, self.position.careful
        takeovers = found.takeovers if self._announced else found.takeovers + 1
        if takeovers > SUSPICIOUS_TAKEOVERS:
            careful = {**careful, **{topic: batch.next_offsets[topic] for topic in batch.records if topic in fresh}}
        if not self._announced or careful != found.careful:
            await self._mark(replace(found, takeovers=takeovers, careful=careful))
        self._announced |= fresh

    def _proven(self, commit: Commit, batch: Batch) -> Commit:
        """Forget earlier owners' ends once each topic has either been stepped or has nothing to step."""
        if not commit.position.takeovers:
            return commit
        lag = self.lag()
        self._unproven -= {topic for topic in self._unproven if topic in batch.records or lag.get(topic) == 0}
        return commit if self._unproven else self._at(commit, replace(commit.position, takeovers=0))

    def _at(self, commit: Commit, where: Position) -> Commit:
        """Return the commit with another position."""
        packed = position.pack(where, self.settings.write_format)
        return replace(commit, position=where, changes={**commit.changes, POSITION_KEY: packed})

    async def _mark(self, marked: Position) -> None:
        """Commit a position alone."""
        changes = {POSITION_KEY: position.pack(marked, self.settings.write_format)}
        commit = Commit(
            position=marked,
            outputs={},
            changes=changes,
            journal=b"",
            tally={},
            handled_ms=(),
            due_ms=self.due_ms,
            records=0,
            warm=self._warm,
        )
        await self._carry_out(commit)

    async def _step(self, batch: Batch) -> Commit:
        """Take a batch through the hops' agents. Nothing is changed by it."""
        self._hops_ms = {}
        # Handed over, and back by the commit that is carried out: a step that is dropped takes its changes along.
        warm, self._warm = self._warm, {}
        self._observer.began(self.settings.lane, {topic: len(found) for topic, found in batch.records.items()})
        step = lane.begin(self.settings, self.position, self._store, batch, self._now_ms(), warm)
        for hop, work in lane.stages(self.settings, self.position, step, batch):
            self._at_hop = hop
            await self._agents.call(hop, partial(self._timed, hop, work))
        return lane.finish(self.settings, self.position, step, batch)

    def _timed(self, hop: str, work: Callable[[], None]) -> None:
        """Work, and note how long: without the time in which the agent was busy with other lanes."""
        began_ms = self._clocks.steady_ms()
        work()
        self._hops_ms[hop] = self._hops_ms.get(hop, 0.0) + self._clocks.steady_ms() - began_ms

    async def _commit(self, commit: Commit, batch: Batch, began_ms: float) -> None:
        stepped_ms = self._clocks.steady_ms()
        await self._carry_out(self._proven(commit, batch))
        if not batch.ticks:
            # Without a tick nobody said when the next one is due.
            self.due_ms = 0
        for records in batch.records.values():
            self.stepped_ms = max(self.stepped_ms, records[-1].timestamp)
        committed_ms = self._clocks.steady_ms()
        self._observer.committed(
            self.settings.lane,
            commit,
            Took(stepped_ms - began_ms, committed_ms - stepped_ms, self._hops_ms, self._polled_ms),
        )

    def _offsets_due(self) -> bool:
        """Tell whether the group is to hear of our offsets: now and then, for the state has them in each commit."""
        if self._told == self.position.applied:
            return False
        return self._clocks.steady_ms() - self._told_ms >= OFFSETS_EVERY_MS

    async def _carry_out(self, commit: Commit) -> None:
        """One transaction, then the local store: a crash between them repeats, it never loses."""
        offsets = commit.position.applied if self._offsets_due() else {}
        end = await _there(self._writer).commit(commit, due=offsets)
        if offsets:
            self._told, self._told_ms = offsets, self._clocks.steady_ms()
        self._store.apply(commit.changes, end)
        self.position = commit.position
        self.due_ms = commit.due_ms
        self._warm = commit.warm

    async def _one_by_one(self, batch: Batch) -> None:
        """Step each record in a commit of its own; set aside the one that fails."""
        if self._ticks() and not await self._ticks_alone():
            self._no_ticks_until_ms = self._clocks.steady_ms() + TICK_PAUSE_MS
        flat = [(topic, record) for topic in self.settings.inputs for record in batch.records.get(topic, ())]
        last = {topic: records[-1].offset for topic, records in batch.records.items()}
        for topic, record in flat:
            at = (topic, record.offset)
            # The last one takes the offsets of the markers behind it along.
            after = batch.next_offsets[topic] if record.offset == last[topic] else record.offset + 1
            if self.position.careful and at not in self._verdicts:
                # One attempt at a time in this process: its death would be held against all of them.
                async with self._alone():
                    await self._attempt(topic, record.offset)
                    await self._singly(topic, record, after, None)
            else:
                await self._singly(topic, record, after, self._verdicts.get(at))

    async def _attempt(self, topic: str, offset: int) -> None:
        """Write down that an owner is about to step this very record."""
        before, owners = self.position.attempting.get(topic, (offset, 0))
        owners = owners + 1 if before == offset else 1
        attempting = {**self.position.attempting, topic: (offset, owners)}
        await self._mark(replace(self.position, attempting=attempting))

    async def _singly(self, topic: str, record: Record, after: int, verdict: Verdict | None) -> None:
        began_ms = self._clocks.steady_ms()
        alone = Batch({topic: (record,)}, {topic: after}, ticks=False)
        at = (topic, record.offset)
        if verdict is not None:
            alone = replace(alone, verdicts={at: verdict})
        try:
            commit = await self._step(alone)
        except Exception as error:  # boundary: this is the culprit; it is set aside with its stack
            with logs.about(record=f"{topic}/{record.partition}/{record.offset}"):
                log.warning("this record fails, and is set aside: %s", type(error).__name__)
            alone = replace(alone, verdicts={at: _bug(error)})
            commit = await self._step(alone)
        commit = self._calmer(commit, topic)
        await self._commit(commit, alone, began_ms)
        self._verdicts.pop(at, None)

    def _calmer(self, commit: Commit, topic: str) -> Commit:
        """Leave careful mode once all records that were there at the take-over are behind."""
        after = commit.position
        if not after.careful and not after.attempting:
            return commit
        rest = {t: n for t, n in after.careful.items() if after.applied.get(t, 0) < n}
        attempting = {t: at for t, at in after.attempting.items() if t != topic}
        return self._at(commit, replace(after, attempting=attempting, careful=rest))

    async def _ticks_alone(self) -> bool:
        """Tell whether a tick without records succeeds; what it fails on is set aside, if the hop can name it."""
        verdicts: dict[tuple[str, int], Verdict] = {}
        began_ms = self._clocks.steady_ms()
        while len(verdicts) < CULPRITS_MAX:
            batch = Batch(verdicts=dict(verdicts))
            try:
                commit = await self._step(batch)
            except CulpritError as error:
                verdicts[error.topic, error.offset] = _bug(error)
            except Exception:  # boundary: timers of a hop may fail, too; records must flow all the same
                log.exception("lane %d: its ticks fail and are paused", self.settings.lane)
                return False
            else:
                if verdicts:
                    await self._commit(commit, batch, began_ms)
                return True
        return False


def _bug(error: BaseException) -> Verdict:
    reason = Reason.TIMED_OUT if isinstance(error, TimeoutError) else Reason.BUG
    # What is raised may hold a secret, and dead letters are read by many.
    return Verdict(reason, logs.hidden("".join(traceback.format_exception(error)))[-STACK_CHARACTERS_MAX:])


_Thing = TypeVar("_Thing")


def _there(thing: _Thing | None) -> _Thing:
    if thing is None:
        message = "take_over() comes first"
        raise RuntimeError(message)
    return thing
