"""Follow what each lane has applied: its position once, then its journal, which is one small record a commit."""

from typing import Any, Final

import msgspec
from aiokafka.structs import TopicPartition

from processors import journal
from processors.vocabulary import topics as names
from streams.changelog import Changelog, committed_consumer
from streams.prober.asking import Place, away
from streams.settings import KafkaSettings
from streams.topics import TopicNames

RECORDS_MAX: Final = 5_000
ROUNDS_MAX: Final = 20
"""Of one look. What is left is taken up by the next one."""


class Applied:
    """Topic and lane → the next offset that the lane will step. A lane that never began has none."""

    def __init__(self, kafka: KafkaSettings, topics: TopicNames, lanes: int) -> None:
        self.offsets: dict[Place, int] = {}
        self.unreadable = 0
        """Entries of a newer version's: what they say is not known."""
        self._kafka = kafka
        self._topics = topics
        self._lanes = lanes
        self._partitions = [TopicPartition(topics.physical(names.JOURNAL), lane) for lane in range(lanes)]
        self._consumer: Any = None

    async def begin(self, consumer: Any) -> None:
        """Read the positions, and stand where the journals ended before that."""
        self._consumer = consumer
        consumer.assign(self._partitions)
        async with away():
            ends = await consumer.end_offsets(self._partitions)
        async with committed_consumer(self._kafka) as reader:
            positions = await Changelog(reader, self._topics.physical(names.STATE), self._lanes).positions()
        for lane, position in positions.items():
            for topic, offset in position.applied.items():
                self._reach((topic, lane), offset)
        for partition, end in ends.items():
            consumer.seek(partition, end)

    async def look(self) -> None:
        """Take in what was committed since."""
        for _ in range(ROUNDS_MAX):
            async with away():
                found = await self._consumer.getmany(timeout_ms=0, max_records=RECORDS_MAX)
            for partition, records in found.items():
                for record in records:
                    self._take(partition.partition, record.value or b"")
            if not found:
                return

    def _take(self, lane: int, packed: bytes) -> None:
        try:
            entry = journal.unpack(packed)
        except msgspec.DecodeError:
            entry = None
        if entry is None:
            self.unreadable += 1
            return
        for topic, _, after in entry.ranges:
            self._reach((topic, lane), after)

    def _reach(self, place: Place, offset: int) -> None:
        self.offsets[place] = max(self.offsets.get(place, 0), offset)
