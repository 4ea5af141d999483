"""The prober over real topics and a real worker: what waits, what hangs, what was set aside, and Kafka away."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from processors.telemetry import catalogue
from processors.telemetry.catalogue import Metric
from processors.vocabulary import topics
from streams.lanes import checkpoint
from streams.metrics import Metrics
from streams.prober import Prober, backups
from streams.replay.store import Mark, ReplayStore, confirmed_producer
from streams.settings import KafkaSettings
from streams.topics import TopicNames
from tests.chaos.waiting import until
from tests.integration.pipeline import Pipeline, event, pipeline

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

LOOK_SECONDS_MAX = 60.0
LANES = 2


class Watched:
    """A prober that looks, and its figures."""

    def __init__(self, pipe: Pipeline, data_dir: Path | None = None) -> None:
        self.metrics = Metrics()
        kafka, names = KafkaSettings(pipe.kafka), TopicNames(pipe.prefix)
        self.prober = Prober(kafka, names, LANES, data_dir=data_dir, metrics=self.metrics)

    def value(self, metric: Metric, *labels: str) -> float:
        """Return the sum of a metric's series that begin with these labels."""
        family = self.metrics.gauge(metric) if metric.kind == "gauge" else self.metrics.counter(metric)
        return float(
            sum(child._value.get() for known, child in family.children.items() if known[: len(labels)] == labels)
        )

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait until a look has shown something."""
        looks = self.prober.looks

        async def shown() -> bool:
            return self.prober.looks > looks and holds()

        await until(shown, LOOK_SECONDS_MAX, what)


@asynccontextmanager
async def watched(pipe: Pipeline, data_dir: Path | None = None) -> AsyncIterator[Watched]:
    found = Watched(pipe, data_dir)
    task = asyncio.create_task(found.prober.run())
    try:
        yield found
    finally:
        task.cancel()
        await asyncio.wait({task}, timeout=LOOK_SECONDS_MAX)


async def test_what_waits_is_seen_and_what_was_applied_is_gone(kafka: str, unique: str, tmp_path: Path) -> None:
    with pipeline(kafka, unique, tmp_path) as pipe:
        await pipe.prepare()
        await pipe.send([("acme", event("acme", number)) for number in range(20)])
        async with watched(pipe) as seen:
            await seen.until(lambda: seen.value(catalogue.PROBE_LAG_RECORDS, topics.SIGNALS_IN) == 20, "20 that wait")
            before = seen.value(catalogue.PROBE_LAG_SECONDS, topics.SIGNALS_IN)
            await seen.until(
                lambda: seen.value(catalogue.PROBE_LAG_SECONDS, topics.SIGNALS_IN) > before > 0, "an age that grows"
            )
            worker = await pipe.start().ready()
            # A directive, a bad one and a misplaced one: each leaves markers where lanes read.
            limit = event("acme", 1, type="hopline.limit.set", data={"burst": 50})
            await pipe.send([("acme", b"{")])
            await pipe.send_to([(lane, limit) for lane in range(LANES)], topic=topics.COMMANDS)
            await pipe.send_to([(lane, event("acme", 30 + lane)) for lane in range(LANES)])
            await pipe.until(topics.SIGNALS, 23)
            await seen.until(lambda: seen.value(catalogue.PROBE_APPLIED, topics.SIGNALS_IN) >= 22, "what was applied")
            await seen.until(lambda: seen.value(catalogue.PROBE_LAG_RECORDS) == 0, "lanes that are idle")
            assert seen.value(catalogue.PROBE_LAG_SECONDS) == 0
            assert seen.value(catalogue.PROBE_OPEN_RECORDS) == 0
            assert await worker.stop() == 0
            await seen.until(lambda: seen.value(catalogue.PROBE_AGE) < LOOK_SECONDS_MAX, "a look without a worker")
            assert seen.value(catalogue.PROBE_LAG_RECORDS) == 0
            assert seen.value(catalogue.PROBE_FAILURES) == 0


async def test_a_transaction_that_stays_open_is_seen(kafka: str, unique: str, tmp_path: Path) -> None:
    with pipeline(kafka, unique, tmp_path) as pipe:
        await pipe.prepare()
        async with watched(pipe) as seen:
            await seen.until(lambda: True, "a first look")
            producer = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=f"{unique}-open")
            await producer.start()
            try:
                await producer.begin_transaction()
                for _ in range(3):
                    await producer.send_and_wait(pipe.physical(topics.SIGNALS), b"x", partition=1)
                await seen.until(
                    lambda: seen.value(catalogue.PROBE_OPEN_RECORDS, topics.SIGNALS, "1") == 3, "3 held back"
                )
                await seen.until(lambda: seen.value(catalogue.PROBE_OPEN_SECONDS, topics.SIGNALS) > 1, "a standstill")
                await producer.abort_transaction()
                await seen.until(lambda: seen.value(catalogue.PROBE_OPEN_SECONDS) == 0, "the end of it")
                assert seen.value(catalogue.PROBE_OPEN_RECORDS) == 0
            finally:
                await producer.stop()


async def test_dead_letters_wait_until_somebody_redrives_them(kafka: str, unique: str, tmp_path: Path) -> None:
    with pipeline(kafka, unique, tmp_path) as pipe:
        await pipe.prepare()
        await pipe.send_to([(0, b"old")], topic=topics.DEAD_LETTERS)
        store = ReplayStore(KafkaSettings(kafka), TopicNames(pipe.prefix), LANES)
        now_ms = time.time_ns() // 1_000_000
        async with confirmed_producer(KafkaSettings(kafka)) as producer, watched(pipe) as seen:
            await seen.until(lambda: seen.value(catalogue.DEAD_LETTERS_WAITING) == 1, "one that waits")
            await pipe.send_to([(0, b"a"), (1, b"b"), (1, b"c")], topic=topics.DEAD_LETTERS)
            await producer.send_and_wait(
                pipe.physical(topics.DEAD_LETTERS), b"long ago", partition=1, timestamp_ms=now_ms - 90_000_000
            )
            await seen.until(lambda: seen.value(catalogue.DEAD_LETTERS_WAITING) >= 4, "four that wait")
            assert 0 < seen.value(catalogue.DEAD_LETTER_OLDEST_AGE) < LOOK_SECONDS_MAX * 4
            marks = [(letter, Mark("r1", now_ms, "redriven")) for letter in ("0-0", "0-1", "1-0", "1-1")]
            await store.mark(producer, marks)
            await seen.until(lambda: seen.value(catalogue.DEAD_LETTERS_WAITING) <= 1, "all of them redriven")
        async with watched(pipe) as again:
            await again.until(lambda: True, "a look by one that begins")
            await again.until(lambda: again.value(catalogue.DEAD_LETTERS_WAITING) <= 1, "marks read from the beginning")


async def test_kafka_away_shows_as_age_and_harms_nothing(tmp_path: Path) -> None:
    nowhere = Pipeline("127.0.0.1:1", "none.", tmp_path)
    async with watched(nowhere) as seen:

        async def failed() -> bool:
            return seen.value(catalogue.PROBE_FAILURES) >= 1 and seen.value(catalogue.PROBE_AGE) > 1

        await until(failed, LOOK_SECONDS_MAX, "a look that failed")
        assert seen.prober.looks == 0


def test_the_oldest_of_the_newest_checkpoints_counts(tmp_path: Path) -> None:
    assert backups.age_seconds(tmp_path, LANES, 1_000.0) is None
    for lane, ages in {0: (50.0, 700.0), 1: (400.0,)}.items():
        for number, age in enumerate(reversed(ages)):
            path = checkpoint.folder(tmp_path, lane) / checkpoint.name(number)
            checkpoint.write(path, [])
            os.utime(path, (1_000.0 - age, 1_000.0 - age))
    assert backups.age_seconds(tmp_path, LANES, 1_000.0) == 400.0
