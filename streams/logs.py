"""Logs stay readable when a broker is away: the same line at most once a second from each place."""

import logging
import time
from typing import Final

from typing_extensions import override

SECONDS_BETWEEN: Final = 1.0
PLACES_MAX: Final = 1_000


class LimitRepeats(logging.Filter):
    """Lets a place in the code log once a second; says how often it wanted to."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[tuple[str, int], float] = {}
        self._held: dict[tuple[str, int], int] = {}

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        place, now = (record.pathname, record.lineno), time.monotonic()
        if record.levelno >= logging.ERROR or now - self._last.get(place, -SECONDS_BETWEEN) >= SECONDS_BETWEEN:
            if len(self._last) >= PLACES_MAX:
                self._last.clear()
            self._last[place] = now
            held = self._held.pop(place, 0)
            if held:
                record.msg = f"{record.msg} (and {held} more like it)"
            return True
        self._held[place] = self._held.get(place, 0) + 1
        return False
