"""The topic `replays`: jobs, requests to stop one, and marks of dead letters that were redriven, by key."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from processors.vocabulary import topics as names
from processors.vocabulary.partition import lane_of
from streams.admin import KafkaAwayError, require_topics
from streams.changelog import committed_consumer, read_range
from streams.lanes.writer import stop_within
from streams.replay import job as jobs
from streams.replay.job import Job
from streams.settings import KafkaSettings
from streams.topics import TOPICS, TopicNames

CLOSE_SECONDS_MAX: Final = 5.0
REQUEST_BYTES_MAX: Final = max(topic.message_bytes_max for topic in TOPICS)
_STOP: Final = "/stop"
_LETTER: Final = "letter/"


class Mark(msgspec.Struct, frozen=True):
    """A dead letter that was written to its topic again."""

    replay: str
    at_ms: int
    outcome: str


_encode: Final = msgspec.json.Encoder().encode
_decode_mark: Final = msgspec.json.Decoder(Mark).decode


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

    async def _put(self, producer: AIOKafkaProducer, key: str, value: bytes | None) -> None:
        await producer.send_and_wait(self._topic, value, key=key.encode(), partition=self.partition(key).partition)

    async def save(self, producer: AIOKafkaProducer, job: Job) -> None:
        """Write down how far a replay is."""
        await self._put(producer, job.id, jobs.encode(job))

    async def ask_stop(self, producer: AIOKafkaProducer, replay: str, *, wanted: bool = True) -> None:
        """Ask whoever runs a replay to stop it; or take that back."""
        await self._put(producer, replay + _STOP, b"{}" if wanted else None)

    async def mark(self, producer: AIOKafkaProducer, letters: Iterable[tuple[str, Mark]]) -> None:
        """Note dead letters as redriven."""
        for letter, mark in letters:
            await self._put(producer, _LETTER + letter, _encode(mark))

    async def load(self, replay: str) -> Job | None:
        """Return a replay as it was written down last."""
        packed = (await self._read([self.partition(replay)])).get(replay)
        return None if packed is None else jobs.decode(packed)

    async def all(self) -> list[Job]:
        """Return all replays, the newest first."""
        found = await self._read([TopicPartition(self._topic, lane) for lane in range(self._lanes)])
        known = [jobs.decode(packed) for key, packed in found.items() if "/" not in key]
        return sorted(known, key=lambda job: -job.started_ms)

    async def marks(self) -> dict[str, Mark]:
        """Return the dead letters that were redriven, by their id."""
        found = await self._read([self.partition(_LETTER)])
        return {
            key.removeprefix(_LETTER): _decode_mark(packed) for key, packed in found.items() if key.startswith(_LETTER)
        }

    async def _read(self, partitions: list[TopicPartition]) -> dict[str, bytes]:
        await require_topics(
            self._kafka, self._topics, self._lanes, [topic for topic in TOPICS if topic.name == names.REPLAYS]
        )
        found: dict[str, bytes] = {}
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


def _apply(found: dict[str, bytes], record: Any) -> None:
    key = (record.key or b"").decode()
    if record.value is None:
        found.pop(key, None)
    else:
        found[key] = record.value


def is_stop(record: Any, replay: str) -> bool:
    """Tell whether a record of the topic asks to stop a replay."""
    return bool(record.key == (replay + _STOP).encode() and record.value is not None)
