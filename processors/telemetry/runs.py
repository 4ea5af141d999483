"""One series kept as runs: a value is written down when it changes, and holds for each moment its process told.

So a series that stands still costs nearly nothing, and yet it has a value at each of its process' moments, as it
would have in a store that writes all of them. What is old is thinned: of each 15 seconds, later of each two minutes,
the last moment stays. What counters lost to resets is kept apart, so that no thinning loses a rise.
"""

from array import array
from bisect import bisect_left, bisect_right
from copy import copy
from dataclasses import dataclass
from itertools import repeat
from math import copysign, isnan
from typing import Final

from processors.telemetry.promql.series import (
    STALE,
    Edges,
    Labels,
    Times,
    Values,
    edges_of,
    is_stale,
    nameless,
    without_ends,
)

_COUNTERS: Final = ("_total", "_bucket", "_count", "_sum")
FALLS_MAX: Final = 1_000
"""Resets of one counter that are kept."""


@dataclass(frozen=True, slots=True)
class Tier:
    """What is older than this is thinned to one value of each step."""

    older_ms: int
    step_ms: int


class Axis:
    """The moments at which one process told its metrics, thinned like its series."""

    __slots__ = ("_asked", "_thinned", "times")

    def __init__(self) -> None:
        self.times = array("q")
        self._asked = (0, -1, 0, 0)
        self._thinned: dict[int, int] = {}

    def add(self, at_ms: int) -> None:
        self.times.append(at_ms)
        self._asked = (0, -1, 0, 0)

    def between(self, from_ms: int, to_ms: int) -> tuple[int, int]:
        """Return which moments lie between two times. All series of a process are asked the same, so it is kept."""
        asked_from, asked_to, begin, end = self._asked
        if asked_from != from_ms or asked_to != to_ms:
            begin = bisect_left(self.times, from_ms)
            end = bisect_right(self.times, to_ms, begin)
            self._asked = (from_ms, to_ms, begin, end)
        return begin, end

    @property
    def last_ms(self) -> int:
        return self.times[-1] if self.times else 0

    def thin(self, now_ms: int, tiers: tuple[Tier, ...], oldest_ms: int) -> None:
        """Thin what has become old, and forget what is older than anybody may ask."""
        times = self.times
        for tier in tiers:
            begin, end = _span(times, self._thinned, tier, now_ms)
            kept = [
                time_ms
                for index, time_ms in enumerate(times[begin:end], begin)
                if index + 1 == end or times[index + 1] // tier.step_ms != time_ms // tier.step_ms
            ]
            times[begin:end] = array("q", kept)
        del times[: bisect_left(times, oldest_ms)]
        self._asked = (0, -1, 0, 0)


class Run:
    """A series of the store. Its own times are those of its changes; the axis has the moments at which they held."""

    __slots__ = (
        *("_away_ms", "_counter", "_fell", "_lost", "_thinned"),
        *("axis", "bare", "changed", "key", "known", "labels", "live", "numbers"),
    )

    def __init__(self, labels: Labels, key: tuple[tuple[str, str], ...], name: str, axis: Axis) -> None:
        self.labels = labels
        self.bare = nameless(labels)
        self.key = key
        self.axis = axis
        self.changed = array("q")
        self.numbers = array("d")
        self.known = STALE
        """The newest value; kept while its process is silent."""
        self.live = False
        self._away_ms = 0
        """When it last came back: before that there may be ends within."""
        self._counter = name.endswith(_COUNTERS)
        self._fell = array("q")
        self._lost = array("d")
        """When a counter began anew, and what it had counted until then."""
        self._thinned: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self.changed) + len(self._fell)

    # ---- what comes in
    def put(self, at_ms: int, value: float) -> int:
        """Write down a value. Returns how many points that took: none, if it is what it was."""
        if isnan(value):
            value = float("nan")  # whatever it was, it is not the mark of an end
        if not self.live:
            self.live = True
            self._away_ms = at_ms
        elif value == self.known:
            # A zero has a sign, and what is divided by it shows which.
            if value or copysign(1, value) == copysign(1, self.known):
                return 0
        elif isnan(value) and isnan(self.known):
            return 0
        points = 1
        if self._counter and value < self.known:
            points += self._fall(at_ms)
        self.known = value
        self.changed.append(at_ms)
        self.numbers.append(value)
        return points

    def _fall(self, at_ms: int) -> int:
        self._fell.append(at_ms)
        self._lost.append(self.known)
        if len(self._fell) <= FALLS_MAX:
            return 1
        # No counter does this. The two oldest become one: the sum of what was lost stays right.
        self._lost[1] += self._lost[0]
        del self._fell[0], self._lost[0]
        return 0

    def replace(self, at_ms: int, value: float) -> int:
        """Put a value in the place of the newest one: there is no room for both. Returns whether it is another."""
        if value == self.known:
            return 0
        if self._counter and value < self.known:
            self._fall(at_ms)
        self.known = self.numbers[-1] = float("nan") if isnan(value) else value
        return 1

    def end(self, at_ms: int) -> int:
        """Say that it is gone from now on. Its last value stays known."""
        if not self.live:
            return 0
        self.live = False
        self.changed.append(at_ms)
        self.numbers.append(STALE)
        return 1

    def still(self, axes: "dict[Axis, Axis]") -> "Run":
        """Return a copy that nothing changes any more, for another thread; copies of one process share an axis."""
        axis = axes.get(self.axis)
        if axis is None:
            axis = axes[self.axis] = Axis()
            axis.times = self.axis.times[:]
        run = copy(self)
        run.axis, run.changed, run.numbers = axis, self.changed[:], self.numbers[:]
        run._fell, run._lost = self._fell[:], self._lost[:]  # noqa: SLF001 - one of its own kind
        return run

    # ---- as the evaluator sees it
    def at(self, at_ms: int, oldest_ms: int) -> tuple[int, float] | None:
        """Return the newest value at a time and when it was told, unless it is too old or the series has ended."""
        changed, ticks = self.changed, self.axis.times
        index = len(changed) if changed and at_ms >= changed[-1] else bisect_right(changed, at_ms)
        if not index:
            return None
        value = self.numbers[index - 1]
        if isnan(value) and is_stale(value):
            return None
        time_ms = changed[index - 1]
        tick = len(ticks) if ticks and at_ms >= ticks[-1] else bisect_right(ticks, at_ms)
        if tick and ticks[tick - 1] > time_ms:
            time_ms = ticks[tick - 1]
        return (time_ms, value) if time_ms >= oldest_ms else None

    def window(self, from_ms: int, to_ms: int) -> tuple[Times, Values]:
        """Return all values between two times, both included."""
        begin, end = self._moments(from_ms, to_ms)
        if begin >= end:
            return (), ()
        changed, numbers, ticks = self.changed, self.numbers, self.axis.times
        low, high = bisect_right(changed, ticks[begin]), bisect_right(changed, ticks[end - 1])
        times, values = ticks[begin:end], array("d")
        if low < high and high - low == end - begin - 1 and changed[low:high] == ticks[begin + 1 : end]:
            values = numbers[low - 1 : high]
        else:
            at = begin
            for index in range(low, high):
                tick = bisect_left(ticks, changed[index], at, end)
                if tick > at:
                    values.extend(repeat(numbers[index - 1], tick - at))
                    at = tick
            values.extend(repeat(numbers[high - 1], end - at))
        return (times, values) if ticks[begin] >= self._away_ms else without_ends(times, values)

    def edges(self, from_ms: int, to_ms: int) -> Edges | None:
        """Return what rates need of a window: for a counter, without looking at what lies between."""
        begin, end = self._moments(from_ms, to_ms)
        if begin >= end:
            return None
        changed, numbers, ticks = self.changed, self.numbers, self.axis.times
        first_ms, last_ms = ticks[begin], ticks[end - 1]
        if not self._counter or first_ms < self._away_ms:
            return edges_of(*self.window(from_ms, to_ms))
        lost: Values = ()
        if self._fell:
            lost = self._lost[bisect_right(self._fell, first_ms) : bisect_right(self._fell, last_ms)]
        first = numbers[bisect_right(changed, first_ms) - 1]
        last = numbers[-1 if last_ms >= changed[-1] else bisect_right(changed, last_ms) - 1]
        return Edges(first_ms, first, last_ms, last, end - begin, lost)

    def _moments(self, from_ms: int, to_ms: int) -> tuple[int, int]:
        """Return which of its process' moments lie between two times, from its first change on and up to its end."""
        changed = self.changed
        begin, end = self.axis.between(from_ms, to_ms)
        if changed[0] > from_ms:
            begin = bisect_left(self.axis.times, changed[0], begin, end)
        if not self.live and changed[-1] <= to_ms:
            end = bisect_left(self.axis.times, changed[-1], begin, end)
        return begin, end

    # ---- thinning
    def thin(self, now_ms: int, tiers: tuple[Tier, ...], oldest_ms: int) -> int:
        """Thin what has become old. Returns how many points that freed."""
        before = len(self)
        times, values, last = self.changed, self.numbers, len(self.changed) - 1
        for tier in tiers:
            step_ms = tier.step_ms
            begin, end = _span(times, self._thinned, tier, now_ms)
            kept = [
                index
                for index in range(begin, end)
                if index == last or times[index + 1] // step_ms != times[index] // step_ms
            ]
            if len(kept) < end - begin:
                times[begin:end] = array("q", [times[index] for index in kept])
                values[begin:end] = array("d", [values[index] for index in kept])
                last = len(times) - 1
        # The change before the oldest moment says what held then.
        gone = bisect_right(times, oldest_ms) - 1
        if gone > 0:
            del times[:gone], values[:gone]
        gone = bisect_left(self._fell, oldest_ms)
        del self._fell[:gone], self._lost[:gone]
        return before - len(self)

    def over(self, oldest_ms: int) -> bool:
        """Whether it ended so long ago that nobody can ask for it."""
        return not self.live and (not self.changed or self.changed[-1] < oldest_ms)


def _span(times: "array[int]", thinned: dict[int, int], tier: Tier, now_ms: int) -> tuple[int, int]:
    """Return what has become old enough for a tier since the last time. It ends where a step ends."""
    until_ms = (now_ms - tier.older_ms) // tier.step_ms * tier.step_ms
    begin = bisect_left(times, thinned.get(tier.step_ms, 0))
    end = bisect_left(times, until_ms, begin) if until_ms > 0 else begin
    thinned[tier.step_ms] = max(until_ms, thinned.get(tier.step_ms, 0))
    return begin, end
