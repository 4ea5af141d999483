"""Pack events of many requests into one batch a lane, while the batch before it is on its way.

One by one the producer takes as long for an event as the gateway does for all the rest. What is added waits for
nothing but the batch before it: the less there is to do, the smaller batches are.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from aiokafka import AIOKafkaProducer

from processors.vocabulary.record import Header
from streams.tasks import ended

Place: TypeAlias = tuple[str, int]
"""A topic's name on the cluster, and a lane."""
Handed: TypeAlias = tuple[asyncio.Future[Any], int]
"""What Kafka will answer for a batch, and which of its records is meant."""
_ENDED: Final = "the producer was given up"


@dataclass(slots=True)
class _Packet:
    """A batch that is filled, or waits for its turn."""

    batch: Any
    answer: "asyncio.Future[Any]"
    count: int = 0


@dataclass(slots=True)
class Packer:
    """The batches of one producer that are not on their way yet. What is added together is bounded by who adds."""

    producer: AIOKafkaProducer
    _waiting: dict[Place, deque[_Packet]] = field(default_factory=dict)
    _sending: "set[asyncio.Task[None]]" = field(default_factory=set)

    def add(self, place: Place, key: bytes, value: bytes | None, headers: list[Header]) -> Handed:
        """Put a record behind those of its lane; it is on its way as soon as the batch before it is."""
        packets = self._waiting.get(place)
        if packets is None:
            packets = self._waiting[place] = deque()
            sending = asyncio.create_task(self._send(place, packets))
            self._sending.add(sending)
            sending.add_done_callback(self._sending.discard)
        packet = packets[-1] if packets else None
        if packet is None or packet.batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
            packet = _Packet(self.producer.create_batch(), asyncio.get_running_loop().create_future())
            # The first one always finds room.
            packet.batch.append(timestamp=None, key=key, value=value, headers=headers)
            packets.append(packet)
        packet.count += 1
        return packet.answer, packet.count - 1

    async def _send(self, place: Place, packets: deque[_Packet]) -> None:
        """Send a lane's batches one after the other, until none is left."""
        topic, lane = place
        while packets:
            # Added to until now: `send_batch` waits for its turn before it takes the batch, and others add meanwhile.
            packet = packets.popleft()
            try:
                sent = await self.producer.send_batch(packet.batch, topic, partition=lane)
            except Exception as error:  # boundary: whoever added to it is told, and the lane's next batch is tried
                packet.answer.set_exception(error)
                packet.answer.exception()
            else:
                sent.add_done_callback(_telling(packet.answer))
        del self._waiting[place]

    async def close(self) -> None:
        """Send nothing more."""
        for task in list(self._sending):
            await ended(task)


def _telling(answer: "asyncio.Future[Any]") -> "Callable[[asyncio.Future[Any]], None]":
    def tell(sent: "asyncio.Future[Any]") -> None:
        if answer.done():
            return
        error = ConnectionError(_ENDED) if sent.cancelled() else sent.exception()
        if error is None:
            answer.set_result(sent.result())
        else:
            answer.set_exception(error)
            # Nobody may be left who asks.
            answer.exception()

    return tell
