"""Send the demo's signals: half of them straight to Kafka, half of them to the gateway."""

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from itertools import islice
from typing import Any, Final, Self
from urllib.parse import quote

import aiohttp
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from processors.vocabulary import topics as names
from processors.vocabulary.partition import lane_of
from processors.vocabulary.signal import CONTENT_TYPE, PREFIX
from streams.demo.mix import Fate, Route, Sample
from streams.lanes.writer import stop_within
from streams.settings import KafkaSettings
from streams.topics import TOPICS, TopicNames

log = logging.getLogger(__name__)

ATTEMPTS_MAX: Final = 20
RETRY_SECONDS: Final = 0.5
REQUEST_SECONDS_MAX: Final = 15.0
REQUESTS_MAX: Final = 32
"""Under way at the gateway at one time."""
CHUNK: Final = 500
"""Samples handed over before the first of them is confirmed."""
CLOSE_SECONDS_MAX: Final = 10.0
_RECORD_BYTES_MAX: Final = max(topic.message_bytes_max for topic in TOPICS)
_ACCEPTED: Final = 202
_BUSY: Final = 429
_RETRIED: Final = frozenset({_BUSY, 503})
_SAFE: Final = " !#$&'()*+,/:;<=>?@[\\]^`{|}~"


class NotSentError(Exception):
    """A signal was not taken as it must be; the message says which and how."""


class Source:
    """Sends samples and sees to it that each is taken, or refused where it must be."""

    def __init__(self, kafka: KafkaSettings, topics: TopicNames, *, lanes: int, gateway_url: str) -> None:
        self._kafka = kafka
        self._topic = topics.physical(names.SIGNALS_IN)
        self._lanes = lanes
        self._url = f"{gateway_url}/v1/signals"
        self._closing = AsyncExitStack()
        self._requests = asyncio.Semaphore(REQUESTS_MAX)
        self._producer: Any = None
        self._http: Any = None

    async def __aenter__(self) -> Self:
        producer = AIOKafkaProducer(
            **self._kafka.client_options(),
            acks="all",
            enable_idempotence=True,
            max_request_size=_RECORD_BYTES_MAX,
            max_batch_size=65_536,
        )
        self._closing.push_async_callback(stop_within, producer, CLOSE_SECONDS_MAX)
        try:
            async with asyncio.timeout(REQUEST_SECONDS_MAX):
                await producer.start()
        except BaseException:
            await self._closing.aclose()
            raise
        self._producer = producer
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS_MAX)
        self._http = await self._closing.enter_async_context(aiohttp.ClientSession(timeout=timeout))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._closing.aclose()

    async def send(self, samples: Iterable[Sample]) -> None:
        """Send samples as fast as they are taken. Raises `NotSentError`."""
        for chunk in _chunks(samples):
            try:
                await self._send_chunk(chunk)
            except* NotSentError as group:
                failed = group
            else:
                continue
            raise NotSentError(str(failed.exceptions[0]))

    async def _send_chunk(self, chunk: Sequence[Sample]) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send_direct([sample for sample in chunk if sample.route is Route.KAFKA]))
            for sample in chunk:
                if sample.route is Route.GATEWAY:
                    await self._requests.acquire()
                    task = tasks.create_task(self._post(sample))
                    task.add_done_callback(lambda _: self._requests.release())

    async def _send_direct(self, samples: Sequence[Sample]) -> None:
        try:
            async with asyncio.timeout(REQUEST_SECONDS_MAX):
                sent = [await self._hand_over(sample) for sample in samples]
                await asyncio.gather(*sent)
        except (KafkaError, TimeoutError, OSError) as error:
            raise NotSentError(f"Kafka did not take signals: {type(error).__name__}") from error

    async def _hand_over(self, sample: Sample) -> "asyncio.Future[Any]":
        lane = lane_of(sample.key, self._lanes)
        if sample.misplaced:
            lane = (lane + 1) % self._lanes
        sent: asyncio.Future[Any] = await self._producer.send(
            self._topic, sample.value, key=sample.key, partition=lane, headers=list(sample.headers)
        )
        return sent

    async def _post(self, sample: Sample) -> None:
        headers = http_headers(sample)
        status, said = 0, ""
        for _ in range(ATTEMPTS_MAX):
            try:
                async with self._http.post(self._url, data=sample.value or b"", headers=headers) as answer:
                    status, said = answer.status, await answer.text()
            except (aiohttp.ClientError, TimeoutError) as error:
                # The same signal again: it may be there already, and then it counts once.
                status, said = 0, type(error).__name__
            # Without an id of its own it would count twice if it is there already.
            if (status and status not in _RETRIED) or not (sample.id or status == _BUSY):
                break
            await asyncio.sleep(RETRY_SECONDS)
        if (status == _ACCEPTED) is (sample.fate is Fate.REFUSED):
            raise NotSentError(f"the gateway answered {status} to {sample.id or 'a signal without an id'}: {said}")

    async def trickle(self, samples: Iterator[Sample], per_second: float, *, most: int | None = None) -> None:
        """Send so many a second, for ever or up to a number. What fails is said and left out."""
        began, sent = time.monotonic(), 0
        while most is None or sent < most:
            due = int((time.monotonic() - began) * per_second) + 1
            wanted = due - sent if most is None else min(due, most) - sent
            if wanted > CHUNK:
                # Kafka was away: a flood afterwards would help nobody.
                began, sent = time.monotonic(), 0
                continue
            try:
                await self.send(islice(samples, wanted))
            except NotSentError as error:
                log.warning("%s", error)
            sent += wanted
            await asyncio.sleep(max(0.0, began + sent / per_second - time.monotonic()))


def http_headers(sample: Sample) -> list[tuple[str, str]]:
    """Return a sample's headers as the HTTP binding of CloudEvents writes them."""
    found = []
    for name, raw in sample.headers:
        text = (raw or b"").decode()
        if name == CONTENT_TYPE:
            found.append(("Content-Type", text))
        else:
            found.append((f"ce-{name.removeprefix(PREFIX)}", quote(text, safe=_SAFE)))
    if not found:
        # A record without headers is read as a structured event; HTTP must say so.
        found.append(("Content-Type", "application/cloudevents+json"))
    return found


def _chunks(samples: Iterable[Sample]) -> Iterator[list[Sample]]:
    iterator = iter(samples)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk
