"""Read the past of alerts from the topic `alerts`, from outside of any watch."""

import asyncio
from collections import deque
from typing import Final

from processors.vocabulary import topics as names
from streams.admin import require_topics
from streams.changelog import assign_whole, committed_consumer, read_range
from streams.settings import KafkaSettings, Settings
from streams.topics import TOPICS
from streams.watch.alertlog import LANE
from streams.watch.words import ToldChange, change_of

SEEK_SECONDS_MAX: Final = 15.0


async def history_of(
    settings: Settings,
    kafka: KafkaSettings,
    *,
    since_ms: int,
    limit: int,
    alert: str | None = None,
    tenant: str | None = None,
) -> list[ToldChange]:
    """Return the newest changes since a time, the oldest of them first. Raises what `require_topics` raises."""
    await require_topics(kafka, settings.topics, settings.lanes, [one for one in TOPICS if one.name == names.ALERTS])
    found: deque[ToldChange] = deque(maxlen=limit)
    async with committed_consumer(kafka) as consumer:
        partition, _, end = await assign_whole(consumer, settings.topics.physical(names.ALERTS), LANE)
        async with asyncio.timeout(SEEK_SECONDS_MAX):
            at = (await consumer.offsets_for_times({partition: since_ms})).get(partition)
        # Nothing so new: then there is nothing to read.
        async for records in read_range(consumer, partition, end if at is None else at.offset, end):
            for record in records:
                change = change_of(record.value)
                if change is None or (alert is not None and change.alert != alert):
                    continue
                if tenant is None or change.labels.get("tenant") == tenant:
                    found.append(change)
    return list(found)
