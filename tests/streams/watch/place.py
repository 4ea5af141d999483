"""Topics of a test on a real Kafka, samples and settings written to them, and a watch's answers."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Self

import aiohttp
from aiokafka import AIOKafkaProducer

from processors.alerting.rule import Rule, Severity, Threshold
from processors.alerting.settings import Setting, pack
from processors.telemetry import catalogue, samples
from processors.telemetry.samples import Sample
from processors.vocabulary import topics as names
from processors.vocabulary.partition import lane_of
from streams.admin import ensure_topics
from streams.settings import Settings
from streams.watch.history import history_of
from streams.watch.words import ToldChange

SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.05
LANES: Final = 2
LAG = Rule(
    name="TestLag",
    signal=f"max by (topic) ({catalogue.LAG_SECONDS.name})",
    threshold=Threshold(30, "s"),
    severity=Severity.WARNING,
    summary="It waits.",
    description="{{ $labels.topic }} waits for {{ $value }} s.",
    runbook="lag.md",
)
OF_TENANTS = Rule(
    name="TestTenant",
    signal=f"sum by (tenant) ({catalogue.SIGNALS.name})",
    threshold=Threshold(50, "short", per_tenant=True),
    severity=Severity.CRITICAL,
    summary="It is too much.",
    description="{{ $labels.tenant }} has {{ $value }}.",
    runbook="tenants.md",
)
RULES = (LAG, OF_TENANTS)


@dataclass(frozen=True, slots=True)
class Place:
    """The topics, and a producer for them."""

    settings: Settings
    producer: AIOKafkaProducer

    async def tell(self, one: Sample) -> None:
        """Write what a process tells."""
        key = one.instance.encode()
        await self._send(names.METRICS, key, samples.pack(one), lane_of(key, LANES))

    async def decide(self, setting: Setting) -> None:
        """Write a threshold or a silence."""
        await self._send(names.ALERT_SETTINGS, setting.key, pack(setting), 0)

    async def _send(self, topic: str, key: bytes, value: bytes, lane: int) -> None:
        await self.producer.send_and_wait(self.settings.topics.physical(topic), value, key=key, partition=lane)

    async def changes(self) -> list[ToldChange]:
        """Return all changes that the topic has."""
        return await history_of(self.settings, self.settings.cluster(), since_ms=0, limit=1_000)


@asynccontextmanager
async def place(kafka: str, unique: str, **more: Any) -> AsyncIterator[Place]:
    """Give topics of their own."""
    quick = {"session_timeout_ms": 6_000, "telemetry_seconds": 0.2, "watch_port": 0}
    settings = Settings(**{"kafka": kafka, "topic_prefix": f"{unique}.", "lanes": LANES, **quick, **more})
    await ensure_topics(settings.cluster(), settings.topics, lanes=LANES, replication=1, min_insync_replicas=1)
    producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all")
    await producer.start()
    try:
        yield Place(settings, producer)
    finally:
        await producer.stop()


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def ask(url: str, path: str, **parameters: str | int) -> Any:
    """Return an answer; None while there is none."""
    try:
        async with aiohttp.ClientSession() as http, http.get(f"{url}{path}", params=parameters) as answer:
            return json.loads(await answer.read()) if answer.status == 200 else None
    except (aiohttp.ClientError, ValueError):
        return None


async def until(condition: Callable[[], Awaitable[Any]], seconds: float = SECONDS) -> Any:
    """Wait for a condition and return what it gave."""
    async with asyncio.timeout(seconds):
        while not (found := await condition()):  # noqa: ASYNC110 - it is asked, it does not tell
            await asyncio.sleep(LOOK_SECONDS)
    return found


class Telling:
    """Tells the same again and again, with newer times, as a process does; figures may be changed meanwhile."""

    def __init__(self, where: Place, make: Callable[[int, float, Mapping[str, float]], Sample]) -> None:
        self._where = where
        self._make = make
        self.figures: dict[str, float] = {}
        self._began = time.monotonic()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait((self._task,))

    async def _run(self) -> None:
        while True:
            passed = time.monotonic() - self._began
            await self._where.tell(self._make(now_ms(), passed, self.figures))
            await asyncio.sleep(4 * LOOK_SECONDS)
