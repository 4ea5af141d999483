"""One lane's transactions: outputs, changelog, journal and input offsets, all or nothing."""

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, Final, Protocol, TypeAlias

import aiokafka.producer.sender
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    IllegalOperation,
    InvalidProducerEpoch,
    KafkaError,
    ProducerFenced,
)
from aiokafka.structs import TopicPartition

from processors.lane import Commit
from processors.step import Output
from processors.telemetry.event import pack
from processors.vocabulary import topics as names
from processors.vocabulary.record import Header
from streams.lanes.ports import LaneLostError, OutcomeUnknownError
from streams.topics import TopicNames

log = logging.getLogger(__name__)

BATCH_BYTES_MAX: Final = 900_000
"""Of one produce batch. Above it the next is begun; a larger single record goes alone."""
COMMIT_SECONDS_MAX: Final = 15.0
DISCARD_SECONDS_MAX: Final = 5.0
FENCE_SECONDS_MAX: Final = 30.0
BACKOFF_BETWEEN_TRANSACTIONS_SECONDS: Final = 0.002
QUICK_BACKOFF_SECONDS: Final = 0.005
"""Kafka 4 answers a transaction's first produce with a retriable error while it verifies it."""
PATIENT_AFTER_SECONDS: Final = 0.3
PATIENT_BACKOFF_MS: Final = 100


_NO_HEADERS: Final[list[Header]] = []


def quicken_transactions() -> None:
    """Shorten aiokafka's fixed pause between back-to-back transactions (20 ms by default)."""
    # Set in this one place; `tests/streams/test_aiokafka_seams.py` fails when it is gone or renamed.
    aiokafka.producer.sender.BACKOFF_OVERRIDE = BACKOFF_BETWEEN_TRANSACTIONS_SECONDS
    # Kafka 4 answers each transaction's first produce with a retriable error while it verifies it:
    # a warning per transaction says nothing to anybody.
    logging.getLogger("aiokafka.producer.sender").setLevel(logging.ERROR)


class TransactionalWriter:
    """A producer that belongs to one ownership of one lane."""

    def __init__(
        self, producer: AIOKafkaProducer, topics: TopicNames, *, lane: int, group: str, tells: bool = True
    ) -> None:
        self._producer = producer
        self._topics = topics
        self._lane = lane
        self._group = group
        self._tells = tells

    async def commit(self, commit: Commit, *, due: Mapping[str, int]) -> int:
        """See `ports.Writer.commit`."""
        self._pace(QUICK_BACKOFF_SECONDS)
        # Quick while Kafka verifies the transaction; patient when nobody answers.
        patient = asyncio.get_running_loop().call_later(PATIENT_AFTER_SECONDS, self._pace, PATIENT_BACKOFF_MS / 1_000)
        try:
            async with asyncio.timeout(COMMIT_SECONDS_MAX):
                return await self._transact(commit, due)
        except (ProducerFenced, InvalidProducerEpoch) as error:
            raise LaneLostError(str(error)) from error
        except (KafkaError, IllegalOperation, TimeoutError, OSError, AssertionError) as error:
            if was_fenced(self._producer):
                raise LaneLostError(str(error)) from error
            # aiokafka asserts its state machine; after an error of the broker's it may be anywhere.
            message = f"lane {self._lane}: {type(error).__name__}: {error}"
            raise OutcomeUnknownError(message) from error
        finally:
            patient.cancel()
            self._pace(PATIENT_BACKOFF_MS / 1_000)

    def _pace(self, seconds: float) -> None:
        """Set how long the producer waits before it asks again."""
        self._producer._sender._retry_backoff = seconds  # noqa: SLF001  it is read for each request

    async def _transact(self, commit: Commit, due: Mapping[str, int]) -> int:
        producer, now_ms = self._producer, commit.position.now_ms
        await producer.begin_transaction()
        sent: list[_Sent] = []
        for (topic, lane), outputs in commit.outputs.items():
            sent += await self._send(topic, lane, outputs, now_ms)
        state = [(key, value, _NO_HEADERS) for key, value in commit.changes.items()]
        changelog = await self._send(names.STATE, self._lane, state, now_ms)
        if commit.journal:
            entry = (b"%d" % self._lane, commit.journal, _NO_HEADERS)
            sent += await self._send(names.JOURNAL, self._lane, (entry,), now_ms)
        if commit.told and self._tells:
            events = [(event.tenant.encode(), pack(event), _NO_HEADERS) for event in commit.told]
            sent += await self._send(names.TELEMETRY, self._lane, events, now_ms)
        if due:
            offsets = {
                TopicPartition(self._topics.physical(topic), self._lane): offset for topic, offset in due.items()
            }
            await producer.send_offsets_to_transaction(offsets, self._group)
        # Before the commit, for aiokafka commits a transaction in which a batch has failed.
        await asyncio.gather(*(future for future, _ in (*sent, *changelog)))
        await producer.commit_transaction()
        return max((future.result().offset + count for future, count in changelog), default=0)

    async def _send(self, topic: str, lane: int, outputs: Iterable[Output], now_ms: int) -> "list[_Sent]":
        """Hand records over in whole batches: one call a record costs three times as much."""
        producer, physical = self._producer, self._topics.physical(topic)
        sent: list[_Sent] = []
        builder = producer.create_batch()
        append, count = builder.append, 0
        for key, value, headers in outputs:
            if append(timestamp=now_ms, key=key, value=value, headers=headers) is None:
                sent.append((await self._hand_over(builder, physical, lane), count))
                builder = producer.create_batch()
                append, count = builder.append, 0
                append(timestamp=now_ms, key=key, value=value, headers=headers)
            count += 1
        if count:
            sent.append((await self._hand_over(builder, physical, lane), count))
        return sent

    async def _hand_over(self, builder: Any, physical: str, lane: int) -> "asyncio.Future[Any]":
        future: asyncio.Future[Any] = await self._producer.send_batch(builder, physical, partition=lane)
        # After an error nobody asks the other batches any more: theirs is the same.
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        return future

    async def discard(self) -> None:
        """See `ports.Writer.discard`. An open transaction is ended by the next owner's fence."""
        await stop_within(self._producer, DISCARD_SECONDS_MAX)


def was_fenced(producer: AIOKafkaProducer) -> bool:
    """Tell whether the producer's own task ended because it was fenced.

    The task learns it first; whoever calls next meets an assertion or an illegal state instead. Taking the
    lane again at once would fence its rightful owner. (`tests/streams/test_aiokafka_seams.py` watches this.)
    """
    task = producer._sender.sender_task  # noqa: SLF001  aiokafka tells it nowhere else
    if task is None or not task.done() or task.cancelled():
        return False
    return isinstance(task.exception(), ProducerFenced | InvalidProducerEpoch)


_Sent: TypeAlias = "tuple[asyncio.Future[Any], int]"


class Stoppable(Protocol):
    """A client of aiokafka."""

    def stop(self) -> Coroutine[Any, Any, None]:
        """End it; may wait for a broker that is gone."""


async def stop_within(client: Stoppable, seconds: float) -> None:
    """Stop a client; one that does not end in time is left behind, said so, and collected later.

    In a task of its own, for aiokafka lets the cancellation of its own tasks out of `stop`, and ours
    would end as if somebody had cancelled it.
    """
    stopping = asyncio.ensure_future(client.stop())
    try:
        await asyncio.wait({stopping}, timeout=seconds)
    finally:
        if not stopping.done():
            stopping.cancel()
    if stopping.cancelled() or not stopping.done():
        log.info("a Kafka client did not stop in %.0f s", seconds)
    elif (error := stopping.exception()) is not None:
        log.info("a Kafka client did not stop cleanly: %s: %s", type(error).__name__, error)
