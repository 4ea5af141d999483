"""Write one record for a command, and wait until Kafka has it."""

import asyncio
import os
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from processors.vocabulary.ids import uuid7
from processors.vocabulary.partition import lane_of
from processors.vocabulary.record import Headers
from streams.admin import KafkaAwayError, require_topics
from streams.cli.access import Access
from streams.clock import wall_ms
from streams.lanes.writer import stop_within
from streams.topics import TOPICS

SEND_SECONDS_MAX: Final = 15.0
CLOSE_SECONDS_MAX: Final = 5.0


@dataclass(frozen=True, slots=True)
class Sent:
    """Where a record stands."""

    topic: str
    lane: int
    offset: int


def new_id() -> str:
    """Return a UUIDv7 of now."""
    return uuid7(wall_ms(), os.urandom(10))


async def send_record(at: Access, topic: str, tenant: str, value: bytes | None, headers: Headers) -> Sent:
    """Write one record into its tenant's lane. Raises what `require_topics` raises."""
    wanted = [one for one in TOPICS if one.name == topic]
    await require_topics(at.kafka, at.topics, at.lanes, wanted)
    producer = AIOKafkaProducer(
        **at.kafka.client_options(),
        acks="all",
        enable_idempotence=True,
        max_request_size=max(one.message_bytes_max for one in wanted),
    )
    try:
        async with asyncio.timeout(SEND_SECONDS_MAX):
            await producer.start()
            written = await producer.send_and_wait(
                at.topics.physical(topic),
                value,
                key=tenant.encode(),
                partition=lane_of(tenant.encode(), at.lanes),
                headers=list(headers),
            )
    except (KafkaError, TimeoutError, OSError) as error:
        raise KafkaAwayError(
            f"Kafka at {at.kafka.bootstrap} did not confirm the record ({type(error).__name__}), "
            "so it may be written or not"
        ) from error
    finally:
        await stop_within(producer, CLOSE_SECONDS_MAX)
    return Sent(written.topic, written.partition, written.offset)
