"""The lane owner's ports on the simulated cluster: each request can be lost, late, slow or unanswered.

Between any two requests, and between a request and its answer, other tasks run and processes die.
"""

import random
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

from processors.lane import Commit
from processors.step import Output
from processors.vocabulary import topics as names
from processors.vocabulary.record import Record
from streams.lanes.ports import LaneLostError, OutcomeUnknownError
from tests.simulation import faults
from tests.simulation.log import BusyError, Cluster, FencedError, InvalidStateError, Transaction
from tests.simulation.scheduler import Scheduler, sleep, switch

COMMIT_MS_MAX: Final = 15_000
FENCE_MS_MAX: Final = 30_000
SLOW_MS_MAX: Final = 8_000
FETCH_RECORDS_MAX: Final = 14
CHANGELOG_RECORDS_MAX: Final = 25
BUSY_MS: Final = 5

T = TypeVar("T")


@dataclass(slots=True)
class Network:
    """What goes wrong with requests, fetches and agents, and a count of everything that happens."""

    chance: random.Random
    shares: dict[str, float]
    """Of the times that something can go wrong: how many do, by kind (`faults.SHARES`)."""
    in_flight: list[Callable[[], None]] = field(default_factory=list)
    """Requests whose sender has given up, and which arrive all the same."""
    counts: dict[str, int] = field(default_factory=dict)

    def calm(self) -> None:
        """No more faults. What is in flight arrives still, and a reader's position may be lazy: that is no fault."""
        self.shares = {kind: share for kind, share in self.shares.items() if kind == faults.LAZY}

    def hit(self, kind: str) -> bool:
        """Tell whether this kind of fault strikes now, and count it."""
        share = self.shares.get(kind)
        if share and self.chance.random() < share:
            self.count(kind)
            return True
        return False

    def count(self, kind: str) -> None:
        """Count something that happened."""
        self.counts[kind] = self.counts.get(kind, 0) + 1


@dataclass(slots=True)
class SimulatedKafka:
    """See `streams.lanes.ports.Kafka`."""

    cluster: Cluster
    network: Network
    scheduler: Scheduler
    inputs: Sequence[str]

    async def request(self, send: Callable[[], T], *, late: Callable[[], object] | None = None) -> T:
        """Carry a request there and its answer back. `late` is what it does if it comes too late."""
        network = self.network
        await switch()
        if network.hit(faults.SLOW):
            await sleep(network.chance.randrange(SLOW_MS_MAX))
        if network.hit(faults.LOST):
            raise OutcomeUnknownError("the request was lost")
        if late is not None and network.hit(faults.LATE):
            network.in_flight.append(partial(_ignored, late))
            raise OutcomeUnknownError("no answer yet")
        try:
            answer = await self._sent(send)
        except FencedError as error:
            raise LaneLostError(str(error)) from error
        except InvalidStateError as error:
            raise OutcomeUnknownError(f"invalid state: {error}") from error
        if network.hit(faults.UNANSWERED):
            raise OutcomeUnknownError("the answer was lost")
        await switch()
        return answer

    async def _sent(self, send: Callable[[], T]) -> T:
        """Ask again for as long as the transaction before is not finished."""
        while True:
            try:
                return send()
            except BusyError:
                await sleep(BUSY_MS)

    async def fence(self, lane: int) -> "SimulatedWriter":
        """See `streams.lanes.ports.Kafka.fence`."""
        producer = f"lane-{lane}"
        epoch = await self.request(lambda: self.cluster.fence(producer), late=lambda: self.cluster.fence(producer))
        self.scheduler.note(f"lane {lane} fenced, epoch {epoch}")
        return SimulatedWriter(self, lane, producer, epoch)

    async def committed(self, lane: int) -> Mapping[str, int]:
        """See `streams.lanes.ports.Kafka.committed`."""
        return await self.request(lambda: self.group_offsets(lane))

    def group_offsets(self, lane: int) -> dict[str, int]:
        """Return the group's offsets of a lane now."""
        offsets = self.cluster.offsets
        return {topic: offsets[topic, lane] for topic in self.inputs if (topic, lane) in offsets}

    def changelog(self, lane: int, start: int | None) -> AsyncIterator["Part"]:
        """See `streams.lanes.ports.Kafka.changelog`."""
        return Changelog(self, lane, start)

    async def read(self, lane: int, start: Mapping[str, int]) -> "SimulatedReader":
        """See `streams.lanes.ports.Kafka.read`."""
        await switch()
        reader = SimulatedReader(self, lane, start)
        await switch()
        return reader


def _if_open(transaction: Transaction, send: Callable[[], object]) -> None:
    """Let a request take effect only within its own transaction, as Kafka 4 verifies it."""
    if transaction.commits is None:
        send()


def _ignored(late: Callable[[], object]) -> None:
    """Carry out a request whose sender does not wait any more."""
    try:
        late()
    except (FencedError, BusyError, InvalidStateError):
        return


@dataclass(frozen=True, slots=True)
class Part:
    """See `streams.lanes.ports.ChangelogBatch`."""

    changes: Mapping[bytes, bytes | None]
    next_offset: int
    end_offset: int
    restart: bool = False


class Changelog:
    """Reads a lane's changelog to its last stable offset, in parts of any size."""

    def __init__(self, kafka: SimulatedKafka, lane: int, start: int | None) -> None:
        self._kafka = kafka
        self._partition = kafka.cluster.partitions[names.STATE, lane]
        self._start = start
        self._at = 0
        self._end: int | None = None

    def __aiter__(self) -> "Changelog":
        return self

    async def __anext__(self) -> Part:
        kafka = self._kafka
        if self._end is None:
            self._end = await kafka.request(self._last)
            start = self._start
            self._at = start if start is not None and start <= self._end else 0
            if start is not None and self._at != start:
                return Part({}, self._at, self._end, restart=True)
        if self._at >= self._end:
            raise StopAsyncIteration
        limit = kafka.network.chance.randrange(1, CHANGELOG_RECORDS_MAX)
        found, after = await kafka.request(lambda: self._partition.read(self._at, limit))
        self._at = after
        return Part({record.key or b"": record.value for record in found}, after, self._end)

    def _last(self) -> int:
        return self._partition.stable


class SimulatedWriter:
    """See `streams.lanes.ports.Writer`."""

    def __init__(self, kafka: SimulatedKafka, lane: int, producer: str, epoch: int) -> None:
        self._kafka = kafka
        self._lane = lane
        self._producer = producer
        self._epoch = epoch
        self.busy = False

    @property
    def newest(self) -> bool:
        """Whether no other owner has fenced this one so far."""
        return self._kafka.cluster.epochs[self._producer] == self._epoch

    async def commit(self, commit: Commit, *, due: Mapping[str, int]) -> int:
        """See `streams.lanes.ports.Writer.commit`."""
        self.busy = True
        kafka, scheduler = self._kafka, self._kafka.scheduler
        deadline_ms = scheduler.now_ms + COMMIT_MS_MAX
        transaction = await kafka.request(self._begin)
        end = 0
        for send in self._requests(commit, due):
            end = max(end, await kafka.request(send, late=partial(_if_open, transaction, send)))
            if scheduler.now_ms > deadline_ms:
                raise OutcomeUnknownError("the transaction takes too long")
        await kafka.request(self._end, late=self._end)
        scheduler.note(f"lane {self._lane} committed {commit.position.sequence}: {commit.records} records")
        self.busy = False
        return end

    def _requests(self, commit: Commit, due: Mapping[str, int]) -> list[Callable[[], int]]:
        """Return the transaction's requests, in any order: they are under way side by side."""
        lane, now_ms = self._lane, commit.position.now_ms
        requests: list[Callable[[], int]] = [
            partial(self._produce, topic, target, outputs, now_ms)
            for (topic, target), outputs in commit.outputs.items()
        ]
        changes: list[Output] = [(key, value, []) for key, value in commit.changes.items()]
        # The changelog may go in two produce requests, as large ones do.
        half = self._kafka.network.chance.randrange(len(changes))
        parts = [part for part in (changes[:half], changes[half:]) if part]
        requests += [partial(self._produce, names.STATE, lane, part, now_ms) for part in parts]
        if commit.journal:
            entry: Output = (b"%d" % lane, commit.journal, [])
            requests.append(partial(self._produce, names.JOURNAL, lane, (entry,), now_ms))
        if due:
            requests.append(partial(self._add_offsets, {(topic, lane): offset for topic, offset in due.items()}))
        self._kafka.network.chance.shuffle(requests)
        return requests

    def _produce(self, topic: str, lane: int, outputs: Iterable[Output], now_ms: int) -> int:
        """Return the offset after the last record, if it is the changelog's."""
        end = self._kafka.cluster.produce(self._producer, self._epoch, topic, lane, outputs, now_ms)
        return end if topic == names.STATE else 0

    def _add_offsets(self, offsets: Mapping[tuple[str, int], int]) -> int:
        self._kafka.cluster.add_offsets(self._producer, self._epoch, offsets)
        return 0

    def _begin(self) -> Transaction:
        return self._kafka.cluster.begin(self._producer, self._epoch)

    def _end(self) -> None:
        self._kafka.cluster.end(self._producer, self._epoch, commits=True)

    async def discard(self) -> None:
        """See `streams.lanes.ports.Writer.discard`."""
        await switch()


class SimulatedReader:
    """See `streams.lanes.ports.Reader`. It may return what it had fetched before the seek."""

    def __init__(self, kafka: SimulatedKafka, lane: int, start: Mapping[str, int]) -> None:
        self._kafka = kafka
        self._lane = lane
        self._positions: dict[str, int] = {}
        network = kafka.network
        for topic in kafka.inputs:
            at = start.get(topic, 0)
            if at and network.hit(faults.STALE):
                at -= network.chance.randrange(1, min(at, FETCH_RECORDS_MAX) + 1)
            self._positions[topic] = at

    async def fetch(self, records_max: int, wait_ms: int) -> Mapping[str, Sequence[Record]]:
        """See `streams.lanes.ports.Reader.fetch`."""
        network = self._kafka.network
        await switch()
        if network.hit(faults.LOST):
            raise OutcomeUnknownError("the fetch was lost")
        found: dict[str, Sequence[Record]] = {}
        asked = [topic for topic in self._positions if network.chance.random() < 0.8]
        for topic in asked:
            limit = min(network.chance.randrange(1, FETCH_RECORDS_MAX), records_max)
            partition = self._kafka.cluster.partitions[topic, self._lane]
            records, after = partition.read(self._positions[topic], limit)
            if records:
                found[topic] = records
                records_max -= len(records)
                if network.hit(faults.LAZY):
                    after = records[-1].offset + 1
            self._positions[topic] = after
            if records_max <= 0:
                break
        if found:
            await switch()
        else:
            await sleep(wait_ms)
        return found

    def positions(self) -> Mapping[str, int]:
        """See `streams.lanes.ports.Reader.positions`."""
        return self._positions

    def lag(self) -> Mapping[str, int]:
        """See `streams.lanes.ports.Reader.lag`."""
        partitions = self._kafka.cluster.partitions
        return {topic: partitions[topic, self._lane].stable - at for topic, at in self._positions.items()}

    async def close(self) -> None:
        """See `streams.lanes.ports.Reader.close`."""
        await switch()
