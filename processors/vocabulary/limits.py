"""The limits on what comes from outside, in one place. Units stand last in each name."""

from typing import Final

SIGNAL_BYTES_MAX: Final = 1_048_576
"""The value of a record of `signals.in`, and the body of one event over HTTP."""
HEADER_COUNT_MAX: Final = 64
HEADER_BYTES_MAX: Final = 65_536
"""All headers of a record together, names and values."""
DEPTH_MAX: Final = 64
"""How deep the JSON of a signal may be nested."""
ATTRIBUTE_COUNT_MAX: Final = 64
ATTRIBUTE_NAME_CHARACTERS_MAX: Final = 20
ATTRIBUTE_VALUE_BYTES_MAX: Final = 4_096
TENANT_CHARACTERS_MAX: Final = 64
ID_BYTES_MAX: Final = 256
SOURCE_BYTES_MAX: Final = 1_024
TYPE_CHARACTERS_MAX: Final = 256
TIME_CHARACTERS_MAX: Final = 64
"""RFC 3339 sets no end to a second's fraction; this does."""
RETRYCOUNT_MAX: Final = 1_000
PATTERN_CHARACTERS_MAX: Final = 1_024
PATTERN_SEGMENTS_MAX: Final = 32
PATTERN_ALTERNATIVES_MAX: Final = 16
"""In one segment of a pattern."""
PATTERN_PRIORITY_MAX: Final = 100
"""A pattern's priority lies between this and its negative."""
PROBLEMS_MAX: Final = 20
"""Problems listed for one record; the rest is counted."""
