"""The topic `replays`: jobs, who works on one, requests to stop it, and marks of dead letters redriven, by key.

What is old is taken out by `sweep`, which each replay and each redrive calls at its end: Kafka compacts the topic, but
takes nothing out of it by itself.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from processors.vocabulary import topics as names
from processors.vocabulary.partition import lane_of
from streams.admin import KafkaAwayError, require_topics
from streams.changelog import committed_consumer, read_range
from streams.clock import wall_ms
from streams.lanes.writer import stop_within
from streams.replay import job as jobs
from streams.replay.job import Job, Status
from streams.settings import KafkaSettings
from streams.topics import TOPICS, TopicNames

CLOSE_SECONDS_MAX: Final = 5.0
REQUEST_BYTES_MAX: Final = max(topic.message_bytes_max for topic in TOPICS)
_DAY_MS: Final = 24 * 3_600_000
JOBS_KEPT_MS: Final = 30 * _DAY_MS
"""Since something was heard of one."""
JOBS_MAX: Final = 1_000
"""The newest of those that do not run."""
MARKS_KEPT_MS: Final = next(topic.retention_ms for topic in TOPICS if topic.name == names.DEAD_LETTERS) + _DAY_MS
"""Retention has taken the dead letter then."""
_STOP: Final = "/stop"
LETTER: Final = "letter/"


class Mark(msgspec.Struct, frozen=True):
    """A dead letter that was written to its topic again."""

    replay: str
    at_ms: int
    outcome: str


_encode: Final = msgspec.json.Encoder().encode
_decode_mark: Final = msgspec.json.Decoder(Mark).decode


class Held(NamedTuple):
    """What stands under a key."""

    value: bytes
    offset: int
    written_ms: int


@asynccontextmanager
async def confirmed_producer(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaProducer]:
    """Give a producer that writes in order and once, each record confirmed. Raises `KafkaAwayError`."""
    # No transaction: one that a killed worker leaves open would hold back live signals of the same lane for seconds.
    producer = AIOKafkaProducer(
        **kafka.client_options(),
        acks="all",
        enable_idempotence=True,
        linger_ms=2,
        max_request_size=REQUEST_BYTES_MAX,
    )
    try:
        await producer.start()
        yield producer
    except (KafkaError, OSError) as error:
        raise KafkaAwayError(f"Kafka at {kafka.bootstrap} failed: {type(error).__name__}: {error}") from error
    finally:
        await stop_within(producer, CLOSE_SECONDS_MAX)


class ReplayStore:
    """Reads and writes the topic. Keys of one replay lie in one partition."""

    def __init__(self, kafka: KafkaSettings, topics: TopicNames, lanes: int) -> None:
        self._kafka = kafka
        self._topics = topics
        self._topic = topics.physical(names.REPLAYS)
        self._lanes = lanes

    def partition(self, key: str) -> TopicPartition:
        """Return where a key stands."""
        return TopicPartition(self._topic, lane_of(key.partition("/")[0].encode(), self._lanes))

    async def put(self, producer: AIOKafkaProducer, key: str, value: bytes | None) -> None:
        """Write a value; None takes the key away."""
        await producer.send_and_wait(self._topic, value, key=key.encode(), partition=self.partition(key).partition)

    async def save(self, producer: AIOKafkaProducer, job: Job) -> None:
        """Write down how far a replay is."""
        await self.put(producer, job.id, jobs.encode(job))

    async def ask_stop(self, producer: AIOKafkaProducer, replay: str, *, wanted: bool = True) -> None:
        """Ask whoever runs a replay to stop it; or take that back."""
        await self.put(producer, replay + _STOP, b"{}" if wanted else None)

    async def mark(self, producer: AIOKafkaProducer, letters: Iterable[tuple[str, Mark]]) -> None:
        """Note dead letters as redriven."""
        for letter, mark in letters:
            await self.put(producer, LETTER + letter, _encode(mark))

    async def load(self, replay: str) -> Job | None:
        """Return a replay as it was written down last."""
        found = (await self._read([self.partition(replay)])).get(replay)
        return None if found is None else jobs.decode(found.value)

    async def all(self) -> list[Job]:
        """Return all replays, the newest first."""
        found = await self._read(self._everywhere())
        known = [jobs.decode(each.value) for key, each in found.items() if "/" not in key]
        return sorted(known, key=lambda job: -job.started_ms)

    async def marks(self) -> dict[str, Mark]:
        """Return the dead letters that were redriven, by their id."""
        found = await self._read([self.partition(LETTER)])
        return {
            key.removeprefix(LETTER): _decode_mark(each.value) for key, each in found.items() if key.startswith(LETTER)
        }

    async def under(self, prefix: str) -> dict[str, Held]:
        """Return what stands under keys that begin so, and at which offset."""
        found = await self._read([self.partition(prefix)])
        return {key: each for key, each in found.items() if key.startswith(prefix)}

    async def forget(self, producer: AIOKafkaProducer, keys: Iterable[str]) -> None:
        """Take keys away."""
        sent = [
            await producer.send(self._topic, None, key=key.encode(), partition=self.partition(key).partition)
            for key in keys
        ]
        await asyncio.gather(*sent)

    async def sweep(self, producer: AIOKafkaProducer) -> int:
        """Take out what is old; return how many keys that were."""
        found = await self._read(self._everywhere())
        old = outdated(found, wall_ms())
        await self.forget(producer, old)
        return len(old)

    def _everywhere(self) -> list[TopicPartition]:
        return [TopicPartition(self._topic, lane) for lane in range(self._lanes)]

    async def _read(self, partitions: list[TopicPartition]) -> dict[str, Held]:
        await require_topics(
            self._kafka, self._topics, self._lanes, [topic for topic in TOPICS if topic.name == names.REPLAYS]
        )
        found: dict[str, Held] = {}
        async with committed_consumer(self._kafka) as consumer:
            consumer.assign(partitions)
            begins = await consumer.beginning_offsets(partitions)
            ends = await consumer.end_offsets(partitions)
            for partition in partitions:
                consumer.assign([partition])
                async for records in read_range(consumer, partition, begins[partition], ends[partition]):
                    for record in records:
                        _apply(found, record)
        return found


def outdated(found: Mapping[str, Held], now_ms: int) -> list[str]:
    """Return which keys are to be taken out: jobs long ended, what belongs to no job, marks of letters long gone."""
    known = {key: jobs.decode(each.value) for key, each in found.items() if "/" not in key}
    # One whose process was killed is `running` for ever; its lanes have ended it after `lasts_ms`.
    heard = {key: job.updated_ms + (job.lasts_ms if job.status is Status.RUNNING else 0) for key, job in known.items()}
    ended = sorted((key for key, job in known.items() if job.status is not Status.RUNNING), key=lambda key: -heard[key])
    gone = {key for key, at_ms in heard.items() if now_ms - at_ms >= JOBS_KEPT_MS} | set(ended[JOBS_MAX:])
    marks = (key for key in found if key.startswith(LETTER))
    old_marks = {key for key in marks if now_ms - found[key].written_ms >= MARKS_KEPT_MS}
    beside = set()
    for key, each in found.items():
        job, slash, _ = key.partition("/")
        if slash and job + slash != LETTER:
            runs = job in known and job not in gone and known[job].status is Status.RUNNING
            # One that is about to begin is not written down yet.
            begins = job not in known and now_ms - each.written_ms < _DAY_MS
            beside |= set() if runs or begins else {key}
    return sorted(gone | old_marks | beside)


def _apply(found: dict[str, Held], record: Any) -> None:
    key = (record.key or b"").decode()
    if record.value is None:
        found.pop(key, None)
    else:
        found[key] = Held(record.value, record.offset, record.timestamp)


def is_stop(record: Any, replay: str) -> bool:
    """Tell whether a record of the topic asks to stop a replay."""
    return bool(record.key == (replay + _STOP).encode() and record.value is not None)
