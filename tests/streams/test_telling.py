"""What a process tells of itself: shares of what is many, changes of its metrics, through a real Kafka."""

import asyncio
from typing import Any

import pytest
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from processors.telemetry import catalogue, event, events, samples
from processors.telemetry.event import told
from processors.vocabulary import topics as names
from streams.admin import ensure_topics
from streams.changelog import committed_consumer
from streams.metrics import Metrics
from streams.settings import Settings
from streams.telling import SOME_PER_SECOND, WAITING_MAX, Changes, Shares, Telling


@given(st.lists(st.floats(0, 5), max_size=60).map(sorted))
def test_of_many_some_are_told_and_none_is_forgotten_in_the_count(times: list[float]) -> None:
    shares, told_in, counted, pending = Shares(), dict[int, int](), 0, 0
    for at in times:
        one_in = shares.one_in("x", at)
        pending += 1
        if one_in:
            told_in[int(at)] = told_in.get(int(at), 0) + 1
            assert one_in == pending
            counted, pending = counted + one_in, 0
    assert all(count <= SOME_PER_SECOND for count in told_in.values())
    assert counted + pending == len(times)


def test_only_what_changed_is_told_until_all_is_told_again() -> None:
    metrics = Metrics()
    changes = Changes(metrics)
    metrics.counter(catalogue.HOP_INPUT).of("ingest").inc(3)
    metrics.gauge(catalogue.LAG_RECORDS).of("signals.in", "1").set(7)
    whole, points = changes.next()
    assert whole
    assert {(p.name, p.labels, p.value) for p in points} == {
        (catalogue.HOP_INPUT.name, (("hop", "ingest"),), 3.0),
        (catalogue.LAG_RECORDS.name, (("lane", "1"), ("topic", "signals.in")), 7.0),
    }
    assert changes.next() == (False, ())
    metrics.counter(catalogue.HOP_INPUT).of("ingest").inc()
    (point,) = changes.next()[1]
    assert point.value == 4
    for _ in range(samples.WHOLE_EVERY - 3):
        assert changes.next() == (False, ())
    assert changes.next()[0]


def test_a_series_that_is_gone_is_missing_from_all_that_are_told_next() -> None:
    metrics = Metrics()
    changes = Changes(metrics)
    gauge = metrics.gauge(catalogue.LAG_RECORDS)
    gauge.of("signals.in", "1").set(7)
    gauge.of("signals.in", "2").set(7)
    changes.next()
    gauge.forget("signals.in", "1")
    assert changes.next() == (False, ())
    whole, points = changes.next()
    assert whole
    assert [p.labels for p in points] == [(("lane", "2"), ("topic", "signals.in"))]


def test_series_are_bounded_and_those_above_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "SERIES_MAX", 10)
    metrics = Metrics()
    for lane in range(25):
        metrics.gauge(catalogue.LAG_RECORDS).of("signals.in", str(lane)).set(1)
    changes = Changes(metrics)
    assert len(changes.next()[1]) == 10
    assert (changes.series, changes.refused) == (10, 15)


def test_what_waits_is_bounded_and_the_oldest_make_room() -> None:
    metrics = Metrics()
    telling = Telling(Settings(), "127.0.0.1:1", metrics, job="worker", port=1)
    for at in range(WAITING_MAX + 5):
        telling.tell(told(events.SYSTEM_STOPPED, at))
    assert telling._waiting[0].at_ms == 5
    assert b"telemetry_dropped_total 5.0" in metrics.exposition()


def test_who_is_told_to_be_silent_is() -> None:
    telling = Telling(Settings(telemetry=False), "127.0.0.1:1", Metrics(), job="worker", port=1)
    telling.tell(told(events.SYSTEM_STOPPED, 1))
    telling.sample(events.CACHE_HIT, lambda: pytest.fail("made for nobody"))
    assert not telling._waiting


@pytest.mark.kafka
async def test_events_and_metrics_reach_their_topics(kafka: str, unique: str) -> None:
    settings = Settings(kafka=kafka, topic_prefix=unique, lanes=2, telemetry_seconds=0.2)
    cluster, physical = settings.cluster(), settings.topics.physical
    await ensure_topics(cluster, settings.topics, lanes=2, replication=1, min_insync_replicas=1)
    metrics = Metrics()
    telling = Telling(settings, kafka, metrics, job="worker", port=7)
    metrics.counter(catalogue.HOP_INPUT).of("ingest").inc(3)
    telling.start()
    telling.tell(told(events.HOP_EXCEPTION, 5, {}, {"error": "ValueError"}, hop="ingest", lane=1, tenant="acme"))
    found, told_samples = set[str](), list[samples.Sample]()
    async with asyncio.timeout(60), committed_consumer(cluster) as consumer:
        topics = (names.TELEMETRY, names.METRICS)
        partitions = [TopicPartition(physical(topic), lane) for topic in topics for lane in range(2)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning()

        async def read() -> None:
            batches: dict[TopicPartition, list[Any]] = await consumer.getmany(timeout_ms=200)
            for at, records in batches.items():
                for record in records:
                    if at.topic == physical(names.TELEMETRY):
                        found.add(event.unpack(record.value).event)
                    else:
                        told_samples.append(samples.unpack(record.value))

        while not (found >= {"system.started", "hop.exception"} and told_samples):
            await read()
        await telling.close()
        while not any(sample.leaving for sample in told_samples):
            await read()
    first = {(point.name, point.labels, point.value) for point in told_samples[0].points}
    assert told_samples[0].whole
    assert (catalogue.HOP_INPUT.name, (("hop", "ingest"),), 3.0) in first
