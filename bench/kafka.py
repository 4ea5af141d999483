"""What every benchmark does with Kafka: make topics, fill them fast, ask where they end, drop what was read."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.producer.message_accumulator import BatchBuilder

BATCH_BYTES_MAX: Final = 512 * 1_024
SEGMENT_BYTES: Final = 64 * 1_048_576
"""Small segments, so that what a round has read can be dropped before the disk is full."""

TRANSACTION_MS_MAX: Final = 300_000
LOOKS_MAX: Final = 200
LOOK_SECONDS: Final = 0.02

Keyed = tuple[int, bytes, bytes]
"""Partition, key, value."""


async def make_topics(kafka: str, names: Sequence[str], partitions: int, *, compacted: bool = False) -> None:
    """Create topics with one replica."""
    configs = {"segment.bytes": str(SEGMENT_BYTES)}
    if compacted:
        configs["cleanup.policy"] = "compact"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        wanted = [NewTopic(name, partitions, 1, topic_configs=configs) for name in names]
        answer = await admin.create_topics(wanted)
        await _until_led(admin, names)
    finally:
        await admin.close()
    for topic, code, *rest in answer.topic_errors:
        if code:
            raise RuntimeError(f"Topic {topic} could not be made: error {code} {rest}. Does the broker hold old data?")


async def _until_led(admin: AIOKafkaAdminClient, names: Sequence[str]) -> None:
    """Wait until each partition has a leader: a topic that was made a moment ago has none."""
    for _ in range(LOOKS_MAX):
        found = await admin.describe_topics(list(names))
        if all(one["leader"] >= 0 for topic in found for one in topic["partitions"]) and all(
            topic["partitions"] for topic in found
        ):
            return
        await asyncio.sleep(LOOK_SECONDS)


async def fill(
    kafka: str,
    topic: str,
    records: Iterable[Keyed],
    headers: Sequence[tuple[str, bytes]] = (),
    *,
    at_once: bool = False,
) -> int:
    """Write records in large batches, each to the partition it names; return how many.

    At once: in one transaction, so that readers who wait for them see them all at the same moment.
    """
    producer: AIOKafkaProducer[bytes, bytes] = AIOKafkaProducer(
        bootstrap_servers=kafka,
        enable_idempotence=True,
        max_batch_size=BATCH_BYTES_MAX,
        transactional_id=f"{topic}-fill" if at_once else None,
        transaction_timeout_ms=TRANSACTION_MS_MAX,
    )
    await producer.start()
    if at_once:
        await producer.begin_transaction()
    carried = list(headers)
    open_: dict[int, BatchBuilder] = {}
    sent = []
    count = 0
    try:
        for partition, key, value in records:
            count += 1
            builder = open_.get(partition)
            if builder is None:
                builder = open_[partition] = producer.create_batch()
            if builder.append(timestamp=None, key=key, value=value, headers=carried) is None:
                sent.append(await producer.send_batch(builder, topic, partition=partition))
                builder = open_[partition] = producer.create_batch()
                builder.append(timestamp=None, key=key, value=value, headers=carried)
        sent.extend([await producer.send_batch(builder, topic, partition=number) for number, builder in open_.items()])
        for future in sent:
            await future
        if at_once:
            await producer.commit_transaction()
    finally:
        await producer.stop()
    return count


async def stable_ends(kafka: str, topic: str, partitions: int) -> list[int]:
    """Return the last stable offset of each partition."""
    reader = AIOKafkaConsumer(bootstrap_servers=kafka, isolation_level="read_committed", enable_auto_commit=False)
    await reader.start()
    try:
        wanted = [TopicPartition(topic, number) for number in range(partitions)]
        ends: Mapping[TopicPartition, int] = await reader.end_offsets(wanted)
        return [ends[one] for one in wanted]
    finally:
        await reader.stop()


async def drop(kafka: str, topic: str, ends: Sequence[int]) -> None:
    """Let the broker delete everything before these offsets: a round leaves nothing behind on the disk."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        wanted = {TopicPartition(topic, number): RecordsToDelete(end) for number, end in enumerate(ends)}
        await admin.delete_records(wanted)
    finally:
        await admin.close()
