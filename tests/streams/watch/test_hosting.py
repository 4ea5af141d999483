"""A part that fails is counted and begun again, and the others go on."""

import asyncio

from processors.telemetry import catalogue
from streams.metrics import Metrics
from streams.watch.hosting import Hosting

SECONDS = 20.0


class Steady:
    def __init__(self) -> None:
        self.ended = False

    async def run(self) -> None:
        try:
            await asyncio.Event().wait()  # forever: until it is cancelled
        finally:
            self.ended = True


class Weak:
    def __init__(self) -> None:
        self.begun = 0
        self.often = asyncio.Event()

    async def run(self) -> None:
        self.begun += 1
        if self.begun >= 3:
            self.often.set()
        if self.begun == 2:
            return
        raise ZeroDivisionError


async def test_one_that_fails_or_ends_is_begun_again_and_counted_and_harms_nobody() -> None:
    metrics, steady, weak = Metrics(), Steady(), Weak()
    hosting = Hosting(metrics, again_seconds=0.001)
    hosting.start((weak, steady))
    async with asyncio.timeout(SECONDS):
        await weak.often.wait()
    failures = metrics.counter(catalogue.WATCH_PART_FAILURES)
    assert failures.of("weak")._value.get() >= 2
    assert failures.of("steady")._value.get() == 0
    assert not steady.ended
    await hosting.close()
    assert steady.ended
