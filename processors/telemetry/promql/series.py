"""What the evaluator reads: series of values by time, and who finds them."""

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import islice, pairwise
from math import isnan
from operator import gt
from typing import Final, NamedTuple, Protocol, TypeAlias

from processors.telemetry.promql.matchers import Matcher

NAME: Final = "__name__"
Labels: TypeAlias = dict[str, str]
"""Never changed once made: they are shared."""
Times: TypeAlias = Sequence[int]
Values: TypeAlias = Sequence[float]

_PACK: Final = struct.Struct("<d").pack
_STALE_BYTES: Final = bytes.fromhex("020000000000f87f")
STALE: Final = float(struct.unpack("<d", _STALE_BYTES)[0])
"""The value of a series at the moment it ended: a NaN of its own, so that it fits among the others."""


def is_stale(value: float) -> bool:
    """Tell the end of a series from a value that is NaN."""
    return isnan(value) and _PACK(value) == _STALE_BYTES


def nameless(labels: Labels) -> Labels:
    """Return the labels without the metric's name."""
    if NAME not in labels:
        return labels
    return {label: value for label, value in labels.items() if label != NAME}


class Series(Protocol):
    """One series. Its values are asked for, so that a store may keep them as it likes."""

    @property
    def labels(self) -> Labels: ...

    @property
    def bare(self) -> Labels:
        """The labels without the name: what functions give."""
        ...

    def at(self, at_ms: int, oldest_ms: int) -> tuple[int, float] | None:
        """Return the newest value at a time and when it was told, unless it is too old or the series has ended."""
        ...

    def window(self, from_ms: int, to_ms: int) -> tuple[Times, Values]:
        """Return all values between two times, both included, and without the marks of ends."""
        ...

    def edges(self, from_ms: int, to_ms: int) -> "Edges | None":
        """Return what rates need of a window, which for a long one is much less than all of its values."""
        ...


class Recorded:
    """A series with all of its values, oldest first. A store of many has a cleverer one."""

    __slots__ = ("bare", "labels", "times", "values")

    def __init__(self, labels: Labels, times: Times, values: Values) -> None:
        self.labels = labels
        self.bare = nameless(labels)
        self.times = times
        self.values = values

    def at(self, at_ms: int, oldest_ms: int) -> tuple[int, float] | None:
        index = bisect_right(self.times, at_ms) - 1
        if index < 0 or self.times[index] < oldest_ms:
            return None
        value = self.values[index]
        return None if is_stale(value) else (self.times[index], value)

    def window(self, from_ms: int, to_ms: int) -> tuple[Times, Values]:
        low = bisect_left(self.times, from_ms)
        high = bisect_right(self.times, to_ms, low)
        return without_ends(self.times[low:high], self.values[low:high])

    def edges(self, from_ms: int, to_ms: int) -> "Edges | None":
        return edges_of(*self.window(from_ms, to_ms))


class Edges(NamedTuple):
    """The first and the last value of a window, how many there are, and what was lost at each reset in between."""

    first_ms: int
    first: float
    last_ms: int
    last: float
    number: int
    lost: Values


def edges_of(times: Times, values: Values) -> Edges | None:
    """Look at all values of a window for the few things that rates need."""
    if not values:
        return None
    lost: Values = ()
    # Most counters never begin anew: this look at all pairs runs in C.
    if any(map(gt, values, islice(values, 1, None))):
        lost = [before for before, after in pairwise(values) if after < before]
    return Edges(times[0], values[0], times[-1], values[-1], len(values), lost)


def without_ends(times: Times, values: Values) -> tuple[Times, Values]:
    """Leave out the marks of an end: no function sees them."""
    kept = [index for index, value in enumerate(values) if not is_stale(value)]
    if len(kept) == len(values):
        return times, values
    return [times[index] for index in kept], [values[index] for index in kept]


class Source(Protocol):
    """Who has the series."""

    def select(self, name: str, matchers: tuple[Matcher, ...], from_ms: int, to_ms: int) -> Iterable[Series]:
        """Return the series of that name (any, if it is empty) that match and may have values between two times."""
        ...
