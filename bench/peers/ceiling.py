"""The ceiling: a bare aiokafka transactional loop that copies records and does no work."""

import asyncio
import signal
from typing import Final

import aiokafka.producer.sender
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bench.peers.work import Report, Task, task

TRANSACTION_RECORDS_MAX: Final = 2_000
FETCH_BYTES_MAX: Final = 4 * 1_048_576
BATCH_BYTES_MAX: Final = 256 * 1_024
IDLE_MS: Final = 200
WAIT_MS: Final = 20
"""aiokafka has one fetch under way at a broker. One that waits for some partitions keeps the others waiting, too."""


async def copy(wanted: Task, report: Report) -> None:
    """Copy until told to stop."""
    # After a transaction aiokafka waits a fixed 20 ms for the broker to be ready for the next one; it need not.
    aiokafka.producer.sender.BACKOFF_OVERRIDE = 0.002
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    reader: AIOKafkaConsumer[bytes, bytes] = AIOKafkaConsumer(
        bootstrap_servers=wanted.kafka,
        group_id=wanted.name,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
        max_partition_fetch_bytes=FETCH_BYTES_MAX,
        fetch_max_wait_ms=WAIT_MS,
    )
    writer: AIOKafkaProducer[bytes, bytes] = AIOKafkaProducer(
        bootstrap_servers=wanted.kafka,
        transactional_id=wanted.name,
        retry_backoff_ms=5,
        linger_ms=0,
        max_batch_size=BATCH_BYTES_MAX,
    )
    await reader.start()
    try:
        reader.assign([TopicPartition(wanted.source, lane) for lane in range(wanted.lanes)])
        await writer.start()
        try:
            while not stop.is_set():
                await _transaction(wanted, reader, writer, report)
        finally:
            await writer.stop()
    finally:
        await reader.stop()


async def _transaction(
    wanted: Task,
    reader: "AIOKafkaConsumer[bytes, bytes]",
    writer: "AIOKafkaProducer[bytes, bytes]",
    report: Report,
) -> None:
    got = await reader.getmany(timeout_ms=IDLE_MS, max_records=TRANSACTION_RECORDS_MAX)
    if not got:
        return
    await writer.begin_transaction()
    offsets = {}
    for partition, records in got.items():
        report.consumed(len(records))
        for record in records:
            await writer.send(wanted.sink, record.value, key=record.key, partition=partition.partition)
        offsets[partition] = records[-1].offset + 1
    await writer.send_offsets_to_transaction(offsets, wanted.name)
    await writer.commit_transaction()
    report.committed()


if __name__ == "__main__":
    ours = Report()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(copy(task(), ours))
    ours.print(f"{TRANSACTION_RECORDS_MAX} records at most", "aiokafka", "uvloop")
