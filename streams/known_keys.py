"""Read the API keys and when they were last used from their topics, from outside: once, for a command or a start."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from aiokafka.structs import TopicPartition

from processors.vocabulary import topics as names
from processors.vocabulary.access import AccessKey, is_name, unpack
from streams.admin import require_topics
from streams.changelog import committed_consumer, read_range
from streams.gateway.use import read
from streams.settings import KafkaSettings
from streams.topics import TOPICS, TopicNames


@dataclass(frozen=True, slots=True)
class KnownKeys:
    """Where the keys are. Reading raises what `require_topics` and `committed_consumer` raise."""

    kafka: KafkaSettings
    topics: TopicNames
    lanes: int

    async def keys(self) -> list[AccessKey]:
        """Return all keys as they are now, those that are dead included."""
        found = await self._newest(names.ACCESS)
        return [unpack(packed) for name, packed in found.items() if is_name(name)]

    async def last_used_ms(self) -> dict[bytes, int]:
        """Return for each key, by its name, when it was last used; those that never were are left out."""
        found = {}
        for name, packed in (await self._newest(names.KEY_USE)).items():
            try:
                found[name] = read(packed).at_ms
            except msgspec.DecodeError:
                # Whoever may write there can put anything there; a list must be shown all the same.
                continue
        return found

    async def _newest(self, topic: str) -> Mapping[bytes, bytes]:
        await require_topics(self.kafka, self.topics, self.lanes, [one for one in TOPICS if one.name == topic])
        found: dict[bytes, bytes] = {}
        async with committed_consumer(self.kafka) as consumer:
            for lane in range(self.lanes):
                partition = TopicPartition(self.topics.physical(topic), lane)
                consumer.assign([partition])
                least = (await consumer.beginning_offsets([partition]))[partition]
                end = (await consumer.end_offsets([partition]))[partition]
                async for records in read_range(consumer, partition, least, end):
                    for record in records:
                        found.pop(record.key, None)
                        if record.value is not None:
                            found[record.key] = record.value
        return found
