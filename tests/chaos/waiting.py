"""Wait for a condition, never for longer than a deadline."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

LOOK_SECONDS: Final = 0.05


class TooLateError(Exception):
    """Something that must come did not come in time; the message says what."""


async def until(
    condition: Callable[[], Awaitable[bool]], seconds_max: float, what: str, *, look_seconds: float = LOOK_SECONDS
) -> float:
    """Return how long it took until the condition held. Raises `TooLateError`."""
    began = time.monotonic()
    while not await condition():
        if time.monotonic() - began > seconds_max:
            raise TooLateError(f"{what}: not within {seconds_max:g} s")
        await asyncio.sleep(look_seconds)
    return time.monotonic() - began
