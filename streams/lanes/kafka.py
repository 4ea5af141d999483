"""The lane's ports on a real cluster, by aiokafka: fence, committed offsets, changelog, reader."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, ProducerFenced
from aiokafka.structs import TopicPartition

from processors.vocabulary import topics as names
from processors.vocabulary.record import Record
from streams.lanes.ports import LaneLostError, OutcomeUnknownError
from streams.lanes.writer import (
    BATCH_BYTES_MAX,
    FENCE_SECONDS_MAX,
    PATIENT_BACKOFF_MS,
    TransactionalWriter,
    stop_within,
)
from streams.settings import KafkaSettings
from streams.topics import TopicNames

log = logging.getLogger(__name__)

TRANSACTION_TIMEOUT_MS: Final = 12_000
FETCH_BYTES_MAX: Final = 2 * 1_048_576
"""Of one partition at a time: with the lanes a worker owns, this bounds what it holds in memory."""
REQUEST_SECONDS_MAX: Final = 15.0
CLOSE_SECONDS_MAX: Final = 5.0
RESTORE_RECORDS_MAX: Final = 10_000
RESTORE_STALLED_SECONDS_MAX: Final = 30.0


@dataclass(frozen=True, slots=True)
class ChangelogPart:
    """See `ports.ChangelogBatch`."""

    changes: Mapping[bytes, bytes | None]
    next_offset: int
    end_offset: int
    restart: bool = False


class ClusterLanes:
    """Opens what one lane's owner needs, on one cluster, for one application."""

    def __init__(
        self,
        settings: KafkaSettings,
        topics: TopicNames,
        *,
        application: str,
        inputs: Sequence[str],
        fetch_wait_ms: int = 500,
        tells: bool = True,
    ) -> None:
        self._client = settings.client_options()
        self._topics = topics
        self._application = application
        self._inputs = inputs
        self._fetch_wait_ms = fetch_wait_ms
        self._tells = tells

    async def fence(self, lane: int) -> TransactionalWriter:
        """See `ports.Kafka.fence`."""
        producer = AIOKafkaProducer(
            **self._client,
            transactional_id=f"{self._application}-lane-{lane}",
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            retry_backoff_ms=PATIENT_BACKOFF_MS,
            max_batch_size=BATCH_BYTES_MAX,
            linger_ms=0,
        )
        try:
            async with asyncio.timeout(FENCE_SECONDS_MAX):
                await producer.start()
        except BaseException as error:
            await stop_within(producer, CLOSE_SECONDS_MAX)
            if isinstance(error, ProducerFenced):
                raise LaneLostError(str(error)) from error
            if isinstance(error, KafkaError | TimeoutError | OSError):
                message = f"cannot fence lane {lane}: {type(error).__name__}: {error}"
                raise OutcomeUnknownError(message) from error
            raise
        return TransactionalWriter(producer, self._topics, lane=lane, group=self._application, tells=self._tells)

    async def committed(self, lane: int) -> Mapping[str, int]:
        """See `ports.Kafka.committed`."""
        admin = AIOKafkaAdminClient(**self._client, request_timeout_ms=10_000)
        try:
            async with asyncio.timeout(REQUEST_SECONDS_MAX):
                await admin.start()
                partitions = [self._partition(topic, lane) for topic in self._inputs]
                found = await admin.list_consumer_group_offsets(self._application, partitions=partitions)
        except (KafkaError, TimeoutError, OSError) as error:
            message = f"cannot read the group's offsets: {type(error).__name__}: {error}"
            raise OutcomeUnknownError(message) from error
        finally:
            await stop_within(Closing(admin.close), CLOSE_SECONDS_MAX)
        return {self._topics.logical(partition.topic): at.offset for partition, at in found.items() if at.offset >= 0}

    def _partition(self, topic: str, lane: int) -> TopicPartition:
        return TopicPartition(self._topics.physical(topic), lane)

    def _consumer(self, *, wait_ms: int) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            **self._client,
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=FETCH_BYTES_MAX,
            fetch_max_bytes=4 * FETCH_BYTES_MAX,
            fetch_max_wait_ms=wait_ms,
            retry_backoff_ms=PATIENT_BACKOFF_MS,
        )

    async def changelog(self, lane: int, start: int | None) -> AsyncIterator[ChangelogPart]:
        """See `ports.Kafka.changelog`."""
        partition = self._partition(names.STATE, lane)
        consumer = self._consumer(wait_ms=50)
        try:
            async with asyncio.timeout(REQUEST_SECONDS_MAX):
                await consumer.start()
                consumer.assign([partition])
                least = (await consumer.beginning_offsets([partition]))[partition]
                # The last stable offset, for the consumer reads committed records only; after the
                # fence nothing of this lane's is open below the end.
                end = (await consumer.end_offsets([partition]))[partition]
            position = least if start is None or not least <= start <= end else start
            if start is not None and position != start:
                yield ChangelogPart({}, position, end, restart=True)
            consumer.seek(partition, position)
            while position < end:
                part = await self._part(consumer, partition, end)
                position = part.next_offset
                yield part
        except (KafkaError, TimeoutError, OSError) as error:
            message = f"cannot read the changelog of lane {lane}: {type(error).__name__}: {error}"
            raise OutcomeUnknownError(message) from error
        finally:
            await stop_within(consumer, CLOSE_SECONDS_MAX)

    async def _part(self, consumer: AIOKafkaConsumer, partition: TopicPartition, end: int) -> ChangelogPart:
        """Return the next records. Markers and aborted records move the position, too."""
        async with asyncio.timeout(RESTORE_STALLED_SECONDS_MAX):
            before = await consumer.position(partition)
            while True:
                found = await consumer.getmany(partition, timeout_ms=100, max_records=RESTORE_RECORDS_MAX)
                position = await consumer.position(partition)
                if found or position > before:
                    break
        changes = {record.key: record.value for record in found.get(partition, ())}
        return ChangelogPart(changes, position, end)

    async def read(self, lane: int, start: Mapping[str, int]) -> "LaneReader":
        """See `ports.Kafka.read`."""
        consumer = self._consumer(wait_ms=self._fetch_wait_ms)
        partitions = {self._partition(topic, lane): topic for topic in self._inputs}
        try:
            async with asyncio.timeout(REQUEST_SECONDS_MAX):
                await consumer.start()
                consumer.assign(list(partitions))
                least = await consumer.beginning_offsets(list(partitions))
        except (KafkaError, TimeoutError, OSError) as error:
            await stop_within(consumer, CLOSE_SECONDS_MAX)
            message = f"cannot read lane {lane}: {type(error).__name__}: {error}"
            raise OutcomeUnknownError(message) from error
        positions = {}
        for partition, topic in partitions.items():
            positions[topic] = max(start.get(topic, 0), least[partition])
            consumer.seek(partition, positions[topic])
        return LaneReader(consumer, partitions, positions)


class LaneReader:
    """See `ports.Reader`."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        partitions: Mapping[TopicPartition, str],
        positions: dict[str, int],
    ) -> None:
        self._consumer = consumer
        self._partitions = partitions
        self._positions = positions

    async def fetch(self, records_max: int, wait_ms: int) -> Mapping[str, Sequence[Record]]:
        """See `ports.Reader.fetch`."""
        try:
            found = await self._consumer.getmany(timeout_ms=wait_ms, max_records=records_max)
            # The consumer's position, not the last record's: markers take offsets, too.
            for partition, topic in self._partitions.items():
                self._positions[topic] = await self._consumer.position(partition)
        except (KafkaError, OSError) as error:
            message = f"cannot fetch: {type(error).__name__}: {error}"
            raise OutcomeUnknownError(message) from error
        return {self._partitions[partition]: records for partition, records in found.items()}

    def positions(self) -> Mapping[str, int]:
        """See `ports.Reader.positions`."""
        return self._positions

    def lag(self) -> dict[str, int]:
        """Return for each topic the records up to the last stable offset that are not read yet."""
        found = {}
        for partition, topic in self._partitions.items():
            stable = self._consumer.last_stable_offset(partition)
            if stable is not None:
                found[topic] = max(0, stable - self._positions[topic])
        return found

    async def close(self) -> None:
        """See `ports.Reader.close`."""
        await stop_within(self._consumer, CLOSE_SECONDS_MAX)


@dataclass(frozen=True, slots=True)
class Closing:
    """An admin client as one that is stopped: it says `close`."""

    close: Callable[[], Coroutine[Any, Any, None]]

    def stop(self) -> Coroutine[Any, Any, None]:
        """See `streams.lanes.writer.Stoppable`."""
        return self.close()
