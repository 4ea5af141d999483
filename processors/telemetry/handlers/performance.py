"""What took longer than it should: counted by event, the slowest ones kept."""

from collections.abc import Iterable
from heapq import heappush, heappushpop
from typing import Any, Final

from processors.telemetry import catalogue
from processors.telemetry.event import Told, Unit
from processors.telemetry.events import BY_NAME
from processors.telemetry.handlers.handler import Count

KEPT: Final = 20
_TOOK: Final = "seconds"


class Performance:
    """See `handler.Handler`."""

    name = "performance"

    def __init__(self, slow_seconds: float) -> None:
        self._slow_seconds = slow_seconds
        self._slowest: list[tuple[float, int, dict[str, Any]]] = []
        self._seen = 0

    def wants(self, event: str) -> bool:
        """Those that say how long something took."""
        found = BY_NAME.get(event)
        return found is not None and found.measurements.get(_TOOK) is Unit.SECONDS

    def take(self, one: Told) -> Iterable[Count]:
        """See `handler.Handler`."""
        seconds = one.measurements.get(_TOOK, 0.0)
        if seconds <= self._slow_seconds:
            return ()
        self._seen += 1
        shown = {"event": one.event, "seconds": seconds, "at_ms": one.at_ms, "hop": one.hop, "lane": one.lane}
        # The number tells two that took equally long apart: dicts have no order.
        kept = (seconds, self._seen, {**shown, **one.metadata})
        if len(self._slowest) < KEPT:
            heappush(self._slowest, kept)
        else:
            heappushpop(self._slowest, kept)
        return (Count(catalogue.SLOW_SEEN, (one.event,), one.measurements.get("count", 1.0) * one.one_in),)

    def summary(self) -> dict[str, Any]:
        """See `handler.Handler`."""
        slowest = [shown for _, _, shown in sorted(self._slowest, reverse=True)]
        return {"slow": self._seen, "slower_than_seconds": self._slow_seconds, "slowest": slowest}
