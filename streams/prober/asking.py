"""Asking Kafka from the background: bounded in time, with one error for all that can be wrong with it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from streams.admin import KafkaAwayError
from streams.settings import KafkaSettings

ASK_SECONDS_MAX: Final = 10.0
CLOSE_SECONDS_MAX: Final = 3.0

Place: TypeAlias = tuple[str, int]
"""Topic, as Hopline calls it, and lane."""


@asynccontextmanager
async def away(seconds: float = ASK_SECONDS_MAX) -> AsyncIterator[None]:
    """Bound what is asked in a block, and raise `KafkaAwayError` for each failure of Kafka's in it."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise KafkaAwayError("Kafka did not answer in time") from error
    except (KafkaError, OSError) as error:
        raise KafkaAwayError(f"Kafka failed: {type(error).__name__}: {error}") from error


def consumer(kafka: KafkaSettings, *, committed: bool, partition_bytes_max: int, wait_ms: int = 200) -> Any:
    """Return a consumer without a group."""
    return AIOKafkaConsumer(
        **kafka.client_options(),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed" if committed else "read_uncommitted",
        max_partition_fetch_bytes=partition_bytes_max,
        fetch_max_wait_ms=wait_ms,
        retry_backoff_ms=50,
    )


async def asked(
    ask: Callable[[list[TopicPartition]], Coroutine[Any, Any, Mapping[TopicPartition, int]]],
    places: Mapping[Place, TopicPartition],
    wanted: Sequence[Place],
) -> dict[Place, int]:
    """Return what a consumer answers about partitions: where they begin or end."""
    async with away():
        found = await ask([places[place] for place in wanted])
    return {place: found[places[place]] for place in wanted}
