"""Read lanes' state from the `state` topic, from outside: no lane is owned or touched by it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from processors import position
from processors.ingest import replay as replay_state
from processors.ingest.tenant import HOP, Account, Policy, account_key
from processors.position import POSITION_KEY, Position
from processors.state import VALUE_KIND
from processors.vocabulary import topics as names
from processors.vocabulary.partition import lane_of
from streams.admin import KafkaAwayError, require_topics
from streams.lanes.writer import stop_within
from streams.settings import KafkaSettings
from streams.topics import TOPICS, TopicNames

START_SECONDS_MAX: Final = 15.0
STALLED_SECONDS_MAX: Final = 30.0
CLOSE_SECONDS_MAX: Final = 5.0
WINDOW_RECORDS: Final = 2_000
"""Looked through first, from the end; four times as many each time that nothing was found."""
WINDOW_GROWTH: Final = 4
FETCH_BYTES_MAX: Final = 4 * 1_048_576
_ACCOUNT_PREFIX: Final = VALUE_KIND
_ACCOUNT_SUFFIX: Final = b"\x00%b\x00account" % HOP.encode()
_REPLAYS_SUFFIX: Final = replay_state.replays_key("").removeprefix(VALUE_KIND)


@asynccontextmanager
async def committed_consumer(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaConsumer]:
    """Give a consumer without a group that reads committed records only. Raises `KafkaAwayError`."""
    consumer = AIOKafkaConsumer(
        **kafka.client_options(),
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=FETCH_BYTES_MAX,
        fetch_max_wait_ms=100,
        retry_backoff_ms=50,
    )
    try:
        async with asyncio.timeout(START_SECONDS_MAX):
            await consumer.start()
        yield consumer
    except TimeoutError as error:
        raise KafkaAwayError(f"Kafka at {kafka.bootstrap} did not answer in time; is it overloaded?") from error
    except (KafkaError, OSError) as error:
        raise KafkaAwayError(f"Kafka at {kafka.bootstrap} failed: {type(error).__name__}: {error}") from error
    finally:
        await stop_within(consumer, CLOSE_SECONDS_MAX)


async def assign_whole(consumer: AIOKafkaConsumer, topic: str, lane: int) -> tuple[TopicPartition, int, int]:
    """Assign one partition and nothing else; return it, its first offset, and the one behind what is committed."""
    partition = TopicPartition(topic, lane)
    consumer.assign([partition])
    least = (await consumer.beginning_offsets([partition]))[partition]
    # The last stable offset, for the consumer reads committed records only.
    end = (await consumer.end_offsets([partition]))[partition]
    return partition, least, end


async def read_range(
    consumer: AIOKafkaConsumer, partition: TopicPartition, start: int, end: int
) -> AsyncIterator[Sequence[Any]]:
    """Yield the committed records of an assigned partition from `start` up to `end`, not included."""
    consumer.seek(partition, start)
    at = start
    while at < end:
        async with asyncio.timeout(STALLED_SECONDS_MAX):
            found: Sequence[Any] = ()
            # Markers and aborted records move the position, too.
            while not found and at < end:
                found = (await consumer.getmany(partition, timeout_ms=100)).get(partition, ())
                at = await consumer.position(partition)
        inside = [record for record in found if record.offset < end]
        if inside:
            yield inside


async def newest_of(
    consumer: AIOKafkaConsumer, topic: str, lane: int, keeps: Callable[[bytes], bool] = lambda _: True
) -> dict[bytes, bytes]:
    """Return the newest values of a compacted topic's lane, what was written last behind the others. Reads it whole."""
    partition, least, end = await assign_whole(consumer, topic, lane)
    found: dict[bytes, bytes] = {}
    async for records in read_range(consumer, partition, least, end):
        for record in records:
            key = record.key or b""
            if not keeps(key):
                continue
            found.pop(key, None)
            if record.value is not None:
                found[key] = record.value
    return found


async def newest_everywhere(kafka: KafkaSettings, topics: TopicNames, lanes: int, topic: str) -> dict[bytes, bytes]:
    """Return the newest values of all lanes of a compacted topic. Raises what `require_topics` raises."""
    await require_topics(kafka, topics, lanes, [one for one in TOPICS if one.name == topic])
    found: dict[bytes, bytes] = {}
    async with committed_consumer(kafka) as consumer:
        for lane in range(lanes):
            found.update(await newest_of(consumer, topics.physical(topic), lane))
    return found


@dataclass(frozen=True, slots=True)
class Changelog:
    """The `state` topic of all lanes, as a consumer sees it that has nothing else assigned."""

    consumer: AIOKafkaConsumer
    topic: str
    lanes: int

    async def newest(self, lane: int, keys: Collection[bytes]) -> dict[bytes, bytes]:
        """Return the newest values of some keys; those that are not there are left out."""
        partition, least, end = await assign_whole(self.consumer, self.topic, lane)
        wanted, found = set(keys), dict[bytes, bytes | None]()
        window = WINDOW_RECORDS
        while end > least and wanted - found.keys():
            start = max(least, end - window)
            part: dict[bytes, bytes | None] = {}
            async for records in read_range(self.consumer, partition, start, end):
                part.update((record.key, record.value) for record in records if record.key in wanted)
            found = {**part, **found}
            end, window = start, window * WINDOW_GROWTH
        return {key: value for key, value in found.items() if value is not None}

    async def fold(self, lane: int, keeps: Callable[[bytes], bool]) -> dict[bytes, bytes]:
        """Return the newest values of all keys that are to be kept: reads the lane's whole changelog."""
        return await newest_of(self.consumer, self.topic, lane, keeps)

    async def position(self, lane: int) -> Position | None:
        """Return where a lane stands; None if it never began."""
        packed = (await self.newest(lane, (POSITION_KEY,))).get(POSITION_KEY)
        return None if packed is None else position.unpack(packed)

    async def positions(self) -> dict[int, Position]:
        """Return where each lane stands that has begun."""
        found = {}
        for lane in range(self.lanes):
            at = await self.position(lane)
            if at is not None:
                found[lane] = at
        return found

    async def account(self, tenant: str, default: Policy) -> Account | None:
        """Return a tenant's account; None if there is none."""
        key = account_key(tenant)
        packed = (await self.newest(lane_of(tenant.encode(), self.lanes), (key,))).get(key)
        return None if packed is None else Account.load(packed, default)

    async def accounts(self, lane: int, default: Policy) -> Mapping[str, Account]:
        """Return all accounts of a lane."""
        packed = await self.fold(lane, _is_account)
        return {_tenant_of(key): Account.load(value, default) for key, value in packed.items()}

    async def replays_queued(self, lane: int) -> int:
        """Return how many records wait in the queues of replays."""
        packed = await self.fold(lane, _is_replays)
        return sum(replay.account.queued for value in packed.values() for replay in replay_state.unpack(value).values())


async def records_of(changelog: Changelog, topics: TopicNames, topic: str, lane: int) -> list[Any]:
    """Return the committed records of a topic's lane, from its beginning."""
    partition, least, end = await assign_whole(changelog.consumer, topics.physical(topic), lane)
    return [record async for records in read_range(changelog.consumer, partition, least, end) for record in records]


@asynccontextmanager
async def open_changelog(kafka: KafkaSettings, topics: TopicNames, lanes: int) -> AsyncIterator[Changelog]:
    """Give the changelog for reading. Raises what `require_topics` raises."""
    await require_topics(kafka, topics, lanes, [topic for topic in TOPICS if topic.name == names.STATE])
    async with committed_consumer(kafka) as consumer:
        yield Changelog(consumer, topics.physical(names.STATE), lanes)


def _is_replays(key: bytes) -> bool:
    return key.startswith(_ACCOUNT_PREFIX) and key.endswith(_REPLAYS_SUFFIX)


def _is_account(key: bytes) -> bool:
    return key.startswith(_ACCOUNT_PREFIX) and key.endswith(_ACCOUNT_SUFFIX)


def _tenant_of(key: bytes) -> str:
    return key[len(_ACCOUNT_PREFIX) : -len(_ACCOUNT_SUFFIX)].decode()
