"""What the gateway keeps at one time at the most, and how it reads a body within that."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from processors.vocabulary.limits import SIGNAL_BYTES_MAX
from streams.gateway import problems
from streams.gateway.problems import Failure

BATCH_BYTES_MAX: Final = 8 * 1_048_576
"""The body of a batch."""
BODIES_BYTES_MAX: Final = 64 * 1_048_576
"""All bodies together, from their first byte until their answer."""
BODY_SECONDS_MAX: Final = 10.0
CONNECTIONS_MAX: Final = 1_024
IDLE_SECONDS_MAX: Final = 30.0
"""A connection without a whole request head for so long is closed."""
RETRY_AFTER_MS: Final = 250


class RefusedError(Exception):
    """The request ends here, with this failure as its answer."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.title)
        self.failure = failure


@dataclass(slots=True)
class Load:
    """What waits now, against what may wait."""

    events_max: int
    events: int = 0
    bytes: int = 0

    @contextmanager
    def holding(self, count: int) -> Iterator[None]:
        """Count events as waiting; refuse them if too many wait already."""
        # A batch above the limit passes when nothing else waits: it could never pass otherwise.
        if self.events and self.events + count > self.events_max:
            raise RefusedError(problems.busy(RETRY_AFTER_MS))
        self.events += count
        try:
            yield
        finally:
            self.events -= count


@dataclass(slots=True)
class Body:
    """One request's body, counted against the load for as long as it is kept."""

    load: Load
    size: int = 0

    async def read(self, request: web.Request, bytes_max: int) -> bytes:
        """Read the body piece by piece; refuse it as soon as it is known to be too much."""
        declared = request.content_length
        if declared is not None and declared > bytes_max:
            raise RefusedError(problems.too_large(bytes_max))
        encoding = request.headers.get("Content-Encoding", "identity")
        if encoding.lower() != "identity":
            raise RefusedError(problems.encoded(encoding))
        if not request.body_exists:
            return b""
        if request.content.is_eof():
            # All of it came with the head, as most do: nothing is waited for.
            content = request.content.read_nowait()
            self._add(len(content), bytes_max)
            return content
        pieces = []
        try:
            async with asyncio.timeout(BODY_SECONDS_MAX):
                async for piece in request.content.iter_any():
                    self._add(len(piece), bytes_max)
                    pieces.append(piece)
        except TimeoutError as error:
            raise RefusedError(problems.too_slow(BODY_SECONDS_MAX)) from error
        return b"".join(pieces)

    def _add(self, count: int, bytes_max: int) -> None:
        self.size += count
        self.load.bytes += count
        if self.size > bytes_max:
            raise RefusedError(problems.too_large(bytes_max))
        if self.load.bytes > BODIES_BYTES_MAX:
            raise RefusedError(problems.busy(RETRY_AFTER_MS))

    def release(self) -> None:
        """Forget it."""
        self.load.bytes -= self.size
        self.size = 0


def bytes_max(mode: str, batch_mode: str) -> int:
    """Return how long a body may be."""
    return BATCH_BYTES_MAX if mode == batch_mode else SIGNAL_BYTES_MAX
