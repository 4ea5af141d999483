"""Where every lane of every topic stands: its offsets, what is applied, what waits, how much disk it takes."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from processors.position import Position
from processors.vocabulary import topics as names
from streams.admin import KafkaAwayError, admin_client, require_topics
from streams.changelog import Changelog, committed_consumer
from streams.lanes.writer import stop_within
from streams.logdirs import sizes
from streams.settings import KafkaSettings
from streams.topics import INPUTS, TOPICS, Topic, TopicNames

ASK_SECONDS_MAX: Final = 15.0
CLOSE_SECONDS_MAX: Final = 5.0


@dataclass(frozen=True, slots=True)
class LaneStanding:
    """One lane of one topic."""

    topic: str
    lane: int
    begin: int
    stable: int
    """Up to here all transactions have ended: what a careful reader can read."""
    end: int
    applied: int | None
    """The next offset that the lane will step; None where nothing says, or nothing steps it."""
    size_bytes: int | None

    @property
    def lag(self) -> int | None:
        """How many offsets wait; None for topics that no lane steps."""
        return None if self.applied is None else max(0, self.stable - max(self.applied, self.begin))

    @property
    def open(self) -> int:
        """How many offsets belong to transactions that have not ended."""
        return self.end - self.stable


async def standings(
    kafka: KafkaSettings, topics: TopicNames, lanes: int, *, group: str, wanted: Sequence[Topic] = TOPICS
) -> list[LaneStanding]:
    """Return where each lane stands, in the topics' order. Raises what `require_topics` raises."""
    await require_topics(kafka, topics, lanes, wanted)
    partitions = {(topic.name, lane): _at(topics, topic, lane) for topic in wanted for lane in range(lanes)}
    async with committed_consumer(kafka) as consumer:
        begins = await consumer.beginning_offsets(list(partitions.values()))
        stables = await consumer.end_offsets(list(partitions.values()))
        positions = await Changelog(consumer, topics.physical(names.STATE), lanes).positions()
    ends = await _high_watermarks(kafka, list(partitions.values()))
    committed = await _committed(kafka, group, [at for (name, _), at in partitions.items() if name in INPUTS])
    on_disk = await sizes(kafka, {topics.physical(topic.name): list(range(lanes)) for topic in wanted})
    return [
        LaneStanding(
            topic=name,
            lane=lane,
            begin=begins[at],
            stable=stables[at],
            end=ends[at],
            applied=_applied(name, positions.get(lane), committed.get(at)),
            size_bytes=on_disk.get((at.topic, at.partition)),
        )
        for (name, lane), at in partitions.items()
    ]


def _at(topics: TopicNames, topic: Topic, lane: int) -> TopicPartition:
    return TopicPartition(topics.physical(topic.name), lane)


def _applied(topic: str, position: Position | None, committed: int | None) -> int | None:
    if topic not in INPUTS:
        return None
    # What the state says is the truth; the group's offsets are a fallback, and a lane that never began is at 0.
    if position is not None and topic in position.applied:
        return position.applied[topic]
    return committed or 0


async def _high_watermarks(kafka: KafkaSettings, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
    consumer = AIOKafkaConsumer(**kafka.client_options(), enable_auto_commit=False)
    try:
        async with asyncio.timeout(ASK_SECONDS_MAX):
            await consumer.start()
            found: Mapping[TopicPartition, int] = await consumer.end_offsets(partitions)
    except (KafkaError, TimeoutError, OSError) as error:
        raise KafkaAwayError(f"Kafka at {kafka.bootstrap} failed: {type(error).__name__}") from error
    finally:
        await stop_within(consumer, CLOSE_SECONDS_MAX)
    return found


async def _committed(
    kafka: KafkaSettings, group: str, partitions: Sequence[TopicPartition]
) -> Mapping[TopicPartition, int]:
    """Return the group's offsets, as far as it has any."""
    async with admin_client(kafka) as admin:
        try:
            async with asyncio.timeout(ASK_SECONDS_MAX):
                found = await admin.list_consumer_group_offsets(group, partitions=list(partitions))
        except (KafkaError, TimeoutError, OSError):
            return {}
    return {at: offset.offset for at, offset in found.items() if offset.offset >= 0}


def lag_of(standings: Sequence[LaneStanding]) -> int:
    """Return how many offsets wait in all."""
    return sum(standing.lag or 0 for standing in standings)
