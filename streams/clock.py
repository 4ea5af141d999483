"""The wall clock, as everything here counts it: milliseconds of the epoch."""

import time


def wall_ms() -> int:
    """Return the time."""
    return time.time_ns() // 1_000_000
