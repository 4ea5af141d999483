"""Watch statuses of directives as they become visible, and note how far the lane's state had been written by then.

A transaction's end reaches its partitions one after another, so a reader of committed records may see a status a
moment before it sees the change. What must not be is that the status is visible while the change is not yet written:
then a death could leave the one without the other. So for each status this notes the end of the lane's state just
after the status was read; later it is looked whether the change, as it was committed, lies before that.
"""

import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from processors.directives.record import Status
from processors.vocabulary import topics
from tests.chaos.answers import REUSED, Seen, status_of
from tests.chaos.waiting import until
from tests.chaos.wire import AwayError, Wire

POLL_MS: Final = 20
ENDS_SECONDS_MAX: Final = 60.0


@dataclass(slots=True)
class Sight:
    """Reads `signals` as any consumer would, from the beginning of the run."""

    bootstrap: str
    prefix: str
    lanes: int
    wire: Wire
    seen: list[Seen] = field(default_factory=list)

    async def watch(self) -> None:
        """Look until cancelled."""
        consumer: Any = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=POLL_MS,
            retry_backoff_ms=50,
        )
        await consumer.start()
        try:
            partitions = [TopicPartition(self.prefix + topics.SIGNALS, lane) for lane in range(self.lanes)]
            consumer.assign(partitions)
            for partition in partitions:
                consumer.seek(partition, 0)
            while True:
                with suppress(KafkaError):
                    await self._look(await consumer.getmany(timeout_ms=POLL_MS))
        finally:
            await consumer.stop()

    async def _look(self, batch: Any) -> None:
        records = [record for found in batch.values() for record in found]
        told = [(record, found) for record in records if (found := status_of(record)) is not None]
        if not told:
            return
        now_ms = time.time_ns() // 1_000_000
        ends: list[tuple[int, ...]] = []

        async def known() -> bool:
            with suppress(AwayError):
                ends.append(await self.wire.ends(self.prefix + topics.STATE, self.lanes))
            return bool(ends)

        await until(known, ENDS_SECONDS_MAX, "the ends of the lanes' state")
        for record, (tenant, data) in told:
            status, reused = Status(data["status"]), str(data["error"]).startswith(REUSED)
            lane, age_ms = record.partition, now_ms - record.timestamp
            self.seen.append(Seen(tenant, data["key"], status, reused, lane, ends[0][lane], age_ms))
