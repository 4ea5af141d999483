"""Keeps the watch's parts running: one that fails is counted and begun again, and harms nobody else."""

import asyncio
import logging
import time
from collections.abc import Iterable
from typing import Final, Protocol

from processors.telemetry import catalogue
from streams.metrics import Metrics

log = logging.getLogger(__name__)

AGAIN_SECONDS_MIN: Final = 1.0
AGAIN_SECONDS_MAX: Final = 60.0
STEADY_SECONDS: Final = 120.0
"""One that ran so long failed for a new reason: the waiting begins anew."""
END_SECONDS_MAX: Final = 10.0


class Part(Protocol):
    """Something that runs in the background of the watch: the prober, the check of the ledger."""

    async def run(self) -> None:
        """Work until cancelled."""


class Hosting:
    """Runs parts until it is closed."""

    def __init__(self, metrics: Metrics, *, again_seconds: float = AGAIN_SECONDS_MIN) -> None:
        self._failures = metrics.counter(catalogue.WATCH_PART_FAILURES)
        self._again_seconds = again_seconds
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, parts: Iterable[Part]) -> None:
        """Begin with parts; each is known by the name of its class."""
        for part in parts:
            name = type(part).__name__.lower()
            self._failures.of(name)
            self._tasks.append(asyncio.create_task(self._keep(name, part), name=name))

    async def close(self) -> None:
        """End all of them; one that does not end in time is left behind."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=END_SECONDS_MAX)

    async def _keep(self, name: str, part: Part) -> None:
        wait_seconds = self._again_seconds
        while True:
            began = time.monotonic()
            try:
                await part.run()
                log.error("the part %s has ended by itself", name)
            except Exception:  # boundary: a part's failure must not harm the watch or another part
                log.exception("the part %s failed", name)
            self._failures.of(name).inc()
            if time.monotonic() - began > STEADY_SECONDS:
                wait_seconds = self._again_seconds
            await asyncio.sleep(wait_seconds)
            wait_seconds = min(2 * wait_seconds, AGAIN_SECONDS_MAX)
