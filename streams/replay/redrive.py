"""Redrive dead letters: each goes through the door again as it came, and what becomes of it is waited for.

A dead letter stays where it is. That it was redriven, and what came of it, is kept in the topic `replays`. A record
that the door can tell whose it is goes as part of a replay of its own, whose lane counts it as seen in live traffic,
too: what was handled meanwhile is a duplicate. One that cannot be read goes as it came.
"""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition

from processors.directives.hop import SOURCE as DIRECTIVES_SOURCE
from processors.ingest.replay import replays_key, unpack
from processors.ingest.tenant import HOP
from processors.vocabulary import envelope, topics
from processors.vocabulary import headers as names
from processors.vocabulary.marking import marked
from processors.vocabulary.partition import lane_of
from processors.vocabulary.record import Header
from processors.vocabulary.signal import Signal, attributes, data_of
from streams.changelog import committed_consumer, read_range
from streams.clock import wall_ms
from streams.replay.directing import direct
from streams.replay.follower import Follower
from streams.replay.job import Job, Status
from streams.replay.letters import Letter, letter_of, text
from streams.replay.selection import Selection
from streams.replay.store import Mark, confirmed_producer
from streams.replay.worker import Ground, counted, finish_ask, start_ask

BATCH_MAX: Final = 200
LETTERS_MAX: Final = 2_000
LETTERS_BYTES_MAX: Final = 128 * 1_048_576
"""Of one redrive: they are in memory."""
LASTS_MS: Final = 3_600_000
OUTCOME_SECONDS_MAX: Final = 30.0
LOOK_MS: Final = 100
_COMMANDS: Final = frozenset({topics.COMMANDS, topics.DIRECTIVES})


class Result(StrEnum):
    """What came of one dead letter."""

    REDRIVEN = "redriven"
    WOULD_BE = "would_be_redriven"
    """In a dry run, which writes nothing."""
    DEAD_AGAIN = "dead_again"
    DUPLICATE = "duplicate"
    """It was handled before: live, or by another redrive."""
    ALREADY = "already_redriven"
    GONE = "gone"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    """Written, and not met in time."""


@dataclass(slots=True)
class Item:
    """One dead letter on its way."""

    id: str
    letter: Letter | None
    result: Result = Result.UNKNOWN
    detail: str = ""
    edited: tuple[str, ...] = ()
    """What of it is not as it came: `letter` is a changed copy."""
    job: Job | None = None
    topic: str = ""
    lane: int = 0
    offset: int = -1

    @property
    def open(self) -> bool:
        """Whether it is still to be written."""
        return self.letter is not None and self.result is Result.UNKNOWN

    def end(self, result: Result, detail: str = "") -> None:
        """Say what came of it."""
        self.result, self.detail = result, detail

    def shown(self) -> dict[str, Any]:
        """Return what people and programs see of it."""
        known = {"tenant": self.letter.tenant, "reason": self.letter.reason} if self.letter else {}
        changed = {"edited": list(self.edited)} if self.edited else {}
        return {"id": self.id, "result": self.result.value, "detail": self.detail, **known, **changed}

    def outcome(self) -> str:
        """Return what its mark says."""
        changed = f"edited: {', '.join(self.edited)}" if self.edited else ""
        return " ".join(part for part in (self.result.value, self.detail, changed) if part)


@dataclass(slots=True)
class Redrive:
    """One redrive of some dead letters."""

    ground: Ground
    id: str
    rate_per_second: float
    what: str
    items: list[Item]
    again: bool = False
    jobs: dict[str, Job] = field(default_factory=dict)

    async def plan(self) -> None:
        """Settle what needs no writing: what is gone, and what was redriven before."""
        marks = await self.ground.store.marks()
        for item in self.items:
            mark = marks.get(item.id)
            if item.letter is None:
                item.end(Result.GONE, "no dead letter has this id, or retention took it")
            elif mark is not None and not self.again:
                item.end(Result.ALREADY, f"by {mark.replay}: {mark.outcome}; --again does it once more")
            elif item.letter.original.key is None and item.letter.original.value is None:
                item.end(Result.REFUSED, "it has neither key nor value, so that there is nothing to send")
            else:
                self._place(item, item.letter)

    def pretend(self) -> None:
        """Say what would be written, instead of writing it."""
        for item in self.items:
            if item.open:
                item.end(Result.WOULD_BE)

    def _place(self, item: Item, letter: Letter) -> None:
        """Decide where it goes, and as part of which replay."""
        original, signal = letter.original, letter.signal
        item.topic = topics.COMMANDS if original.topic in _COMMANDS else topics.SIGNALS_IN
        if signal is None:
            item.lane = original.partition if original.partition < self.ground.lanes else 0
            return
        item.lane = lane_of(signal.tenant.encode(), self.ground.lanes)
        if item.topic == topics.COMMANDS:
            return
        # What a later hop has set aside was let in before: its id counts as seen, and must not stand in its way.
        at_door = letter.hop in {"", HOP}
        job_id = self.id if at_door else f"{self.id}-later"
        job = self.jobs.get(job_id)
        if job is None:
            selection = Selection(topic=topics.DEAD_LETTERS)
            kind = "redrive" if at_door else "replay"
            job = Job(job_id, selection, self.rate_per_second, LASTS_MS, kind=kind)
            self.jobs[job_id] = job
        job.tenants.setdefault(signal.tenant, "")
        item.job = job

    async def run(self) -> None:
        """Write what is left, and see what comes of it."""
        ground = self.ground
        async with AsyncExitStack() as stack:
            producer = await stack.enter_async_context(confirmed_producer(ground.kafka))
            reader = await stack.enter_async_context(committed_consumer(ground.kafka))
            watcher = await stack.enter_async_context(committed_consumer(ground.kafka))
            lanes = sorted({item.lane for item in self.items if item.open})
            follower = Follower(watcher, ground.topics, lanes)
            await follower.begin()
            await self._start(producer, follower)
            wanted = [item for item in self.items if item.open]
            began, sent = time.monotonic(), 0
            # So few that their lanes can step them, at the rate, before the wait for their outcome is over.
            most = max(1, min(BATCH_MAX, int(self.rate_per_second * OUTCOME_SECONDS_MAX / 4)))
            for at in range(0, len(wanted), most):
                batch = wanted[at : at + most]
                await asyncio.sleep(max(0.0, began + sent / self.rate_per_second - time.monotonic()))
                await self._write(producer, reader, follower, batch)
                sent += len(batch)
            await self._finish(producer, follower)

    async def _start(self, producer: AIOKafkaProducer, follower: Follower) -> None:
        """Let the lanes know; whose lane refuses is not redriven."""
        for job in self.jobs.values():
            job.started_ms = job.updated_ms = wall_ms()
            follower.watch(replays_key(tenant) for tenant in job.tenants)
            asks = [start_ask(job, tenant, self.what) for tenant in job.tenants]
            job.tenants.update(await direct(producer, follower, self.ground.topics, self.ground.lanes, asks))
            job.expected = sum(item.job is job for item in self.items)
            await self.ground.store.save(producer, job)
        for item in self.items:
            tenant = item.letter.tenant if item.letter else ""
            if item.open and item.job is not None and (why := item.job.tenants.get(tenant, "")):
                item.end(Result.REFUSED, why)

    async def _write(
        self, producer: AIOKafkaProducer, reader: AIOKafkaConsumer, follower: Follower, batch: Sequence[Item]
    ) -> None:
        """Write some, wait until their lanes have stepped them, and tell what came of each."""
        lanes = {item.lane for item in batch}
        outputs = [
            TopicPartition(self.ground.topics.physical(topic), lane)
            for topic in (topics.SIGNALS, topics.DEAD_LETTERS)
            for lane in lanes
        ]
        reader.assign(outputs)
        begins = dict(await reader.end_offsets(outputs))
        sent = []
        for item, letter in ((item, item.letter) for item in batch if item.letter is not None):
            value, headers = self._again(item, letter)
            physical, key = self.ground.topics.physical(item.topic), letter.original.key
            sent.append(await producer.send(physical, value, key=key, partition=item.lane, headers=headers))
        for item, metadata in zip(batch, await asyncio.gather(*sent), strict=True):
            item.offset = metadata.offset
            if item.job is not None:
                item.job.read += 1
                item.job.chosen += 1
                item.job.written += 1
        await self._until_stepped(follower, batch)
        reader.assign(outputs)
        ends = dict(await reader.end_offsets(outputs))
        for at in outputs:
            reader.assign([at])
            async for records in read_range(reader, at, begins[at], ends[at]):
                for record in records:
                    self._tell(self.ground.topics.logical(at.topic), record, batch)
        for item in batch:
            if (
                item.open
                and follower.applied_of(item.lane, item.topic) > item.offset
                and not self._waits(follower, item)
            ):
                item.end(Result.DUPLICATE, "it was handled before")
            elif item.open:
                item.detail = f"written to {item.topic} {item.lane}/{item.offset}, and not met in time"
        now_ms = wall_ms()
        marks = [(item.id, Mark(self.id, now_ms, item.outcome())) for item in batch]
        await self.ground.store.mark(producer, marks)

    def _again(self, item: Item, letter: Letter) -> tuple[bytes | None, list[Header]]:
        """Return the record as it came, marked."""
        original = letter.original
        if letter.signal is None or item.job is None:
            value = original.value
            headers: list[Header] = [header for header in original.headers if header[0] not in names.OURS]
        else:
            value, headers = marked(letter.signal, original.topic, original, item.job.id)
        return value, [*headers, (names.REDRIVEN, item.id.encode())]

    async def _until_stepped(self, follower: Follower, batch: Sequence[Item]) -> None:
        until = time.monotonic() + OUTCOME_SECONDS_MAX
        while time.monotonic() < until:
            if all(
                follower.applied_of(item.lane, item.topic) > item.offset and not self._waits(follower, item)
                for item in batch
            ):
                return
            await follower.look(LOOK_MS)

    def _waits(self, follower: Follower, item: Item) -> bool:
        """Tell whether the lane may have it in the queue of its replay."""
        if item.job is None or item.letter is None:
            return False
        replay = unpack(follower.values.get(replays_key(item.letter.tenant))).get(item.job.id)
        return replay is not None and replay.account.queued > 0

    def _tell(self, topic: str, record: Any, batch: Sequence[Item]) -> None:
        """See whether a record that the lane has written says what came of one of them."""
        if topic == topics.DEAD_LETTERS:
            letter = letter_of(record)
            for item in batch:
                if letter.redrive_of == item.id and item.open:
                    item.end(Result.DEAD_AGAIN, f"{letter.reason} ({letter.id})")
            return
        headers = dict(record.headers)
        if names.REPLAYED in headers:
            signal = envelope.decode(record, reserved_ok=True)
            job_id = text(headers[names.REPLAYED])
            mine = (item for item in batch if item.open and item.job is not None and item.job.id == job_id)
            # One signal is one of them: another dead letter of its id is a duplicate.
            found = next((item for item in mine if isinstance(signal, Signal) and _same(item, signal)), None)
            if found is not None:
                found.end(Result.REDRIVEN)
        elif names.BY in headers:
            self._tell_directive(record, batch)

    def _tell_directive(self, record: Any, batch: Sequence[Item]) -> None:
        signal = envelope.decode(record, reserved_ok=True)
        if not isinstance(signal, Signal) or signal.source != DIRECTIVES_SOURCE:
            return
        cause = attributes(signal).get("causationid")
        for item in batch:
            own = item.letter.signal if item.letter else None
            if item.open and item.topic == topics.COMMANDS and own is not None and own.id == cause:
                data = json.loads(data_of(signal) or b"{}")
                item.end(Result.REDRIVEN, f"{data.get('status')} {data.get('error')}".strip())
                return

    async def _finish(self, producer: AIOKafkaProducer, follower: Follower) -> None:
        for job in self.jobs.values():
            begun = [tenant for tenant, why in job.tenants.items() if not why]
            asks = [finish_ask(job, tenant) for tenant in begun]
            await direct(producer, follower, self.ground.topics, self.ground.lanes, asks)
            job.outcome = counted(job.id, begun, follower.values)
            job.status, job.updated_ms = Status.COMPLETED, wall_ms()
            await self.ground.store.save(producer, job)
        await self.ground.store.sweep(producer)


def _same(item: Item, signal: Signal) -> bool:
    own = item.letter.signal if item.letter else None
    if own is None:
        return False
    return (own.tenant, own.source) == (signal.tenant, signal.source) and own.id in {"", signal.id}


def tally(items: Sequence[Item]) -> Mapping[str, int]:
    """Return how many ended how."""
    found: dict[str, int] = {}
    for item in items:
        found[item.result.value] = found.get(item.result.value, 0) + 1
    return found
