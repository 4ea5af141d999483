"""Read what is committed now, for as long as somebody listens; rather skip than fall behind."""

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from processors.vocabulary import envelope, topics
from processors.vocabulary import headers as names
from processors.vocabulary.reasons import Rejected
from streams.admin import KafkaAwayError
from streams.changelog import committed_consumer
from streams.described import described
from streams.live.feed import Feed
from streams.settings import KafkaSettings
from streams.tasks import ended
from streams.topics import TopicNames

log = logging.getLogger(__name__)

TOPICS: Final = (topics.SIGNALS, topics.DEAD_LETTERS)
RECORDS_MAX: Final = 200
"""Of one turn: other requests of this process wait no longer than these take."""
WAIT_MS: Final = 200
BEHIND_RECORDS_MAX: Final = 20_000
IDLE_SECONDS_MAX: Final = 10.0
RETRY_SECONDS: Final = 1.0
READY_SECONDS_MAX: Final = 10.0


class LiveReader:
    """One consumer without a group, for all who listen to this process."""

    def __init__(self, kafka: KafkaSettings, topic_names: TopicNames, lanes: int, feed: Feed) -> None:
        self._kafka = kafka
        self._names = topic_names
        self._lanes = lanes
        self._feed = feed
        self._ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._at: dict[TopicPartition, int] = {}
        """Where to go on when Kafka comes back."""

    async def ready(self) -> None:
        """Return when whatever is committed from now on will be seen. To be asked by one who has joined the feed.

        Raises `KafkaAwayError`.
        """
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        try:
            async with asyncio.timeout(READY_SECONDS_MAX):
                await self._ready.wait()
        except TimeoutError as error:
            raise KafkaAwayError("Kafka did not say in time where the topics end") from error

    async def close(self) -> None:
        """Stop."""
        await ended(self._task)

    async def _run(self) -> None:
        self._at = {}
        while len(self._feed):
            try:
                async with committed_consumer(self._kafka) as consumer:
                    await self._follow(consumer)
            except KafkaAwayError as error:
                log.warning("the live tail waits for Kafka: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
            finally:
                self._ready.clear()

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        """Read until nobody has listened for a while."""
        partitions = [
            TopicPartition(self._names.physical(name), lane) for name in TOPICS for lane in range(self._lanes)
        ]
        consumer.assign(partitions)
        self._at = self._at or await consumer.end_offsets(partitions)
        for partition, offset in self._at.items():
            consumer.seek(partition, offset)
        self._ready.set()
        clock = asyncio.get_running_loop().time
        heard = checked = clock()
        while clock() - heard < IDLE_SECONDS_MAX:
            for partition, records in (await consumer.getmany(timeout_ms=WAIT_MS, max_records=RECORDS_MAX)).items():
                self._give(self._names.logical(partition.topic), records)
                self._at[partition] = records[-1].offset + 1
            if len(self._feed):
                heard = clock()
            if clock() - checked > 1:
                checked = clock()
                await self._catch_up(consumer)
            # Others of this process come first, even if there is more to read at once.
            await asyncio.sleep(0)

    def _give(self, topic: str, records: Sequence[Any]) -> None:
        for record in records:
            signal = envelope.decode(record, reserved_ok=True)
            if isinstance(signal, Rejected):
                # What could not be read has a tenant only if the door found out which.
                tenant = (names.last(record.headers, names.DEAD_TENANT) or b"").decode(errors="replace")
                type_ = ""
            else:
                tenant, type_ = signal.tenant, signal.type
            self._feed.give(topic, tenant, type_, partial(described, topic, record))

    async def _catch_up(self, consumer: AIOKafkaConsumer) -> None:
        """Go on at the end if there is too much before it."""
        behind = sum(max(0, (consumer.last_stable_offset(one) or 0) - offset) for one, offset in self._at.items())
        if behind <= BEHIND_RECORDS_MAX:
            return
        ends = await consumer.end_offsets(list(self._at))
        for one, end in ends.items():
            consumer.seek(one, end)
        self._feed.skip(sum(ends[one] - self._at[one] for one in ends))
        self._at = dict(ends)
