"""Reads all that the ledger check needs, by two consumers of its own: committed records, and where partitions end."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from aiokafka.structs import TopicPartition

from processors.ledger.books import TOPICS
from streams.admin import require_topics
from streams.lanes.writer import stop_within
from streams.prober.asking import CLOSE_SECONDS_MAX, Place, asked, away, consumer
from streams.settings import KafkaSettings
from streams.topics import TOPICS as ALL_TOPICS
from streams.topics import TopicNames

START_SECONDS_MAX: Final = 15.0
BYTES_MAX: Final = 64 * 1_048_576
"""Read ahead in all partitions together."""
PARTITION_BYTES_MAX: Final = 262_144
PARTITION_BYTES_MIN: Final = 16_384
RECORDS_MAX: Final = 2_000
"""Of one poll, so that others of the same process get their turn."""


class LedgerReader:
    """All partitions of all lanes that the check looks at. Raises `KafkaAwayError` whatever it is asked."""

    def __init__(self, kafka: KafkaSettings, topics: TopicNames, lanes: int) -> None:
        self._kafka = kafka
        self._topics = topics
        self._lanes = lanes
        self.places: Final[Sequence[Place]] = [(topic, lane) for topic in TOPICS for lane in range(lanes)]
        self._at = {place: TopicPartition(topics.physical(place[0]), place[1]) for place in self.places}
        self._place = {at: place for place, at in self._at.items()}
        share = max(PARTITION_BYTES_MIN, min(PARTITION_BYTES_MAX, BYTES_MAX // len(self.places)))
        self._consumer = consumer(kafka, committed=True, partition_bytes_max=share)
        self._raw = consumer(kafka, committed=False, partition_bytes_max=share)

    async def open(self) -> None:
        """Connect. Raises what `require_topics` raises, too."""
        await require_topics(
            self._kafka, self._topics, self._lanes, [topic for topic in ALL_TOPICS if topic.name in TOPICS]
        )
        async with away(START_SECONDS_MAX):
            await self._consumer.start()
            await self._raw.start()
        self._consumer.assign(list(self._at.values()))

    async def close(self) -> None:
        """Let go of Kafka."""
        await asyncio.gather(stop_within(self._consumer, CLOSE_SECONDS_MAX), stop_within(self._raw, CLOSE_SECONDS_MAX))

    def seek(self, offsets: Mapping[Place, int]) -> None:
        """Go on from these offsets."""
        for place, offset in offsets.items():
            self._consumer.seek(self._at[place], offset)

    async def poll(self, wanted: Iterable[Place], wait_ms: int) -> dict[Place, Sequence[Any]]:
        """Return the next committed records of some partitions; nothing if there is none for so long."""
        async with away():
            found = await self._consumer.getmany(
                *(self._at[place] for place in wanted), timeout_ms=wait_ms, max_records=RECORDS_MAX
            )
        return {self._place[at]: records for at, records in found.items()}

    async def positions(self) -> dict[Place, int]:
        """Return up to where each partition was read: markers and aborted records count as read."""
        async with away():
            return {place: await self._consumer.position(at) for place, at in self._at.items()}

    async def ends(self) -> dict[Place, int]:
        """Return the high watermarks."""
        return await self._asked(self._raw.end_offsets)

    async def stable(self) -> dict[Place, int]:
        """Return the last stable offsets."""
        return await self._asked(self._consumer.end_offsets)

    async def begins(self) -> dict[Place, int]:
        """Return the first offsets that retention has left."""
        return await self._asked(self._raw.beginning_offsets)

    async def at_time(self, at_ms: int) -> dict[Place, int]:
        """Return the first offset of that time or later; the end where there is none."""
        ends = await self.ends()
        async with away():
            found = await self._raw.offsets_for_times(dict.fromkeys(self._at.values(), at_ms))
        later = {self._place[at]: where.offset for at, where in found.items() if where is not None}
        return {place: later.get(place, end) for place, end in ends.items()}

    async def _asked(self, ask: Any) -> dict[Place, int]:
        return await asked(ask, self._at, self.places)
