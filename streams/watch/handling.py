"""Hand the events of the topic `telemetry` to handlers, as long as this watch is in charge.

Where it stands is kept as the offsets of a group, written now and then: a watch that takes over goes on there, and
hands on again what came since they were written last.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from processors.vocabulary import topics as names
from streams.admin import KafkaAwayError, TopicMismatchError, TopicsMissingError, require_topics
from streams.lanes.writer import stop_within
from streams.settings import Settings
from streams.topics import TOPICS
from streams.watch.charge import Charge

log = logging.getLogger(__name__)

POLL_MS: Final = 500
RECORDS_MAX: Final = 200
"""Of one turn: other tasks of this process wait no longer than these take."""
START_SECONDS_MAX: Final = 15.0
COMMIT_SECONDS: Final = 5.0
COMMIT_SECONDS_MAX: Final = 10.0
CLOSE_SECONDS_MAX: Final = 5.0
AGAIN_SECONDS: Final = 2.0
FAILURES_LOGGED_SECONDS: Final = 60.0
_AWAY: Final = (KafkaAwayError, TopicMismatchError, TopicsMissingError, KafkaError, TimeoutError, OSError)


class Handler(Protocol):
    """Somebody who makes something of telemetry's events."""

    def take(self, topic: str, record: Any) -> None:
        """Take one record of a topic. Quick: the watch waits for it."""


class Handling:
    """One reader for all handlers."""

    def __init__(self, settings: Settings, bootstrap: str, charge: Charge, handlers: Sequence[Handler]) -> None:
        self._settings = settings
        self._kafka = settings.cluster(bootstrap)
        self._charge = charge
        self._handlers = tuple(handlers)
        self._logged: dict[str, float] = {}

    async def run(self) -> None:
        """Hand on whenever in charge, until cancelled."""
        if not self._handlers:
            return
        said = ""
        while True:
            await self._charge.wait()
            try:
                await self._follow()
                said = ""
            except _AWAY as error:
                if str(error) != said:
                    said = str(error)
                    log.warning("telemetry's events are not read: %s; trying again", error)
            await asyncio.sleep(AGAIN_SECONDS)

    async def _follow(self) -> None:
        settings = self._settings
        wanted = [one for one in TOPICS if one.name == names.TELEMETRY]
        await require_topics(self._kafka, settings.topics, settings.lanes, wanted)
        consumer = AIOKafkaConsumer(
            **self._kafka.client_options(),
            group_id=f"{settings.topic_prefix}{settings.application}-telemetry",
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="latest",
        )
        try:
            async with asyncio.timeout(START_SECONDS_MAX):
                await consumer.start()
            consumer.assign(
                [TopicPartition(settings.topics.physical(names.TELEMETRY), lane) for lane in range(settings.lanes)]
            )
            await self._hand_on(consumer)
        finally:
            await stop_within(consumer, CLOSE_SECONDS_MAX)

    async def _hand_on(self, consumer: AIOKafkaConsumer) -> None:
        committed = time.monotonic()
        fresh = False
        while self._charge.held:
            for records in (await consumer.getmany(timeout_ms=POLL_MS, max_records=RECORDS_MAX)).values():
                for record in records:
                    self._give(record)
                    fresh = True
            await asyncio.sleep(0)
            if fresh and time.monotonic() - committed > COMMIT_SECONDS:
                async with asyncio.timeout(COMMIT_SECONDS_MAX):
                    await consumer.commit()
                committed, fresh = time.monotonic(), False
        if fresh:
            with suppress(*_AWAY):
                async with asyncio.timeout(COMMIT_SECONDS_MAX):
                    await consumer.commit()

    def _give(self, record: Any) -> None:
        topic = self._settings.topics.logical(record.topic)
        for handler in self._handlers:
            try:
                handler.take(topic, record)
            except Exception:  # boundary: a user's handler may raise anything, and harms nobody else
                name = type(handler).__name__
                if time.monotonic() - self._logged.get(name, 0.0) > FAILURES_LOGGED_SECONDS:
                    self._logged[name] = time.monotonic()
                    log.exception("the handler %s failed at %s/%d", name, record.partition, record.offset)
