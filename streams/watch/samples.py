"""Follow the topic `metrics` into the series store: a `View` of what all processes tell of themselves.

The store is asked from other threads than the one that fills it, so both take turns by a lock; a question holds it for
as long as it takes to copy what it selects, not for its reckoning.
"""

import logging
from typing import Final

from streams.gateway.following import Span

log = logging.getLogger(__name__)

BACK_MS: Final = 30 * 60_000
"""How much of the past is read at the start."""
RECORDS_MAX: Final = 100_000
"""Of that, in all lanes."""
TURN_RECORDS_MAX: Final = 20
"""Taken in at once: other tasks of this process wait no longer than these take."""
LOG_SECONDS: Final = 60.0


def span(lanes: int) -> Span:
    """Return how much of the topic is read at first."""
    return Span(age_ms=BACK_MS, records_max=RECORDS_MAX // lanes)
