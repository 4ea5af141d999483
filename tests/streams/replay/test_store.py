"""The topic `replays`: what is written down of replays, and what is taken out of it again."""

import pytest

from processors.vocabulary import topics as names
from streams.admin import ensure_topics
from streams.replay import job as jobs
from streams.replay.job import Job, Status
from streams.replay.selection import Selection
from streams.replay.store import (
    JOBS_KEPT_MS,
    JOBS_MAX,
    MARKS_KEPT_MS,
    Held,
    Mark,
    ReplayStore,
    confirmed_producer,
    outdated,
)
from streams.settings import KafkaSettings
from streams.topics import TopicNames

NOW_MS = 10**12
HOUR_MS = 3_600_000


def job(name: str, heard_ms: int, status: Status = Status.COMPLETED) -> Job:
    return Job(name, Selection(), 10.0, HOUR_MS, started_ms=heard_ms, updated_ms=heard_ms, status=status)


def held(value: bytes, written_ms: int = NOW_MS) -> Held:
    return Held(value, 0, written_ms)


def test_what_is_old_goes_and_what_runs_stays() -> None:
    old_ms = NOW_MS - JOBS_KEPT_MS
    found = {
        "young": held(jobs.encode(job("young", old_ms + 1))),
        "old": held(jobs.encode(job("old", old_ms))),
        "killed": held(jobs.encode(job("killed", old_ms, Status.RUNNING))),
        "killed long ago": held(jobs.encode(job("killed long ago", old_ms - HOUR_MS, Status.RUNNING))),
        "young/stop": held(b"{}"),
        "killed/stop": held(b"{}"),
        "killed long ago/stop": held(b"{}"),
        "begins/claim/1": held(b"{}"),
        "never began/claim/1": held(b"{}", NOW_MS - 25 * HOUR_MS),
        "letter/0-1": held(b"{}", NOW_MS - MARKS_KEPT_MS + 1),
        "letter/0-2": held(b"{}", NOW_MS - MARKS_KEPT_MS),
    }
    gone = {"old", "killed long ago", "killed long ago/stop", "young/stop", "never began/claim/1", "letter/0-2"}
    assert outdated(found, NOW_MS) == sorted(gone)


def test_of_many_that_ended_the_newest_stay() -> None:
    many = [job(f"j{n}", NOW_MS - n) for n in range(JOBS_MAX + 3)]
    runs = job("runs", NOW_MS - 10 * HOUR_MS, Status.RUNNING)
    found = {one.id: held(jobs.encode(one)) for one in [*many, runs]}
    assert outdated(found, NOW_MS) == sorted(one.id for one in many[JOBS_MAX:])


@pytest.mark.kafka
async def test_jobs_marks_and_what_was_taken_out_on_a_real_topic(kafka: str, unique: str) -> None:
    settings, topics = KafkaSettings(kafka), TopicNames(unique)
    await ensure_topics(settings, topics, lanes=2, replication=1, min_insync_replicas=1)
    store = ReplayStore(settings, topics, 2)
    async with confirmed_producer(settings) as producer:
        assert await store.load("none") is None
        await store.save(producer, job("old", 1))
        fresh = job("fresh", 3 * 10**12, Status.RUNNING)
        await store.save(producer, fresh)
        await store.mark(producer, [("0-7", Mark("fresh", 5, "redriven"))])
        await store.ask_stop(producer, "fresh")
        assert [one.id for one in await store.all()] == ["fresh", "old"]
        assert await store.marks() == {"0-7": Mark("fresh", 5, "redriven")}
        assert await store.sweep(producer) == 1
        assert await store.load("old") is None
        assert await store.load("fresh") == fresh
        assert list(await store.under("fresh/")) == ["fresh/stop"]
        assert await store.sweep(producer) == 0
    assert names.REPLAYS in store.partition("fresh").topic
