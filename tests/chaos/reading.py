"""Read topics back as any other consumer would: committed records only, up to the last stable offset."""

from collections.abc import AsyncIterator
from typing import Any, Final, Self

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from tests.chaos.waiting import TooLateError

READ_SECONDS_MAX: Final = 60.0
FETCH_BYTES_MAX: Final = 4 * 1_048_576
POLL_MS: Final = 50


class Log:
    """One topic, read from its beginning, then on from where the last reading ended."""

    def __init__(self, bootstrap: str, topic: str, lanes: int) -> None:
        self._partitions = [TopicPartition(topic, lane) for lane in range(lanes)]
        self._consumer: Any = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=FETCH_BYTES_MAX,
            fetch_max_wait_ms=POLL_MS,
        )

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        self._consumer.assign(self._partitions)
        for partition in self._partitions:
            self._consumer.seek(partition, 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def rest(self) -> AsyncIterator[Any]:
        """Yield the records from the last reading's end to what is stable now, those of a lane in their order."""
        ends = await self._consumer.end_offsets(self._partitions)

        async def over() -> bool:
            return all([await self._consumer.position(partition) >= ends[partition] for partition in ends])

        waited = 0.0
        while not await over():
            found = await self._consumer.getmany(timeout_ms=POLL_MS)
            waited = 0.0 if found else waited + POLL_MS / 1_000
            if waited > READ_SECONDS_MAX:
                raise TooLateError(f"{self._partitions[0].topic}: nothing more to read before its end")
            for records in found.values():
                for record in records:
                    yield record
