"""Follow the topic `metrics` into the series store: a `View` of what all processes tell of themselves.

One thread takes samples in and judges; so judging needs no lock. Questions have another thread: they get copies of what
they select, and the lock is held while those are made, not while the answer is worked out.
"""

import logging
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

from processors.telemetry import catalogue
from processors.telemetry.promql import Matcher, PromqlError, Source
from processors.telemetry.runs import Axis, Run
from processors.telemetry.samples import UnreadableSampleError, unpack
from processors.telemetry.series import SeriesStore
from streams.gateway.following import Span
from streams.metrics import Metrics

log = logging.getLogger(__name__)

BACK_MS: Final = 30 * 60_000
"""How much of the past is read at the start. Rules with longer windows see what came since then."""
RECORDS_MAX: Final = 100_000
"""Of that, in all lanes."""
TURN_RECORDS_MAX: Final = 20
"""Taken in at once: the rules are judged in between."""
COPIES_MAX: Final = 10_000
"""Series that one selector of a question may give."""
LOG_SECONDS: Final = 60.0


def span(lanes: int) -> Span:
    """Return how much of the topic is read at first."""
    return Span(age_ms=BACK_MS, records_max=max(1, RECORDS_MAX // lanes))


class SamplesView:
    """What all processes have told of late. What was known stays in force until a new reading is complete."""

    def __init__(self, metrics: Metrics) -> None:
        self._lock = threading.Lock()
        self._store = SeriesStore()
        self._next = self._store
        self._refused = 0
        self._refusals = metrics.counter(catalogue.WATCH_REFUSED).of()
        self._dropped = metrics.counter(catalogue.TELEMETRY_DROPPED).of()
        self._logged = -LOG_SECONDS
        metrics.gauge(catalogue.WATCH_SERIES).of().set_function(lambda: len(self._store))
        metrics.gauge(catalogue.WATCH_BEHIND).of().set_function(self.behind_seconds)

    def begin(self) -> None:
        """See `View.begin`."""
        self._next = SeriesStore()

    def take(self, record: Any) -> None:
        """See `View.take`. In the thread that judges."""
        try:
            sample = unpack(record.value or b"")
        except UnreadableSampleError as error:
            self._dropped.inc()
            if time.monotonic() - self._logged > LOG_SECONDS:
                self._logged = time.monotonic()
                log.warning("a sample cannot be read (%s/%d): %s", record.partition, record.offset, error)
            return
        with self._lock:
            self._next.take(sample)

    def complete(self) -> None:
        """See `View.complete`."""
        with self._lock:
            self._store, self._refused = self._next, 0

    def look(self, now_ms: int) -> SeriesStore:
        """Return what is to be judged, in the thread that judges: who is silent by now counts as such."""
        with self._lock:
            self._store.silent(now_ms)
        refused = self._store.refused
        self._refusals.inc(max(0, refused - self._refused))
        self._refused = refused
        return self._store

    def asked(self) -> Source:
        """Return what questions are asked of, in any thread."""
        return _Copies(self)

    def behind_seconds(self) -> float:
        """Return how old the newest sample is; 0 if there is none yet."""
        newest_ms = self._store.newest_ms
        return max(0.0, time.time() - newest_ms / 1_000) if newest_ms else 0.0

    def copies(self, name: str, matchers: tuple[Matcher, ...], from_ms: int, to_ms: int) -> list[Run]:
        """Return what a selector finds, as it is now."""
        axes: dict[Axis, Axis] = {}
        with self._lock:
            found: Sequence[Run] = self._store.select(name, matchers, from_ms, to_ms)
            if len(found) > COPIES_MAX:
                raise PromqlError(f"this selects {len(found)} series, more than {COPIES_MAX}; name more labels")
            return [run.still(axes) for run in found]


class _Copies:
    """A source for other threads."""

    def __init__(self, view: SamplesView) -> None:
        self._view = view

    def select(self, name: str, matchers: tuple[Matcher, ...], from_ms: int, to_ms: int) -> list[Run]:
        """See `Source.select`."""
        return self._view.copies(name, matchers, from_ms, to_ms)
