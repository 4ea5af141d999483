"""Follows the `access` topic: what lanes write there reaches every gateway, whole and in order by key.

Subscribe by the beginning of keys, then start. A gateway reads the topic from its beginning, then what comes; after a
failure again from the beginning, and what has meanwhile gone from the topic is told as removed.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, TypeAlias

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord, TopicPartition

from processors.vocabulary import topics as names
from streams.admin import KafkaAwayError, TopicMismatchError, TopicsMissingError, require_topics
from streams.changelog import committed_consumer
from streams.settings import KafkaSettings
from streams.topics import TOPICS, TopicNames

log = logging.getLogger(__name__)

AGAIN_SECONDS: Final = 1.0
POLL_MS: Final = 500
KEYS_MAX: Final = 200_000
"""Kept only to tell what has gone."""
_WANTED: Final = [topic for topic in TOPICS if topic.name == names.ACCESS]

Subscriber: TypeAlias = Callable[[str, bytes | None], object]


class AccessTable:
    """The table as it stands, for whoever asked to be told."""

    def __init__(self, kafka: KafkaSettings, topics: TopicNames, *, lanes: int) -> None:
        self._kafka = kafka
        self._topics = topics
        self._partitions = [TopicPartition(topics.physical(names.ACCESS), lane) for lane in range(lanes)]
        self._subscribers: list[tuple[str, Subscriber]] = []
        self._known: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self.complete = asyncio.Event()
        """Set once all has been told that was there at the start."""

    def subscribe(self, prefix: str, subscriber: Subscriber) -> None:
        """Tell `subscriber` of each key that begins so, with its value; None: it is gone."""
        self._subscribers.append((prefix, subscriber))

    def start(self) -> None:
        """Begin to follow, in the background."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop following."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            try:
                # A consumer of a topic that is not there asks for it without a pause.
                await require_topics(self._kafka, self._topics, len(self._partitions), _WANTED)
                async with committed_consumer(self._kafka) as consumer:
                    await self._follow(consumer)
            except (KafkaAwayError, TopicsMissingError, TopicMismatchError, KafkaError, OSError) as error:
                # The outlet tells of Kafka's absence; what was read stays in force.
                log.debug("the access topic cannot be read: %s", error)
            except Exception:  # boundary: without this task no limit or key would ever change again
                log.exception("following the access topic failed; trying again")
            await asyncio.sleep(AGAIN_SECONDS)

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        consumer.assign(self._partitions)
        await consumer.seek_to_beginning(*self._partitions)
        ends = await consumer.end_offsets(self._partitions)
        seen: set[str] | None = set()
        while True:
            for records in (await consumer.getmany(*self._partitions, timeout_ms=POLL_MS)).values():
                self._tell(records, seen)
            if seen is not None and all([await consumer.position(one) >= end for one, end in ends.items()]):
                for key in self._known - seen:
                    self._deliver(key, None)
                seen = None
                self.complete.set()

    def _tell(self, records: "Sequence[ConsumerRecord[bytes, bytes]]", seen: set[str] | None) -> None:
        for record in records:
            key = (record.key or b"").decode(errors="replace")
            if seen is not None:
                seen.add(key)
            self._deliver(key, record.value)

    def _deliver(self, key: str, value: bytes | None) -> None:
        if value is None:
            self._known.discard(key)
        elif len(self._known) < KEYS_MAX:
            self._known.add(key)
        for prefix, subscriber in self._subscribers:
            if not key.startswith(prefix):
                continue
            try:
                wrong = subscriber(key, value)
            except Exception:  # boundary: one bad record must not keep the others from being told
                log.exception("%s of the access topic was not taken over", key)
            else:
                if isinstance(wrong, str) and wrong:
                    log.warning("the access topic: %s", wrong)
