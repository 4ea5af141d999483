"""What a query may ask for at most. All in one place: a query comes from anybody who may read metrics."""

from typing import Final

TEXT_MAX: Final = 10_000
"""Characters of an expression."""
DEPTH_MAX: Final = 60
"""Operators, calls and parentheses inside of one another."""
PATTERN_MAX: Final = 1_000
"""Characters of a regular expression."""
PROGRAM_MAX: Final = 2_000
"""Instructions that a regular expression may become: `(a{100}){100}` is short to write."""
STEPS_MAX: Final = 11_000
"""Points of each series of a range query or subquery, as in Prometheus."""
SERIES_MAX: Final = 50_000
"""Series that one selector may find."""
SAMPLES_MAX: Final = 2_000_000
"""Values that a query may look at in all: some seconds' work for the slowest of functions, less for most."""
LOOKBACK_MS: Final = 300_000
"""How old a series' newest value may be to count as its value now."""
DURATION_MAX_MS: Final = 100 * 365 * 86_400_000
