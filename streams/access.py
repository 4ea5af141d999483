"""Read the `access` topic once, whole: who may use the gateways and how much."""

from aiokafka.structs import TopicPartition

from processors.vocabulary import topics as names
from streams.admin import require_topics
from streams.changelog import committed_consumer, read_range
from streams.settings import KafkaSettings
from streams.topics import TOPICS, TopicNames


async def read_access(kafka: KafkaSettings, topics: TopicNames, lanes: int) -> dict[str, bytes]:
    """Return the newest value of each key. Raises what `require_topics` raises."""
    await require_topics(kafka, topics, lanes, [topic for topic in TOPICS if topic.name == names.ACCESS])
    found: dict[str, bytes] = {}
    async with committed_consumer(kafka) as consumer:
        for lane in range(lanes):
            partition = TopicPartition(topics.physical(names.ACCESS), lane)
            consumer.assign([partition])
            least = (await consumer.beginning_offsets([partition]))[partition]
            end = (await consumer.end_offsets([partition]))[partition]
            async for records in read_range(consumer, partition, least, end):
                for record in records:
                    key = (record.key or b"").decode(errors="replace")
                    if record.value is None:
                        found.pop(key, None)
                    else:
                        found[key] = record.value
    return found
