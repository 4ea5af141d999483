"""Read what is committed and write it into history: rows and offsets in one transaction of the database.

No consumer group has a say: where to go on is read from the database, so that whatever dies between reading and
writing is read again, and nothing is written twice.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from processors.telemetry import catalogue, events
from processors.telemetry.event import told
from streams.admin import KafkaAwayError, TopicsMissingError, require_topics
from streams.changelog import committed_consumer
from streams.clock import wall_ms
from streams.history.rows import TOPICS, Row, row_of
from streams.history.store import HistoryError, Home, Place, TakenError, Writer
from streams.metrics import Metrics
from streams.settings import KafkaSettings
from streams.telemetry import Silence, Tells
from streams.topics import TOPICS as DECLARED
from streams.topics import TopicNames

log = logging.getLogger(__name__)

BATCH_RECORDS: Final = 5_000
POLL_MS: Final = 200
IDLE_SECONDS: Final = 1.0
"""While nothing comes, the database is told so this often."""
LOOK_SECONDS: Final = 1.0
"""How often it is looked whether history was built anew beside us."""
FORGET_SECONDS: Final = 10.0
FORGET_ROWS: Final = 5_000
"""Old rows removed in one step, so that removing never holds up reading."""
AGAIN_SECONDS_MIN: Final = 0.5
AGAIN_SECONDS_MAX: Final = 10.0
DAY_MS: Final = 86_400_000
BEHIND_SECONDS: Final = 30.0
"""Further behind, telemetry hears of it."""

_Batches: TypeAlias = Mapping[TopicPartition, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Source:
    """What is read, and how long it is kept."""

    kafka: KafkaSettings
    topics: TopicNames
    lanes: int
    keep_ms: int

    def partitions(self) -> dict[TopicPartition, Place]:
        """Return the partitions with what Hopline calls them."""
        return {
            TopicPartition(self.topics.physical(topic), lane): (topic, lane)
            for topic in TOPICS
            for lane in range(self.lanes)
        }


class Gauges:
    """What the projector shows of itself."""

    def __init__(self, metrics: Metrics) -> None:
        self.lag = metrics.gauge(catalogue.HISTORY_LAG)
        self.share = metrics.gauge(catalogue.HISTORY_PROGRESS)
        self.rows = metrics.counter(catalogue.HISTORY_ROWS)
        self.forgotten = metrics.counter(catalogue.HISTORY_FORGOTTEN)


class Reading:
    """One consumer on all partitions of a source, from where a writer's offsets say."""

    def __init__(self, source: Source, consumer: AIOKafkaConsumer, writer: Writer) -> None:
        self._consumer = consumer
        self._writer = writer
        self._keep_ms = source.keep_ms
        self._places = source.partitions()
        self._seen_ms: dict[TopicPartition, int] = {}
        self._begins: dict[TopicPartition, int] = {}
        self.complete_ms = 0
        self.share = 0.0
        self.rows = 0

    async def begin(self) -> dict[TopicPartition, int]:
        """Go to where the database says; return where everything ends. Raises `HistoryError`."""
        partitions = list(self._places)
        self._consumer.assign(partitions)
        self._begins = await self._consumer.beginning_offsets(partitions)
        ends: dict[TopicPartition, int] = await self._consumer.end_offsets(partitions)
        offsets = await asyncio.to_thread(self._writer.offsets)
        for partition, place in self._places.items():
            at, least = offsets.get(place), self._begins[partition]
            if at is not None and at > ends[partition]:
                raise HistoryError(
                    f"history has read {place[0]}/{place[1]} up to {at}, and it ends at {ends[partition]}: "
                    "these are the topics of another cluster, or they were made anew; "
                    "build history anew: `hopline history rebuild`"
                )
            if at is not None and at < least:
                log.warning("%s/%d: records %d to %d are gone; history lacks them", *place, at, least - 1)
            self._consumer.seek(partition, max(at or 0, least))
        return ends

    async def turn(self) -> int:
        """Read and write one batch; return how many records it had."""
        now_ms = wall_ms()
        batches: _Batches = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=BATCH_RECORDS)
        count = sum(map(len, batches.values()))
        offsets = {self._places[partition]: records[-1].offset + 1 for partition, records in batches.items() if records}
        await self._look(batches, now_ms)
        if count:
            rows = await asyncio.to_thread(self._rows, batches, now_ms - self._keep_ms)
            await self._write(rows, offsets)
            self.rows += len(rows)
        return count

    async def touch(self) -> None:
        """Tell the database that nothing more was there."""
        await self._write((), {})

    def first(self, partition: TopicPartition) -> int:
        """Return the first offset that the topic still has."""
        return self._begins[partition]

    async def at(self, partition: TopicPartition) -> int:
        """Return the next offset that will be read: past the markers of transactions, too."""
        position: int = await self._consumer.position(partition)
        return position

    async def _write(self, rows: Sequence[Row], offsets: Mapping[Place, int]) -> None:
        writing = asyncio.ensure_future(
            asyncio.to_thread(self._writer.write, rows, offsets, complete_ms=self.complete_ms, share=self.share)
        )
        # A thread cannot be cancelled: who stops waits for it, or its connection would be closed under it.
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait((writing,))
            raise

    def _rows(self, batches: _Batches, least_ms: int) -> list[Row]:
        found = [
            row_of(self._places[partition][0], record) for partition, records in batches.items() for record in records
        ]
        return [row for row in found if row.at_ms >= least_ms]

    async def _look(self, batches: _Batches, now_ms: int) -> None:
        """Work out up to when history is complete once this batch is in, and how much of all that is."""
        complete_ms, done, all_ = now_ms, 0, 0
        for partition in self._places:
            if records := batches.get(partition):
                self._seen_ms[partition] = records[-1].timestamp
            at = await self._consumer.position(partition)
            end = self._consumer.last_stable_offset(partition)
            least = self._begins[partition]
            done += at - least
            all_ += max(at, end or 0) - least
            if end is None or at < end:
                # What comes next in this lane is not older than what came last.
                complete_ms = min(complete_ms, self._seen_ms.get(partition, self.complete_ms))
        self.complete_ms = max(self.complete_ms, complete_ms)
        self.share = done / all_ if all_ else 1.0


class Projector:
    """Keeps history up to date until told to stop."""

    def __init__(self, source: Source, home: Home, metrics: Metrics, tell: Callable[[str], None]) -> None:
        self._source = source
        self._home = home
        self._gauges = Gauges(metrics)
        self._tell = tell
        self._told = ""
        self.tells: Tells = Silence()
        self.ready = False
        self._counted = 0

    async def run(self, *, patient: bool) -> None:
        """Project for ever. If another process does, wait for its end if patient, else raise `TakenError`.

        Whatever is away or wrong is said once and tried again: the pipeline goes on without history, and who mends it
        (`hopline history rebuild`) need not start us anew.
        """
        wait_seconds = AGAIN_SECONDS_MIN
        while True:
            began = time.monotonic()
            try:
                with self._home.lock("writing"):
                    while True:
                        await self._session()
            except TakenError as error:
                if not patient:
                    raise
                self._say(str(error))
            except (HistoryError, KafkaAwayError, TopicsMissingError, KafkaError, OSError) as error:
                self._say(str(error))
            self.ready = False
            if time.monotonic() - began > AGAIN_SECONDS_MAX:
                wait_seconds = AGAIN_SECONDS_MIN
            await asyncio.sleep(wait_seconds)
            wait_seconds = min(2 * wait_seconds, AGAIN_SECONDS_MAX)

    async def _session(self) -> None:
        """Project until something is away, or history was built anew."""
        source = self._source
        await require_topics(
            source.kafka, source.topics, source.lanes, [topic for topic in DECLARED if topic.name in TOPICS]
        )
        writer = await asyncio.to_thread(opened, self._home)
        try:
            async with committed_consumer(source.kafka) as consumer:
                reading = Reading(source, consumer, writer)
                await reading.begin()
                self._counted = 0
                await self._project(reading, writer)
        finally:
            await asyncio.to_thread(writer.close)

    async def _project(self, reading: Reading, writer: Writer) -> None:
        touched = looked = forgot = time.monotonic()
        while True:
            count = await reading.turn()
            now = time.monotonic()
            if not count and now - touched >= IDLE_SECONDS:
                await reading.touch()
            if count or now - touched >= IDLE_SECONDS:
                touched = now
                self._show(reading)
            if now - looked >= LOOK_SECONDS:
                looked = now
                if await asyncio.to_thread(self._home.current) != writer.generation:
                    self._say("history was built anew; going on with that")
                    return
            if now - forgot >= FORGET_SECONDS and await self._forget(writer) < FORGET_ROWS:
                forgot = now

    async def _forget(self, writer: Writer) -> int:
        before_ms = wall_ms() - self._source.keep_ms
        gone = await asyncio.to_thread(writer.forget, before_ms, FORGET_ROWS)
        self._gauges.forgotten.of().inc(gone)
        return gone

    def _show(self, reading: Reading) -> None:
        self.ready = True
        if self._told:
            self._told = ""
            self._tell("history goes on")
        gauges = self._gauges
        lag_seconds = max(0.0, time.time() - reading.complete_ms / 1_000) if reading.complete_ms else 0.0
        gauges.lag.of().set(lag_seconds)
        if lag_seconds > BEHIND_SECONDS:
            now_ms, measured = wall_ms(), {"seconds": lag_seconds}
            self.tells.sample(events.HISTORY_BEHIND, lambda: told(events.HISTORY_BEHIND, now_ms, measured))
        gauges.share.of().set(reading.share)
        gauges.rows.of().inc(reading.rows - self._counted)
        self._counted = reading.rows

    def _say(self, text: str) -> None:
        """Say it once, not at each attempt."""
        if text != self._told:
            self._told = text
            self._tell(text)


def opened(home: Home) -> Writer:
    """Open the history that is there, or begin one. Raises `HistoryError`."""
    current = home.current()
    if current is not None:
        return home.writer(current)
    # Whoever builds one anew publishes it; then there is a current one.
    with home.lock("rebuilding"):
        current = home.current()
        if current is not None:
            return home.writer(current)
        home.clear()
        writer = home.writer(home.fresh())
        try:
            home.publish(writer.generation)
        except BaseException:
            writer.close()
            raise
    return writer
