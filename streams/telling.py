"""Tell a process's events and metrics to the topics `telemetry` and `metrics`: bounded, never in the way.

Whoever tells only puts something into a queue. A task of its own writes it, each `telemetry_seconds`; what Kafka does
not take in time is dropped and counted. (Events that belong to a commit are written in its transaction instead.)
"""

import asyncio
import logging
import socket
import time
from collections import deque
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from processors.telemetry import catalogue, event, events, samples
from processors.telemetry.event import Event, Told, told
from processors.telemetry.samples import Point, Sample
from processors.vocabulary import topics as names
from processors.vocabulary.partition import lane_of
from streams.clock import wall_ms
from streams.lanes.writer import stop_within
from streams.metrics import Metrics, Pairs
from streams.settings import KafkaSettings, Settings
from streams.tasks import ended

log = logging.getLogger(__name__)

WAITING_MAX: Final = 10_000
"""Events that wait for Kafka; the oldest make room."""
SOME_PER_SECOND: Final = 5
"""Events of one kind of which only a sample is told."""
START_SECONDS_MAX: Final = 10.0
SEND_SECONDS_MAX: Final = 5.0
CLOSE_SECONDS_MAX: Final = 3.0
AGAIN_SECONDS_MAX: Final = 30.0
_EXPECTED: Final = (KafkaError, OSError, TimeoutError, AssertionError)
"""aiokafka asserts that a topic has the partition that it is given: where topics do not fit the settings it has not."""


class Shares:
    """Which of many events are told: the first few of each second, each for as many as came since the last."""

    def __init__(self, per_second: int = SOME_PER_SECOND) -> None:
        self._per_second = per_second
        self._second: dict[str, int] = {}
        self._told: dict[str, int] = {}
        self._since: dict[str, int] = {}

    def one_in(self, name: str, now_seconds: float) -> int:
        """Return for how many the next one stands; 0 if it is not to be told. Names are those of the catalogue."""
        second = int(now_seconds)
        if self._second.get(name) != second:
            self._second[name], self._told[name] = second, 0
        since = self._since.get(name, 0) + 1
        if self._told[name] >= self._per_second:
            self._since[name] = since
            return 0
        self._told[name] += 1
        self._since[name] = 0
        return since


class Changes:
    """What has changed among a process's metrics since they were told last."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._last: dict[tuple[str, Pairs], float] = {}
        self._count = 0
        self.series = 0
        self.refused = 0
        """Series above the limit, the last time."""

    def forget(self) -> None:
        """What was told did not arrive: the next time all of it is told."""
        self._count = 0

    def next(self) -> tuple[bool, tuple[Point, ...]]:
        """Return whether these are all, and the points."""
        whole = self._count % samples.WHOLE_EVERY == 0
        self._count += 1
        last, found = self._last, []
        now: dict[tuple[str, Pairs], float] = {}
        refused = 0
        for name, labels, value in self._metrics.points():
            if len(now) >= samples.SERIES_MAX:
                refused += 1
                continue
            now[name, labels] = value
            if whole or last.get((name, labels)) != value:
                found.append(Point(name, tuple(sorted(labels)), value))
        # One that is gone is gone with the next whole sample; at once, if that is what this is.
        if len(now) < len(last) and not whole and not last.keys() <= now.keys():
            self._count = 0
        self._last, self.series, self.refused = now, len(now), refused
        return whole, tuple(found)


class Telling:
    """One process's voice. Start it, tell, close it; one event loop only. See `streams.telemetry.Tells`."""

    def __init__(self, settings: Settings, bootstrap: str, metrics: Metrics, *, job: str, port: int) -> None:
        self._settings = settings
        self._kafka: KafkaSettings = settings.cluster(bootstrap)
        self._job = job
        self.instance: Final = f"{socket.gethostname()}:{port}"
        """Which process this is, as Prometheus would name it."""
        self._changes = Changes(metrics)
        self._shares = Shares()
        self._waiting: deque[Told] = deque()
        self._lost = 0
        """Told to nobody since the last time that somebody could be told."""
        self._task: asyncio.Task[None] | None = None
        self._events = metrics.counter(catalogue.EVENTS)
        self._dropped = metrics.counter(catalogue.TELEMETRY_DROPPED).of()
        self._told_points = metrics.counter(catalogue.SAMPLES).of()
        self._series = metrics.gauge(catalogue.SERIES).of()
        metrics.gauge(catalogue.EVENTS_WAITING).of().set_function(lambda: len(self._waiting))

    def tell(self, one: Told) -> None:
        """See `Tells`."""
        if not self._settings.telemetry:
            return
        if len(self._waiting) >= WAITING_MAX:
            self._waiting.popleft()
            self._drop(1)
        self._waiting.append(msgspec.structs.replace(one, process=f"{self._job}@{self.instance}"))

    def sample(self, event: Event, make: Callable[[], Told]) -> None:
        """See `Tells`."""
        if not self._settings.telemetry:
            return
        one_in = self._shares.one_in(event.name, time.monotonic())
        if one_in:
            self.tell(msgspec.structs.replace(make(), one_in=float(one_in)))

    def _drop(self, count: int) -> None:
        self._dropped.inc(count)
        self._lost += count

    def start(self) -> None:
        """Begin to tell, in the background."""
        if self._settings.telemetry:
            self.tell(told(events.SYSTEM_STARTED, wall_ms(), {}, {"version": version("hopline")}))
            self._task = asyncio.create_task(self._run(), name="telling")

    async def close(self) -> None:
        """Tell what waits, and that the process leaves; bounded."""
        await ended(self._task)
        if self._task is None:
            return
        self.tell(told(events.SYSTEM_STOPPED, wall_ms()))
        producer = self._producer()
        try:
            async with asyncio.timeout(CLOSE_SECONDS_MAX):
                await producer.start()
                await self._round(producer, leaving=True)
        except _EXPECTED as error:
            log.info("the last of this process's telemetry was not told: %s", type(error).__name__)
        finally:
            await stop_within(producer, CLOSE_SECONDS_MAX)

    async def _run(self) -> None:
        again_seconds = 1.0
        while True:
            producer = self._producer()
            try:
                async with asyncio.timeout(START_SECONDS_MAX):
                    await producer.start()
                while True:
                    await self._round(producer)
                    again_seconds = 1.0
                    await asyncio.sleep(self._settings.telemetry_seconds)
            except _EXPECTED as error:
                log.warning("telemetry is not told: %s: %s", type(error).__name__, error)
            except Exception:  # boundary: telemetry must never end its process, whatever goes wrong in it
                self._dropped.inc()
                log.exception("telling failed")
            finally:
                await stop_within(producer, CLOSE_SECONDS_MAX)
            await asyncio.sleep(again_seconds)
            again_seconds = min(2 * again_seconds, AGAIN_SECONDS_MAX)

    def _producer(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            **self._kafka.client_options(),
            acks=1,
            linger_ms=20,
            compression_type="gzip",
            request_timeout_ms=int(SEND_SECONDS_MAX * 1_000),
            max_request_size=2 * 1_048_576,
        )

    async def _round(self, producer: AIOKafkaProducer, *, leaving: bool = False) -> None:
        """Tell what there is, once."""
        sending = [await self._send_sample(producer, leaving=leaving)]
        taken = [self._waiting.popleft() for _ in range(len(self._waiting))]
        try:
            async with asyncio.timeout(SEND_SECONDS_MAX):
                for one in taken:
                    sent = await self._send(producer, names.TELEMETRY, one.tenant, event.pack(one))
                    sending.append(sent)
                await asyncio.gather(*sending)
        except _EXPECTED:
            self._changes.forget()
            self._drop(len(taken) or 1)
            raise
        if self._lost:
            self.tell(told(events.SYSTEM_DROPPED, wall_ms(), {"count": self._lost}))
            self._lost = 0
        for one in taken:
            self._events.of(one.event).inc()

    async def _send_sample(self, producer: AIOKafkaProducer, *, leaving: bool) -> "asyncio.Future[Any]":
        whole, points = self._changes.next()
        self._series.set(self._changes.series)
        if self._changes.refused:
            self._drop(self._changes.refused)
        self._told_points.inc(len(points))
        now_ms = wall_ms()
        sample = Sample(samples.VERSION, self._job, self.instance, now_ms, whole, leaving, points)
        return await self._send(producer, names.METRICS, self.instance, samples.pack(sample))

    async def _send(self, producer: AIOKafkaProducer, topic: str, key: str, value: bytes) -> "asyncio.Future[Any]":
        name = key.encode()
        lane = lane_of(name, self._settings.lanes)
        sent: asyncio.Future[Any] = await producer.send(
            self._settings.topics.physical(topic), value, key=name, partition=lane
        )
        sent.add_done_callback(lambda done: done.cancelled() or done.exception())
        return sent
