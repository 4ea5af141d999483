"""Questions to the series store: one at a time, in a thread of their own, each bounded in time.

A slow question holds up the next question; judging has a thread of its own. A thread cannot be ended from outside, so a
question's time is looked at each time it selects series, and how much each can select is bounded by the engine.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from processors.telemetry import catalogue
from processors.telemetry.promql import PromqlError, Series, Source
from streams.metrics import Metrics

T = TypeVar("T")

QUESTION_SECONDS_MAX: Final = 5.0
WAITING_MAX: Final = 32
"""Questions that may wait for the thread; the next one is told that there are too many."""
TENANT: Final = "tenant"


class AskError(Exception):
    """A question is not answered; the message says why and what to do."""


class WrongError(AskError):
    """It is no question that can be answered."""


class BusyError(AskError):
    """Too many ask at once."""


class SlowError(AskError):
    """It took too long."""


@dataclass(frozen=True, slots=True)
class Bounded:
    """A source that stops when time is up, and shows one tenant's series only if told so."""

    source: Source
    deadline: float
    only: str = ""

    def select(self, name: str, matchers: Any, from_ms: int, to_ms: int) -> Iterable[Series]:
        """See `Source.select`."""
        if time.monotonic() > self.deadline:
            raise SlowError(_slow())
        found = self.source.select(name, matchers, from_ms, to_ms)
        if not self.only:
            return found
        return [series for series in found if series.labels.get(TENANT) == self.only]


class Questions:
    """Asks the store for whoever asks the watch."""

    def __init__(
        self, source: Callable[[], Source], metrics: Metrics, *, seconds_max: float = QUESTION_SECONDS_MAX
    ) -> None:
        self._source = source
        self._seconds_max = seconds_max
        self._asked = metrics.counter(catalogue.WATCH_QUERIES)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="watch-questions")
        self._waiting = 0

    def close(self) -> None:
        """Take no more questions."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def ask(self, question: Callable[[Source], T], *, only: str = "") -> T:
        """Return a question's answer. Raises `AskError`."""
        if self._waiting >= WAITING_MAX:
            self._asked.of("busy").inc()
            raise BusyError("The watch is asked too much at once. Ask again in a moment.")
        deadline = time.monotonic() + self._seconds_max
        bounded = Bounded(self._source(), deadline, only)
        self._waiting += 1
        work = asyncio.get_running_loop().run_in_executor(self._pool, _answer, question, bounded)
        work.add_done_callback(self._done)
        try:
            async with asyncio.timeout(self._seconds_max):
                found = await asyncio.shield(work)
        except (SlowError, TimeoutError) as error:
            self._asked.of("slow").inc()
            raise SlowError(_slow()) from error
        except PromqlError as error:
            self._asked.of("wrong").inc()
            raise WrongError(str(error)) from error
        self._asked.of("answered").inc()
        return found

    def _done(self, work: "asyncio.Future[Any]") -> None:
        self._waiting -= 1
        if not work.cancelled():
            # Nobody may be waiting any more for what came too late; its failure is nobody's then.
            work.exception()


def _answer(question: Callable[[Source], T], source: Bounded) -> T:
    if time.monotonic() > source.deadline:
        raise SlowError(_slow())
    return question(source)


def _slow() -> str:
    return "The question takes too long. Ask for fewer series, a shorter time or larger steps."
