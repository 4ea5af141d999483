"""The way into Kafka: durable writes, bounded waits, and a producer that is replaced after any error.

`send` returns when Kafka has the events on all in-sync replicas, or raises within `SEND_SECONDS_MAX`. After a failure
Kafka counts as away: `send` then fails at once, while a task in the background connects anew until it succeeds.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from processors.vocabulary import topics as names
from processors.vocabulary.partition import lane_of
from streams.admin import KafkaAwayError, TopicMismatchError, TopicsMissingError
from streams.gateway.intake import Entry
from streams.gateway.packing import Handed, Packer
from streams.settings import KafkaSettings
from streams.tasks import ended
from streams.topics import TOPICS, TopicNames

log = logging.getLogger(__name__)

SEND_SECONDS_MAX: Final = 5.0
REQUEST_TIMEOUT_MS: Final = 4_000
CONNECT_SECONDS_MAX: Final = 10.0
ABANDON_SECONDS_MAX: Final = 10.0
PROBE_SECONDS_MAX: Final = 2.0
RECONNECT_SECONDS_MIN: Final = 0.1
RECONNECT_SECONDS_MAX: Final = 2.0
BATCH_BYTES_MAX: Final = 262_144
_RECORD_BYTES_MAX: Final = next(topic.message_bytes_max for topic in TOPICS if topic.name == names.SIGNALS_IN)


TOGETHER_MIN: Final = 2
"""So many events of one request are packed by lane instead of being handed over one by one."""


class OutletError(Exception):
    """Events could not be written; whether some were all the same is unknown unless `known_unwritten`."""

    def __init__(self, why: str, *, known_unwritten: bool) -> None:
        super().__init__(why)
        self.known_unwritten = known_unwritten


class Written(msgspec.Struct, frozen=True, gc=False):
    """Where an event stands in the log."""

    lane: int
    offset: int


@dataclass(slots=True)
class _Loss:
    """The giving up of a producer: what it has not confirmed by then it never will."""

    happened: bool = False
    _waiting: "dict[asyncio.Future[None], float]" = field(default_factory=dict)
    """Until when each of them waits."""
    _alarm: asyncio.TimerHandle | None = None

    def happen(self) -> None:
        """Wake all who wait."""
        self.happened = True
        for woken in self._waiting:
            _wake(woken)

    async def or_done(self, future: "asyncio.Future[Any]", until: float) -> None:
        """Return when the future is done, the producer is lost, or the loop's time has come."""
        # Neither `asyncio.wait` nor `asyncio.timeout`: they cost as much as all the rest of writing an event.
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()
        wake = partial(_wake, woken)
        self._waiting[woken] = until
        if self._alarm is None:
            self._alarm = loop.call_at(until, self._ring)
        future.add_done_callback(wake)
        try:
            if not self.happened:
                await woken
        finally:
            del self._waiting[woken]
            future.remove_done_callback(wake)

    def _ring(self) -> None:
        """Wake those whose time has come; set the alarm for the next."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for woken, until in self._waiting.items():
            if until <= now:
                _wake(woken)
        left = [until for until in self._waiting.values() if until > now]
        self._alarm = loop.call_at(min(left), self._ring) if left else None


def _wake(woken: "asyncio.Future[None]", _: object = None) -> None:
    if not woken.done():
        woken.set_result(None)


@dataclass(frozen=True, slots=True)
class _Link:
    """One producer, from its start to its first error."""

    producer: AIOKafkaProducer
    packer: Packer
    loss: _Loss = field(default_factory=_Loss)


class Outlet:
    """Writes to `signals.in`, and what else a gateway has to write. Start it, send, close it; one event loop only."""

    def __init__(
        self,
        kafka: KafkaSettings,
        topics: TopicNames,
        *,
        lanes: int,
        prepare: Callable[[], Awaitable[object]],
    ) -> None:
        self._kafka = kafka
        self._topics = topics
        self._topic = topics.physical(names.SIGNALS_IN)
        self._lanes = lanes
        self._prepare = prepare
        self._prepared = False
        self._link: _Link | None = None
        self._why_away = "The gateway is still connecting to Kafka."
        self._connecting: asyncio.Task[None] | None = None

    @property
    def away(self) -> str:
        """Why nothing can be sent now; empty if it can."""
        return "" if self._link is not None else self._why_away

    def start(self) -> None:
        """Begin to connect, in the background."""
        self._connecting = asyncio.create_task(self._connect())

    async def close(self) -> None:
        """Finish what is being written, then let go. Bounded."""
        await ended(self._connecting)
        link, self._link = self._link, None
        if link is not None:
            await link.packer.close()
            await _close(link.producer)
            link.loss.happen()

    async def send(self, entries: Sequence[Entry]) -> list[Written | OutletError]:
        """Write events in their order, and return what became of each."""
        link = self._link
        if link is None:
            raise OutletError(self._why_away, known_unwritten=True)
        handed: list[Handed | None] = [None] * len(entries)
        failure = OutletError("Kafka did not confirm the event.", known_unwritten=False)
        try:
            until = asyncio.get_running_loop().time() + SEND_SECONDS_MAX
            # What was handed over before an error must be known after it. Each waits for room no longer than
            # `REQUEST_TIMEOUT_MS`, and raises then.
            if len(entries) < TOGETHER_MIN:
                for at, entry in enumerate(entries):
                    handed[at] = (await self._hand_over(link.producer, entry), 0)
            else:
                handed[:] = [self._pack(link.packer, entry) for entry in entries]
            await _all_done(dict.fromkeys(one[0] for one in handed if one), link.loss, until)
        except (KafkaError, TimeoutError, OSError, AssertionError) as error:
            failure = OutletError(f"Kafka did not take the event: {_said(error)}.", known_unwritten=False)
        found = [_outcome(one, failure) for one in handed]
        lost = next((item for item in found if isinstance(item, OutletError) and not item.known_unwritten), None)
        if lost is not None:
            self._lose(link, str(lost))
        return found

    async def _hand_over(self, producer: AIOKafkaProducer, entry: Entry) -> "asyncio.Future[Any]":
        tenant = entry.tenant.encode()
        lane = lane_of(tenant, self._lanes)
        try:
            sent: asyncio.Future[Any] = await producer.send(
                self._topics.physical(entry.topic),
                entry.value,
                key=entry.key or tenant,
                partition=lane,
                headers=entry.headers,
            )
        except MessageSizeTooLargeError as error:
            # Nothing of it went out, so the producer is as good as before.
            sent = asyncio.get_running_loop().create_future()
            sent.set_exception(error)
        return sent

    def _pack(self, packer: Packer, entry: Entry) -> Handed:
        tenant = entry.tenant.encode()
        place = (self._topics.physical(entry.topic), lane_of(tenant, self._lanes))
        return packer.add(place, entry.key or tenant, entry.value, entry.headers)

    async def probe(self) -> str:
        """Ask Kafka now; return why the gateway is not ready, nothing if it is."""
        link = self._link
        if link is None:
            return self._why_away
        try:
            async with asyncio.timeout(PROBE_SECONDS_MAX):
                if not await asyncio.shield(link.producer.client.force_metadata_update()):
                    return "Kafka does not answer."
        except (KafkaError, TimeoutError, OSError) as error:
            return f"Kafka does not answer: {_said(error)}."
        return self._misfit(link.producer)

    def _misfit(self, producer: AIOKafkaProducer) -> str:
        partitions = producer.client.cluster.partitions_for_topic(self._topic)
        if not partitions:
            return f"Topic {self._topic} is not there. Start a worker or `hopline up`, which create it."
        if len(partitions) != self._lanes:
            return f"Topic {self._topic} has {len(partitions)} partitions and HOPLINE_LANES is {self._lanes}."
        return ""

    def _lose(self, link: _Link, why: str) -> None:
        """Count Kafka as away, and begin to come back. An errored producer is never used again."""
        if self._link is not link:
            return
        self._link = None
        self._why_away = f"Kafka is away: {why}"
        link.loss.happen()
        log.warning("%s Connecting anew.", self._why_away)
        self._connecting = asyncio.create_task(self._connect(link))

    async def _connect(self, lost: _Link | None = None) -> None:
        if lost is not None:
            await lost.packer.close()
            await _abandon(lost.producer)
        wait_seconds = RECONNECT_SECONDS_MIN
        while True:
            try:
                why = await self._try()
            except Exception as error:  # boundary: whatever aiokafka raises, the gateway must come back
                log.exception("connecting failed")
                why = f"Kafka cannot be reached: {_said(error)}."
            if not why:
                log.info("connected to Kafka at %s", self._kafka.bootstrap)
                return
            if why != self._why_away:
                log.warning("%s Trying again.", why)
                self._why_away = why
            await asyncio.sleep(wait_seconds * random.uniform(0.5, 1))  # noqa: S311  # not a secret
            wait_seconds = min(2 * wait_seconds, RECONNECT_SECONDS_MAX)

    async def _try(self) -> str:
        """Connect once; return why it failed, nothing if it did not."""
        try:
            if not self._prepared:
                await self._prepare()
                self._prepared = True
        except (KafkaAwayError, TopicMismatchError, TopicsMissingError) as error:
            return f"{error}."
        producer = self._new_producer()
        try:
            async with asyncio.timeout(CONNECT_SECONDS_MAX):
                await producer.start()
                await producer.partitions_for(self._topic)
            why = self._misfit(producer)
        except (KafkaError, TimeoutError, OSError) as error:
            why = f"Kafka cannot be reached at {self._kafka.bootstrap}: {_said(error)}."
        except asyncio.CancelledError:
            await _abandon(producer)
            raise
        if why:
            await _abandon(producer)
        else:
            self._link = _Link(producer, Packer(producer))
        return why

    def _new_producer(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            **self._kafka.client_options(),
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=BATCH_BYTES_MAX,
            max_request_size=_RECORD_BYTES_MAX,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            retry_backoff_ms=50,
        )


def _outcome(handed: Handed | None, failure: OutletError) -> Written | OutletError:
    if handed is None or not handed[0].done():
        return failure
    future, number = handed
    error = future.exception()
    if error is None:
        metadata = future.result()
        return Written(metadata.partition, metadata.offset + number)
    return OutletError(
        f"Kafka did not take the event: {_said(error)}.",
        known_unwritten=isinstance(error, MessageSizeTooLargeError),
    )


def _said(error: BaseException) -> str:
    return "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__


async def _all_done(futures: Iterable["asyncio.Future[Any]"], loss: _Loss, until: float) -> None:
    """Return when all are done, the producer is lost, or the loop's time has come."""
    for future in futures:
        if not future.done():
            await loss.or_done(future, until)
            if not future.done():
                return


async def _close(producer: AIOKafkaProducer) -> None:
    """Stop a producer that works, once it has written what it has."""
    try:
        async with asyncio.timeout(SEND_SECONDS_MAX):
            await producer.flush()
            await producer.stop()
    except (KafkaError, TimeoutError, OSError, AssertionError) as error:
        log.warning("not all events could be written before the end: %s", _said(error))
        await _abandon(producer)


async def _abandon(producer: AIOKafkaProducer) -> None:
    """Let go of a producer in whatever state it is. What it has not written it never writes."""
    # aiokafka has no other way: `stop` waits until all is written, and an idempotent producer never gives that up.
    # `tests/streams/gateway/test_outlet.py` watches what is used here.
    sending = producer._sender.sender_task  # noqa: SLF001
    try:
        if sending is not None:
            sending.cancel()
            await asyncio.wait([sending], timeout=ABANDON_SECONDS_MAX)
        async with asyncio.timeout(ABANDON_SECONDS_MAX):
            await producer.client.close()
    except (KafkaError, TimeoutError, OSError, AssertionError) as error:
        log.info("a producer did not stop cleanly: %s", _said(error))
    producer._closed = True  # noqa: SLF001
