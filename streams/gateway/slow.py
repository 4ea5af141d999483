"""Cuts off who does not read: a client that leaves its answers lying would hold its connection for ever.

Slow heads and slow bodies have limits of their own (`limits.py`, aiohttp's keep-alive).
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import Counter

from streams.tasks import ended

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
UNREAD_SECONDS_MAX: Final = 20.0
"""An answer must have left for the network within so long."""


class Watch:
    """Looks at all connections every second."""

    def __init__(
        self, transports: Callable[[], Iterable[asyncio.Transport]], cut: Counter, seconds_max: float | None = None
    ) -> None:
        self._transports = transports
        self._cut = cut
        self._seconds_max = UNREAD_SECONDS_MAX if seconds_max is None else seconds_max
        self._waiting: dict[asyncio.Transport, float] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """End."""
        await ended(self._task)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(min(LOOK_SECONDS, self._seconds_max / 4))
            self.look(time.monotonic())

    def look(self, now: float) -> None:
        """Cut those whose answers have waited too long."""
        waiting = {}
        for transport in self._transports():
            if transport.is_closing() or not transport.get_write_buffer_size():
                continue
            since = waiting[transport] = self._waiting.get(transport, now)
            if now - since >= self._seconds_max:
                log.info("a client did not read its answer for %g s: cut off", now - since)
                self._cut.inc()
                transport.abort()
                del waiting[transport]
        self._waiting = waiting
