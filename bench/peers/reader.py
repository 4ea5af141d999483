"""The ceiling of recovery: a bare consumer that reads a changelog from its beginning and keeps nothing."""

import asyncio
import json
import time
from typing import Final

import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.peers.work import Task, task

FETCH_BYTES_MAX: Final = 4 * 1_048_576
RECORDS_MAX: Final = 10_000
POLL_MS: Final = 500


async def read(wanted: Task) -> tuple[int, float]:
    """Read up to the last stable offset; return how many records, and the seconds from the first request on."""
    reader: AIOKafkaConsumer[bytes, bytes] = AIOKafkaConsumer(
        bootstrap_servers=wanted.kafka,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        max_partition_fetch_bytes=FETCH_BYTES_MAX,
    )
    await reader.start()
    try:
        partitions = [TopicPartition(wanted.source, lane) for lane in range(wanted.lanes)]
        began = time.perf_counter()
        reader.assign(partitions)
        ends = await reader.end_offsets(partitions)
        count = 0
        while True:
            got = await reader.getmany(timeout_ms=POLL_MS, max_records=RECORDS_MAX)
            count += sum(map(len, got.values()))
            if all([await reader.position(one) >= ends[one] for one in partitions]):
                return count, time.perf_counter() - began
    finally:
        await reader.stop()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        records, seconds = runner.run(read(task()))
    print(json.dumps({"records": records, "seconds": seconds}), flush=True)
