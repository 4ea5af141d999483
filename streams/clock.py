"""The wall clock, as everything here counts it: milliseconds of the epoch."""

import time


def wall_ms() -> int:
    """Return the time."""
    return int(time.time() * 1_000)
