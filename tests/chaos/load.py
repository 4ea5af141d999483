"""Send the records: an idempotent producer that never sends again, a steady trickle and bursts on top of it."""

import asyncio
import logging
import time
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tests.chaos.tenants import Sent
from tests.chaos.waiting import until

log = logging.getLogger(__name__)

BATCH_BYTES_MAX: Final = 131_072
ACKNOWLEDGED_SECONDS_MAX: Final = 120
"""Longer than any outage here: the client's own retries are to find the broker again."""
TRICKLE_SECONDS: Final = 0.1


class Source(Protocol):
    """Makes records, one after another."""

    made: int

    def take(self, count: int) -> list[Sent]:
        """Return the next records."""


@dataclass(slots=True)
class Feeder:
    """Sends to each lane in order. What was acknowledged is accepted; of the rest nobody knows."""

    bootstrap: str
    topic: str
    lanes: int
    traffic: Source
    budget: int
    accepted: set[tuple[str, int]] = field(default_factory=set)
    failed: int = 0
    _queues: list[deque[Sent]] = field(default_factory=list)
    _filled: list[asyncio.Event] = field(default_factory=list)
    _waiting: int = 0
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _producer: Any = None

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap,
            acks="all",
            enable_idempotence=True,
            max_batch_size=BATCH_BYTES_MAX,
            request_timeout_ms=ACKNOWLEDGED_SECONDS_MAX * 1_000,
            retry_backoff_ms=50,
        )
        await self._producer.start()
        self._queues = [deque() for _ in range(self.lanes)]
        self._filled = [asyncio.Event() for _ in range(self.lanes)]
        self._tasks = [asyncio.create_task(self._send(lane)) for lane in range(self.lanes)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._producer.stop()

    @property
    def left(self) -> int:
        """How many records may still be sent."""
        return self.budget - self.traffic.made

    @property
    def unacknowledged(self) -> int:
        """How many were handed over and have no answer yet, or a bad one."""
        return self.traffic.made - len(self.accepted)

    @property
    def on_the_way(self) -> bool:
        """Whether some have no answer yet."""
        return self._waiting > 0

    def burst(self, count: int) -> int:
        """Hand records over at once; return how many, for the budget is not exceeded."""
        count = min(count, self.left)
        for record in self.traffic.take(count):
            self._queues[record.lane].append(record)
            self._filled[record.lane].set()
        self._waiting += count
        return count

    async def trickle(self, per_second: float, until_left: int) -> None:
        """Hand records over steadily until only so many are left."""
        began, handed = time.monotonic(), 0
        while self.left > until_left:
            due = int((time.monotonic() - began) * per_second) - handed
            handed += self.burst(min(due, self.left - until_left))
            await asyncio.sleep(TRICKLE_SECONDS)

    async def flush(self) -> None:
        """Wait until each record has its answer."""

        async def answered() -> bool:
            return self._waiting == 0

        await until(answered, ACKNOWLEDGED_SECONDS_MAX, "acknowledgements of all that was sent")

    async def _send(self, lane: int) -> None:
        queue, filled = self._queues[lane], self._filled[lane]
        while True:
            await filled.wait()
            filled.clear()
            while queue:
                builder, batch = self._producer.create_batch(), []
                while queue and _append(builder, queue[0]):
                    batch.append(queue.popleft())
                try:
                    answer = await self._producer.send_batch(builder, self.topic, partition=lane)
                except KafkaError as error:
                    self._answered(batch, error)
                    continue
                answer.add_done_callback(partial(self._done, batch))

    def _done(self, batch: list[Sent], answer: "asyncio.Future[Any]") -> None:
        self._answered(batch, asyncio.CancelledError() if answer.cancelled() else answer.exception())

    def _answered(self, batch: list[Sent], error: BaseException | None) -> None:
        self._waiting -= len(batch)
        if error is None:
            self.accepted.update((record.tenant, record.number) for record in batch)
        else:
            self.failed += len(batch)
            log.warning("%d records were not acknowledged: %r", len(batch), error)


def _append(builder: Any, record: Sent) -> bool:
    added = builder.append(
        timestamp=int(time.time() * 1_000), key=record.key, value=record.value, headers=record.headers
    )
    return added is not None
