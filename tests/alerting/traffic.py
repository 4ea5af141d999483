"""What comes in during a run: signals of a healthy tenant all the time, and whatever a fault adds to it."""

import asyncio
import json
import time
from contextlib import suppress
from typing import Any, Final, Self

from aiokafka import AIOKafkaProducer

from processors.vocabulary import topics
from processors.vocabulary.rules import SYSTEM

HEALTHY: Final = "healthy"
STEADY_PER_SECOND: Final = 20
TICK_SECONDS: Final = 0.1
SET_THRESHOLD: Final = "hopline.alert.threshold.set"
JSON: Final = [("content-type", b"application/cloudevents+json")]
AWAY_SECONDS_MAX: Final = 30_000


class Traffic:
    """Writes to Kafka as any producer does, as a context."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._producer: Any = None
        self._steady: asyncio.Task[None] | None = None
        self._made = 0
        self._run = f"{time.time():.0f}"

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap, linger_ms=20, request_timeout_ms=AWAY_SECONDS_MAX
        )
        await self._producer.start()
        self._steady = asyncio.create_task(self._flow())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._steady is not None:
            self._steady.cancel()
            with suppress(asyncio.CancelledError):
                await self._steady
        await self._producer.stop()

    async def _flow(self) -> None:
        while True:
            await self.signals(HEALTHY, round(STEADY_PER_SECOND * TICK_SECONDS))
            await asyncio.sleep(TICK_SECONDS)

    async def signals(self, tenant: str, count: int) -> None:
        """Send signals of a tenant."""
        for _ in range(count):
            await self._send(topics.SIGNALS_IN, tenant, "com.example.tick", {})

    async def directive(self, tenant: str, name: str, data: dict[str, Any]) -> None:
        """Ask for a directive."""
        await self._send(topics.COMMANDS, tenant, name, data)

    async def threshold(self, alert: str, value: float | None) -> None:
        """Move a threshold; None moves it back."""
        await self.directive(SYSTEM, SET_THRESHOLD, {"alert": alert, "value": value})

    async def _send(self, topic: str, tenant: str, kind: str, data: dict[str, Any]) -> None:
        self._made += 1
        event = {
            "specversion": "1.0",
            "id": f"{self._run}-{self._made}",
            "source": "/tests/alerting",
            "type": kind,
            "tenantid": tenant,
            "data": data,
        }
        await self._producer.send(topic, json.dumps(event).encode(), key=tenant.encode(), headers=JSON)
