"""The key of a row: its time, then where it stands. What is sorted by key is sorted by time."""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from streams.history.rows import AT_MS_MAX, Row

PLACE_BITS: Final = 21
_PLACE_MASK: Final = (1 << PLACE_BITS) - 1
_OFFSET_BITS: Final = 14
"""A batch's records have one time; so many of them in one lane are told apart at once."""
_LANE_MASK: Final = (1 << (PLACE_BITS - _OFFSET_BITS)) - 1
_STRIDE: Final = 0x9E3779
"""Odd, so that it leads to every place of a millisecond before it comes back."""
KEY_MAX: Final = (1 << 63) - 1


def key_of(row: Row, attempt: int = 0) -> int:
    """Return the key that a row gets if it is free; with a higher attempt another one of the same millisecond."""
    place = (row.lane & _LANE_MASK) << _OFFSET_BITS | row.offset & ((1 << _OFFSET_BITS) - 1)
    return row.at_ms << PLACE_BITS | (place + attempt * _STRIDE) & _PLACE_MASK


def least_key(at_ms: int) -> int:
    """Return the first key of a millisecond."""
    return min(max(at_ms, 0), AT_MS_MAX) << PLACE_BITS


def time_of(key: int) -> int:
    """Return the time that a key stands for."""
    return key >> PLACE_BITS


def keyed(
    rows: Sequence[Row], taken: Callable[[Sequence[int]], AbstractSet[int]] | None = None
) -> list[tuple[int, Row]]:
    """Give each row a key of its own, in the order of the keys. `taken` tells which keys others have already."""
    found: dict[int, Row] = {}
    waiting = [(row, 0) for row in rows]
    others: AbstractSet[int] = frozenset()
    while waiting:
        if taken is not None:
            others = taken([key_of(row, attempt) for row, attempt in waiting])
        again = []
        for row, attempt in waiting:
            key = key_of(row, attempt)
            if key in found or key in others:
                if attempt > _PLACE_MASK:
                    raise OverflowError(f"more than {_PLACE_MASK} rows of the millisecond {row.at_ms}")
                again.append((row, attempt + 1))
            else:
                found[key] = row
        waiting = again
    return sorted(found.items())
