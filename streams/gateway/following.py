"""Follow a topic from outside of the lanes: read it up to its end, then every new record, for as long as it takes.

What was read stays in force while Kafka is away: whoever follows keeps its old view until a new one is complete.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Final, Protocol

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from streams.admin import KafkaAwayError, TopicMismatchError, TopicsMissingError, require_topics
from streams.changelog import committed_consumer
from streams.clock import wall_ms
from streams.settings import KafkaSettings
from streams.tasks import ended
from streams.topics import TOPICS, TopicNames

log = logging.getLogger(__name__)

POLL_MS: Final = 200
LOOK_SECONDS: Final = 5.0
"""How often Kafka is asked whether it is still there."""
ANSWER_SECONDS_MAX: Final = 10.0
CATCH_UP_SECONDS_MAX: Final = 120.0
RETRY_SECONDS_MIN: Final = 0.2
RETRY_SECONDS_MAX: Final = 5.0
_EXPECTED: Final = (KafkaAwayError, TopicMismatchError, TopicsMissingError, KafkaError, OSError, TimeoutError)


class View(Protocol):
    """What is made of a topic's records."""

    def begin(self) -> None:
        """All is read anew; what was known stays in force until `complete`."""

    def take(self, record: Any) -> None:
        """Take the next record of its lane in."""

    def complete(self) -> None:
        """What was read reaches the end that the topic had: it holds from now on."""


class Several:
    """Views of one topic that are kept together: each takes of its records what it knows."""

    def __init__(self, *views: View) -> None:
        self._views = views

    def begin(self) -> None:
        """See `View.begin`."""
        for view in self._views:
            view.begin()

    def take(self, record: Any) -> None:
        """See `View.take`."""
        for view in self._views:
            view.take(record)

    def complete(self) -> None:
        """See `View.complete`."""
        for view in self._views:
            view.complete()


@dataclass(frozen=True, slots=True)
class Span:
    """How much of a topic is read at first: all of it, or its newest part."""

    age_ms: int | None = None
    records_max: int | None = None
    """Of each lane."""


@dataclass(frozen=True, slots=True)
class Turn:
    """For a view whose taking in is work: a thread that does it, and how many records at a time."""

    thread: Executor
    records_max: int


def _take_all(take: Callable[[Any], None], batches: Iterable[Sequence[Any]]) -> None:
    for records in batches:
        for record in records:
            take(record)


class Follower:
    """Follows one topic in the background. Start it, look at `behind`, close it."""

    def __init__(
        self,
        kafka: KafkaSettings,
        topics: TopicNames,
        topic: str,
        *,
        lanes: int,
        view: View,
        span: Span | None = None,
        turn: Turn | None = None,
    ) -> None:
        self._kafka = kafka
        self._topics = topics
        self._wanted = [one for one in TOPICS if one.name == topic]
        self._topic = topics.physical(topic)
        self._lanes = lanes
        self._view = view
        self._span = span or Span()
        self._turn = turn
        self._task: asyncio.Task[None] | None = None
        self.behind = f"{self._topic} has not been read yet."
        """Why what is known may be old; empty while it is not."""
        self.read = asyncio.Event()
        """Set once it was read to its end for the first time."""

    def start(self) -> None:
        """Begin, in the background."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Let go."""
        await ended(self._task)

    async def _run(self) -> None:
        wait_seconds = RETRY_SECONDS_MIN
        while True:
            said = "it ended"
            try:
                await require_topics(self._kafka, self._topics, self._lanes, self._wanted)
                async with committed_consumer(self._kafka) as consumer:
                    await self._follow(consumer)
            except _EXPECTED as error:
                said = str(error) or type(error).__name__
            except Exception as error:  # boundary: whatever aiokafka raises, the gateway must go on following
                log.exception("following %s failed", self._topic)
                said = type(error).__name__
            if not self.behind:
                log.warning("%s is not followed any more: %s. Trying again.", self._topic, said)
                wait_seconds = RETRY_SECONDS_MIN
            self.behind = f"{self._topic} cannot be read: {said}."
            await asyncio.sleep(wait_seconds * random.uniform(0.5, 1))  # noqa: S311  # not a secret
            wait_seconds = min(2 * wait_seconds, RETRY_SECONDS_MAX)

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        """Read to the end, then go on; raises when Kafka is lost."""
        partitions = [TopicPartition(self._topic, lane) for lane in range(self._lanes)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        self._view.begin()
        for partition, start in (await self._starts(consumer, ends)).items():
            consumer.seek(partition, start)
        async with asyncio.timeout(CATCH_UP_SECONDS_MAX):
            while any([await consumer.position(partition) < ends[partition] for partition in partitions]):
                await self._take(consumer)
        self._view.complete()
        self.behind = ""
        self.read.set()
        looked = time.monotonic()
        while True:
            await self._take(consumer)
            if time.monotonic() - looked > LOOK_SECONDS:
                # A consumer waits for a broker that is gone without a word.
                async with asyncio.timeout(ANSWER_SECONDS_MAX):
                    await consumer.end_offsets(partitions)
                looked = time.monotonic()

    async def _take(self, consumer: AIOKafkaConsumer) -> None:
        take: Callable[[Any], None] = self._view.take
        if self._turn is None:
            for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                for record in records:
                    take(record)
            return
        found = await consumer.getmany(timeout_ms=POLL_MS, max_records=self._turn.records_max)
        if found:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._turn.thread, _take_all, take, list(found.values()))

    async def _starts(
        self, consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        """Return from where each lane is read."""
        begins: Mapping[TopicPartition, int] = await consumer.beginning_offsets(list(ends))
        starts = dict(begins)
        if self._span.age_ms is not None:
            since_ms = wall_ms() - self._span.age_ms
            found = await consumer.offsets_for_times(dict.fromkeys(ends, since_ms))
            for partition, end in ends.items():
                at = found.get(partition)
                # Nothing so new: then there is nothing to read.
                starts[partition] = end if at is None else max(begins[partition], at.offset)
        if self._span.records_max is not None:
            for partition, end in ends.items():
                starts[partition] = max(starts[partition], end - self._span.records_max)
        return starts
