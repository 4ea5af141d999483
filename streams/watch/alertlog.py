"""The topic `alerts` as the watch writes and reads it: changes one after the other, and where judging stands.

All of it lies in one lane, so that changes have one order and the newest state is found from the end. Changes and the
state after them are written in one transaction, by a producer that fences every one before it.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import IllegalOperation, KafkaError

from processors.vocabulary import topics as names
from streams.admin import KafkaAwayError, require_topics
from streams.changelog import assign_whole, committed_consumer, read_range
from streams.lanes.writer import stop_within
from streams.settings import Settings
from streams.topics import TOPICS
from streams.watch.words import STATE_KEY, Became, State, ToldChange, change_of, pack, state_of

LANE: Final = 0
BACK_RECORDS: Final = 500
"""Read from the end to find the newest state; four times as many each time that it was not among them."""
BACK_GROWTH: Final = 4
WRITE_SECONDS_MAX: Final = 15.0
FENCE_SECONDS_MAX: Final = 30.0
CLOSE_SECONDS_MAX: Final = 5.0
REQUEST_BYTES_MAX: Final = 4 * 1_048_576
STATE_BYTES_MAX: Final = 900_000
"""Below what the topic takes of one record."""


class LogError(Exception):
    """The topic cannot be written or read as it should; what was not confirmed counts as not written."""


@dataclass(frozen=True, slots=True)
class Back:
    """What the topic says to somebody who takes charge."""

    state: State | None
    untold: tuple[ToldChange, ...] = ()
    """Written, and perhaps told to nobody."""


class AlertLog:
    """The topic, for one watch at a time. Made by `open_log`."""

    def __init__(self, producer: AIOKafkaProducer, settings: Settings, bootstrap: str) -> None:
        self._producer = producer
        self._topic = settings.topics.physical(names.ALERTS)
        self._kafka = settings.cluster(bootstrap)
        self._broken = False

    async def write(self, records: Sequence[ToldChange | Became], state: State) -> None:
        """Write records and the state after them, all or nothing. Raises `LogError`: then close this and open another.

        Whether a write that failed has happened all the same is known from `read_back`.
        """
        packed = pack(state)
        if len(packed) > STATE_BYTES_MAX:
            raise LogError(f"the alerts' state has {len(packed)} bytes, more than {STATE_BYTES_MAX}: too many alerts")
        if self._broken:
            raise LogError("the alerts' topic is not written any more: a write before has failed")
        # Until it has ended well: after an error, or a cancellation within, nobody knows what a producer would do next.
        self._broken = True
        try:
            async with asyncio.timeout(WRITE_SECONDS_MAX):
                await self._transact([*((_key(one), pack(one)) for one in records), (STATE_KEY, packed)])
        except (KafkaError, IllegalOperation, TimeoutError, OSError, AssertionError) as error:
            # aiokafka asserts its state machine; after an error of the broker's it may be anywhere.
            raise LogError(f"the alerts' changes were not written: {type(error).__name__}") from error
        self._broken = False

    async def _transact(self, records: Sequence[tuple[bytes, bytes]]) -> None:
        producer = self._producer
        await producer.begin_transaction()
        sent = []
        for key, value in records:
            future = await producer.send(self._topic, value, key=key, partition=LANE)
            # After an error nobody asks the others any more: theirs is the same.
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
            sent.append(future)
        # Before the commit, for aiokafka commits a transaction in which a batch has failed.
        await asyncio.gather(*sent)
        await producer.commit_transaction()

    async def read_back(self) -> Back:
        """Return the newest state, and what was written and perhaps not told. Raises `LogError`."""
        try:
            return await self._read_back()
        except (KafkaAwayError, KafkaError, TimeoutError, OSError) as error:
            raise LogError(f"the alerts' state cannot be read: {error}") from error

    async def _read_back(self) -> Back:
        async with committed_consumer(self._kafka) as consumer:
            partition, least, end = await assign_whole(consumer, self._topic, LANE)
            records = BACK_RECORDS
            while True:
                start = max(least, end - records)
                state: State | None = None
                changes: list[ToldChange] = []
                async for some in read_range(consumer, partition, start, end):
                    for record in some:
                        state = state_of(record.key, record.value) or state
                        change = change_of(record.value)
                        changes += [] if change is None else [change]
                if state is not None and (start == least or _reaches(changes, state)):
                    return Back(state, tuple(one for one in changes if one.number > state.told))
                if start == least:
                    return Back(None)
                records *= BACK_GROWTH


def _reaches(changes: Sequence[ToldChange], state: State) -> bool:
    """Tell whether all that was perhaps not told is among these."""
    return state.written == state.told or (bool(changes) and changes[0].number <= state.told + 1)


def _key(record: ToldChange | Became) -> bytes:
    return (record.id if isinstance(record, ToldChange) else f"told/{record.channel}").encode()


@asynccontextmanager
async def open_log(settings: Settings, bootstrap: str) -> AsyncIterator[AlertLog]:
    """Give the topic for writing; whoever wrote before cannot any more. Raises `LogError`."""
    kafka = settings.cluster(bootstrap)
    producer = AIOKafkaProducer(
        **kafka.client_options(),
        transactional_id=f"{settings.topic_prefix}{settings.application}-watch",
        transaction_timeout_ms=int(WRITE_SECONDS_MAX * 2_000),
        max_request_size=REQUEST_BYTES_MAX,
        retry_backoff_ms=20,
    )
    try:
        try:
            await require_topics(
                kafka, settings.topics, settings.lanes, [one for one in TOPICS if one.name == names.ALERTS]
            )
            async with asyncio.timeout(FENCE_SECONDS_MAX):
                await producer.start()
        except (KafkaAwayError, KafkaError, TimeoutError, OSError) as error:
            raise LogError(f"the alerts' topic cannot be written: {error or type(error).__name__}") from error
        yield AlertLog(producer, settings, bootstrap)
    finally:
        await stop_within(producer, CLOSE_SECONDS_MAX)
