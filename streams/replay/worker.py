"""Carry a replay out: read what is chosen, mark it, write it at its rate, and write down how far it is.

Theory of operation. Progress is saved only when everything before it is confirmed by Kafka. Who is killed and resumed
writes some records again; their lanes know them by (tenant, source, id, replay) and count them as duplicates. No more
than `IN_FLIGHT_MAX` records are ahead of the lanes, so that live signals never wait behind more than those.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition

from processors.directives.kinds.replay import FINISH, START
from processors.directives.record import unpack as unpack_directive
from processors.ingest.replay import WHAT_CHARACTERS_MAX, Standing, replays_key, unpack
from processors.vocabulary import topics as names
from processors.vocabulary.marking import marked
from processors.vocabulary.partition import lane_of
from processors.vocabulary.signal import Signal
from streams.changelog import Changelog, committed_consumer, open_changelog
from streams.clock import wall_ms
from streams.replay.directing import Ask, direct, why_not
from streams.replay.follower import Follower
from streams.replay.job import Job, Status
from streams.replay.lease import held
from streams.replay.selection import Chooser, Skipped
from streams.replay.store import ReplayStore, confirmed_producer
from streams.settings import KafkaSettings
from streams.topics import TopicNames

IN_FLIGHT_MAX: Final = 1_000
"""Records written and not yet stepped by their lanes, and as many that wait in the lanes' queues of this replay."""
UNCONFIRMED_MAX: Final = 200
FETCH_RECORDS_MAX: Final = 500
SAVE_SECONDS: Final = 1.0
NAP_SECONDS_MAX: Final = 0.25
LOOK_MS: Final = 100
STALLED_SECONDS_MAX: Final = 120.0


class StalledError(Exception):
    """Lanes do not step what was written."""


class GoneError(Exception):
    """The replay cannot go on; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Ground:
    """The cluster that a replay works on."""

    kafka: KafkaSettings
    topics: TopicNames
    lanes: int

    @property
    def store(self) -> ReplayStore:
        """Where replays are written down."""
        return ReplayStore(self.kafka, self.topics, self.lanes)


def start_ask(job: Job, tenant: str, what: str = "") -> Ask:
    """Return the directive that lets a tenant's lane know the replay."""
    data = {
        "replay": job.id,
        "rate_per_second": job.rate_per_second,
        "lasts_ms": job.lasts_ms,
        "redrive": job.kind == "redrive",
        "what": (what or job.selection.words())[:WHAT_CHARACTERS_MAX],
    }
    return Ask(tenant, START, data, f"replay/{job.id}/start")


def finish_ask(job: Job, tenant: str) -> Ask:
    """Return the directive that ends it."""
    counts = {"read": job.read, "chosen": job.chosen, "written": job.written}
    stopped = job.status is Status.STOPPED
    return Ask(tenant, FINISH, {"replay": job.id, "stopped": stopped, **counts}, f"replay/{job.id}/finish")


@dataclass(slots=True)
class ReplayWorker:
    """Runs one replay in this process, from where it stands to its end."""

    ground: Ground
    job: Job
    tell: Callable[[Job], None]
    """Called now and then, and at the end."""
    _unconfirmed: list[tuple[int, "asyncio.Future[Any]"]] = field(default_factory=list)
    _in_flight: dict[int, deque[int]] = field(default_factory=dict)
    """Lane → offsets written there that it has not stepped."""
    _reached: dict[int, int] = field(default_factory=dict)
    _began: float = 0.0
    _sent: int = 0
    _ahead: int = 0
    """Records that the lanes had not stepped, or kept waiting, when they were looked at last."""
    _saved: float = 0.0

    async def run(self) -> Job:
        """Run to the end, or until somebody asks to stop.

        Raises `HeldError`, `StalledError`, `GoneError` or `KafkaAwayError`.
        """
        ground, job = self.ground, self.job
        async with AsyncExitStack() as stack:
            producer = await stack.enter_async_context(confirmed_producer(ground.kafka))
            await stack.enter_async_context(held(ground.store, producer, job.id))
            reader = await stack.enter_async_context(committed_consumer(ground.kafka))
            follower = Follower(
                await stack.enter_async_context(committed_consumer(ground.kafka)), ground.topics, self._lanes()
            )
            await ground.store.ask_stop(producer, job.id, wanted=False)
            follower.watch_stop(job.id, ground.store.partition(job.id))
            follower.watch(replays_key(tenant) for tenant in job.tenants)
            await follower.begin()
            await self._start(producer, follower)
            await self._save(producer)
            await self._write(producer, reader, follower)
            await self._until_stepped(follower, 0)
            job.status = Status.STOPPED if follower.stopping() else Status.COMPLETED
            await self._finish(producer, follower)
            await self._save(producer)
            await ground.store.sweep(producer)
            return job

    def _lanes(self) -> list[int]:
        return sorted({lane_of(tenant.encode(), self.ground.lanes) for tenant in self.job.tenants})

    async def _start(self, producer: AIOKafkaProducer, follower: Follower) -> None:
        """See to it that each tenant's lane knows the replay, and knows it as running."""
        ground, job = self.ground, self.job
        fresh = [tenant for tenant, why in job.tenants.items() if not why]
        if job.updated_ms:
            fresh = await self._not_started(fresh)
        answers = await direct(
            producer, follower, ground.topics, ground.lanes, [start_ask(job, tenant) for tenant in fresh]
        )
        job.tenants.update(answers)

    async def _not_started(self, tenants: list[str]) -> list[str]:
        """Return whose lane has not met the start yet, and refuse to go on where the replay is over."""
        found = []
        async with open_changelog(self.ground.kafka, self.ground.topics, self.ground.lanes) as changelog:
            for tenant in tenants:
                known = await _known(changelog, self.ground.lanes, self.job, tenant)
                if known is None:
                    found.append(tenant)
                elif known:
                    self.job.tenants[tenant] = known
        return found

    async def _write(self, producer: AIOKafkaProducer, reader: AIOKafkaConsumer, follower: Follower) -> None:
        """Read all ranges side by side, and write what is chosen."""
        job, topic = self.job, self.ground.topics.physical(self.job.selection.topic)
        left = {TopicPartition(topic, lane): end for lane, end in job.ends.items() if job.next[lane] < end}
        self._reached = dict(job.next)
        self._began, self._sent = time.monotonic(), 0
        chooser = Chooser(job.selection, self.ground.lanes)
        if not left:
            return
        reader.assign(list(left))
        await self._look_for_gaps(reader)
        for partition in left:
            reader.seek(partition, job.next[partition.partition])
        while left and not follower.stopping():
            found = await reader.getmany(*left, timeout_ms=LOOK_MS, max_records=FETCH_RECORDS_MAX)
            for partition, records in found.items():
                await self._take_all(producer, follower, chooser, [r for r in records if r.offset < left[partition]])
            await self._confirm()
            if follower.stopping():
                return
            for partition in list(left):
                # Markers stand between records: the position says more than the last record.
                position = min(await reader.position(partition), left[partition])
                job.next[partition.partition] = self._reached[partition.partition] = position
                if position >= left[partition]:
                    reader.pause(partition)
                    del left[partition]
            await self._tick(producer, follower)

    async def _take_all(
        self, producer: AIOKafkaProducer, follower: Follower, chooser: Chooser, records: list[Any]
    ) -> None:
        """Take records of one lane, until somebody asks to stop."""
        for record in records:
            await self._take(producer, follower, chooser, record)
            if follower.stopping():
                return

    async def _look_for_gaps(self, reader: AIOKafkaConsumer) -> None:
        """Say where retention was faster than the replay."""
        job = self.job
        for partition, least in (await reader.beginning_offsets(list(reader.assignment()))).items():
            lane = partition.partition
            if job.begins[lane] <= job.next[lane] < least:
                gap = f"lane {lane}: offsets {job.next[lane]} to {least - 1} went (retention) before they were replayed"
                job.approximate.append(gap)
                job.next[lane] = self._reached[lane] = min(least, job.ends[lane])

    async def _take(self, producer: AIOKafkaProducer, follower: Follower, chooser: Chooser, record: Any) -> None:
        """Write one record again if it is chosen, when its turn has come."""
        job = self.job
        signal = chooser.choose(record)
        if isinstance(signal, Skipped):
            job.read += 1
            job.skip(signal.why)
        elif job.tenants.get(signal.tenant, "unknown when it was planned"):
            job.read += 1
            job.skip("refused")
        else:
            await self._pace(producer, follower)
            if follower.stopping():
                return
            await self._send(producer, record, signal)
            job.read += 1
            job.chosen += 1
        self._reached[record.partition] = record.offset + 1
        if len(self._unconfirmed) >= UNCONFIRMED_MAX:
            await self._confirm()
            await self._tick(producer, follower)

    async def _send(self, producer: AIOKafkaProducer, record: Any, signal: Signal) -> None:
        tenant = signal.tenant.encode()
        lane = lane_of(tenant, self.ground.lanes)
        value, headers = marked(signal, self.job.selection.topic, record, self.job.id)
        sent = await producer.send(
            self.ground.topics.physical(names.SIGNALS_IN), value, key=tenant, partition=lane, headers=headers
        )
        self._unconfirmed.append((lane, sent))
        self._sent += 1

    async def _pace(self, producer: AIOKafkaProducer, follower: Follower) -> None:
        """Wait until the rate allows one more, and the lanes are near enough."""
        rate = self.job.rate_per_second
        while not follower.stopping():
            due = self._began + (self._sent - max(1.0, rate / 10)) / rate
            nap = due - time.monotonic()
            if nap <= 0:
                break
            await self._confirm()
            await self._tick(producer, follower)
            await asyncio.sleep(min(nap, NAP_SECONDS_MAX))
        if self._ahead + len(self._unconfirmed) >= IN_FLIGHT_MAX:
            await self._confirm()
            await self._until_stepped(follower, IN_FLIGHT_MAX // 2)
            # What was not sent meanwhile is not made up for in a burst.
            self._began, self._sent = time.monotonic(), 0

    def _count_ahead(self, follower: Follower) -> int:
        """Return how many records the lanes have not stepped, or keep waiting in this replay's queues."""
        waiting = 0
        for lane, offsets in self._in_flight.items():
            applied = follower.applied_of(lane, names.SIGNALS_IN)
            while offsets and offsets[0] < applied:
                offsets.popleft()
            waiting += len(offsets)
        for tenant in self.job.tenants:
            replay = unpack(follower.values.get(replays_key(tenant))).get(self.job.id)
            if replay is not None:
                waiting += replay.account.queued
                if replay.standing is not Standing.RUNNING and not follower.stopping():
                    raise GoneError(_ended(self.job, tenant, replay.standing))
        self._ahead = waiting
        return waiting

    async def _until_stepped(self, follower: Follower, most: int) -> None:
        """Wait until the lanes have stepped all but so many."""
        until, before = time.monotonic() + STALLED_SECONDS_MAX, self._count_ahead(follower)
        while (ahead := self._count_ahead(follower)) > most:
            if follower.stopping() and not most and not any(self._in_flight.values()):
                # What waits in a queue goes on by itself.
                return
            if ahead < before:
                until, before = time.monotonic() + STALLED_SECONDS_MAX, ahead
            if time.monotonic() > until:
                message = (
                    f"{ahead} records are written, and none was stepped for {STALLED_SECONDS_MAX:g} s; see whether "
                    "workers run (`hopline topics`) and no tenant is held (`hopline directives`), "
                    f"then `hopline replay resume {self.job.id}`"
                )
                raise StalledError(message)
            await follower.look(LOOK_MS)

    async def _confirm(self) -> None:
        """Wait until Kafka has all that was written; then progress may be said."""
        if self._unconfirmed:
            written = await asyncio.gather(*(sent for _, sent in self._unconfirmed))
            for (lane, _), metadata in zip(self._unconfirmed, written, strict=True):
                self._in_flight.setdefault(lane, deque()).append(metadata.offset)
            self.job.written += len(written)
            self._unconfirmed.clear()
        self.job.next.update(self._reached)

    async def _tick(self, producer: AIOKafkaProducer, follower: Follower) -> None:
        """Look what the lanes do, and save now and then. Everything is confirmed."""
        await follower.look()
        self._count_ahead(follower)
        if time.monotonic() - self._saved >= SAVE_SECONDS:
            await self._save(producer)

    async def _save(self, producer: AIOKafkaProducer) -> None:
        self._saved = time.monotonic()
        self.job.updated_ms = wall_ms()
        await self.ground.store.save(producer, self.job)
        self.tell(self.job)

    async def _finish(self, producer: AIOKafkaProducer, follower: Follower) -> None:
        """End the replay in each lane, and take in what they have counted."""
        ground, job = self.ground, self.job
        begun = [tenant for tenant, why in job.tenants.items() if not why]
        ended = await direct(
            producer, follower, ground.topics, ground.lanes, [finish_ask(job, tenant) for tenant in begun]
        )
        for tenant, why in ended.items():
            if why:
                job.approximate.append(f"tenant {tenant}: {why}")
        job.outcome = counted(job.id, begun, follower.values)


def counted(replay_id: str, tenants: list[str], values: Mapping[bytes, bytes | None]) -> dict[str, int]:
    """Return what the lanes say has become of a replay's records."""
    total = {"handled": 0, "duplicates": 0, "set_aside": 0, "waiting": 0}
    for tenant in tenants:
        replay = unpack(values.get(replays_key(tenant))).get(replay_id)
        if replay is not None:
            total["handled"] += replay.account.handled
            total["duplicates"] += replay.account.duplicates
            total["set_aside"] += replay.account.dead
            total["waiting"] += replay.account.queued
    return total


def _ended(job: Job, tenant: str, standing: str) -> str:
    return f"the replay {job.id} has ended for tenant {tenant} ({standing}); start another one for what is left"


async def _known(changelog: Changelog, lanes: int, job: Job, tenant: str) -> str | None:
    """Return None if the lane has not met the start, why it was refused, or nothing if the replay runs."""
    key = start_ask(job, tenant).state_key
    found = await changelog.newest(lane_of(tenant.encode(), lanes), (key, replays_key(tenant)))
    if key not in found:
        return None
    refused = why_not(unpack_directive(found[key]))
    if refused:
        return refused
    replay = unpack(found.get(replays_key(tenant))).get(job.id)
    if replay is None or replay.standing is not Standing.RUNNING or replay.ends_ms <= wall_ms():
        standing = "forgotten" if replay is None else str(replay.standing)
        raise GoneError(_ended(job, tenant, standing))
    return ""
