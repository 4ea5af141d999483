"""What failed, by event and reason, with the last ones of each."""

from collections import deque
from collections.abc import Iterable
from typing import Any, Final

from processors.telemetry import catalogue
from processors.telemetry.event import Level, Told
from processors.telemetry.events import BY_NAME
from processors.telemetry.handlers.handler import Count

KEPT: Final = 20
REASONS_MAX: Final = 200
_OTHER: Final = "other"
_TELLING: Final = ("reason", "kind", "fault", "channel", "outcome")
"""Metadata whose values are few: what an error says in its own words is no label."""


class Errors:
    """See `handler.Handler`."""

    name = "errors"

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], float] = {}
        self._last: deque[dict[str, Any]] = deque(maxlen=KEPT)

    def wants(self, event: str) -> bool:
        """Those that are declared as errors."""
        found = BY_NAME.get(event)
        return found is not None and found.level is Level.ERROR

    def take(self, one: Told) -> Iterable[Count]:
        """See `handler.Handler`."""
        reason = next((str(one.metadata[name]) for name in _TELLING if name in one.metadata), "")
        of = (one.event, reason)
        if of not in self._counts and len(self._counts) >= REASONS_MAX:
            of = (one.event, _OTHER)
        by = one.measurements.get("count", 1.0) * one.one_in
        self._counts[of] = self._counts.get(of, 0.0) + by
        shown = {"at_ms": one.at_ms, "event": one.event, "hop": one.hop, "lane": one.lane, "tenant": one.tenant}
        self._last.append({**shown, **one.metadata})
        return (Count(catalogue.ERRORS_SEEN, of, by),)

    def summary(self) -> dict[str, Any]:
        """See `handler.Handler`."""
        ranked = sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))
        counts = [{"event": event, "reason": reason, "count": count} for (event, reason), count in ranked]
        return {"counts": counts, "last": list(self._last)}
