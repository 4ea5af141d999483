"""Functions over a window of one series: rate and its kin, and `*_over_time`."""

import math
from collections.abc import Callable
from itertools import islice, pairwise
from operator import gt
from typing import Final, NamedTuple, TypeAlias

from processors.telemetry.promql.numbers import INF, NAN, divide, quantile
from processors.telemetry.promql.series import Edges, Times, Values

TWO: Final = 2
"""One value tells nothing of a rise, a slope or a trend."""


class Span(NamedTuple):
    """Where a window stands."""

    begin_ms: int
    end_ms: int
    range_ms: int
    at_ms: int
    """When the question is asked: the end, but for an offset."""


class Window(NamedTuple):
    """Some values of a series, and the window that they were looked for in. There is at least one."""

    times: Times
    values: Values
    span: Span


WindowFunction: TypeAlias = Callable[[Window], float | None]
"""None: too few values to tell."""
EdgesFunction: TypeAlias = Callable[[Edges, Span], float | None]


def _extrapolated(edges: Edges, span: Span, *, counter: bool, seconds: float = 1.0) -> float | None:
    """Return the rise from the window's begin to its end, though the values stand somewhere in it.

    The first and the last stand for what lies before and after them: up to the window's edge if that is not further
    away than values usually are from one another, else half of that. A counter was never below zero.
    """
    if edges.number < TWO:
        return None
    rise = edges.last - edges.first
    if counter:
        for lost in edges.lost:
            rise += lost
    to_begin = (edges.first_ms - span.begin_ms) / 1000
    to_end = (span.end_ms - edges.last_ms) / 1000
    sampled = (edges.last_ms - edges.first_ms) / 1000
    between = sampled / (edges.number - 1)
    if counter and rise > 0 and edges.first >= 0:
        to_begin = min(to_begin, sampled * (edges.first / rise))
    threshold = between * 1.1
    covered = sampled
    covered += to_begin if to_begin < threshold else between / 2
    covered += to_end if to_end < threshold else between / 2
    return rise * (covered / sampled / seconds)


def increase(edges: Edges, span: Span) -> float | None:
    """Return by how much a counter has risen."""
    return _extrapolated(edges, span, counter=True)


def rate(edges: Edges, span: Span) -> float | None:
    """Return by how much a counter rises in a second."""
    return _extrapolated(edges, span, counter=True, seconds=span.range_ms / 1000)


def delta(edges: Edges, span: Span) -> float | None:
    """Return by how much a gauge has changed."""
    return _extrapolated(edges, span, counter=False)


def irate(window: Window) -> float | None:
    """Return by how much a counter rises in a second, by its last two values."""
    rise = _last_step(window, counter=True)
    return None if rise is None else rise / ((window.times[-1] - window.times[-2]) / 1000)


def idelta(window: Window) -> float | None:
    """Return by how much a gauge has changed between its last two values."""
    return _last_step(window, counter=False)


def _last_step(window: Window, *, counter: bool) -> float | None:
    if len(window.values) < TWO:
        return None
    before, after = window.values[-2], window.values[-1]
    return after if counter and after < before else after - before


class _Sum:
    """A sum that does not lose the small beside the large (Neumaier's)."""

    __slots__ = ("_carry", "plain")

    def __init__(self) -> None:
        self.plain = self._carry = 0.0

    def add(self, value: float) -> None:
        total = self.plain + value
        if abs(self.plain) >= abs(value):
            self._carry += (self.plain - total) + value
        else:
            self._carry += (value - total) + self.plain
        self.plain = total

    @property
    def total(self) -> float:
        return self.plain + self._carry


def total(window: Window) -> float:
    """Return the sum."""
    kept = _Sum()
    for value in window.values:
        kept.add(value)
    # Beside an infinity what was carried is no number.
    return kept.total if math.isfinite(kept.plain) else kept.plain


def average(window: Window) -> float:
    """Return the mean."""
    mean = carry = 0.0
    for count, value in enumerate(window.values, 1):
        if math.isinf(mean) and (math.isfinite(value) or value == mean):
            continue
        step = value / count - mean / count
        moved = mean + step
        carry += (mean - moved) + step if abs(mean) >= abs(step) else (step - moved) + mean
        mean = moved
    return mean if math.isinf(mean) else mean + carry


def lowest(window: Window) -> float:
    """Return the lowest value; NaN only if there is nothing else."""
    return min((value for value in window.values if not math.isnan(value)), default=NAN)


def highest(window: Window) -> float:
    """Return the highest value; NaN only if there is nothing else."""
    return max((value for value in window.values if not math.isnan(value)), default=NAN)


def variance(window: Window) -> float:
    """Return the mean squared distance from the mean."""
    mean, spread = _Sum(), _Sum()
    for count, value in enumerate(window.values, 1):
        distance = value - mean.total
        mean.add(distance / count)
        spread.add(distance * (value - mean.total))
    return spread.total / len(window.values)


def deviation(window: Window) -> float:
    """Return the standard deviation."""
    spread = variance(window)
    return math.sqrt(spread) if spread >= 0 else NAN


def changes(window: Window) -> float:
    """Count how often the value was another than before."""
    return float(
        sum(1 for old, new in pairwise(window.values) if new != old and not (math.isnan(new) and math.isnan(old)))
    )


def resets(window: Window) -> float:
    """Count how often the value was lower than before."""
    return float(sum(map(gt, window.values, islice(window.values, 1, None))))


def _line(window: Window, zero_ms: int) -> tuple[float, float]:
    """Return slope and height at a time of the line that fits best."""
    first = window.values[0]
    if all(value == first for value in islice(window.values, 1, None)):
        return (NAN, NAN) if first in {INF, -INF} else (0.0, first)
    xs, ys, xys, squares = _Sum(), _Sum(), _Sum(), _Sum()
    for time_ms, value in zip(window.times, window.values, strict=True):
        x = (time_ms - zero_ms) / 1e3
        xs.add(x)
        ys.add(value)
        xys.add(x * value)
        squares.add(x * x)
    count = len(window.values)
    slope = divide(xys.total - xs.total * ys.total / count, squares.total - xs.total * xs.total / count)
    return slope, ys.total / count - slope * xs.total / count


def slope(window: Window) -> float | None:
    """Return how steep the line is that fits best, by the second."""
    return None if len(window.values) < TWO else _line(window, window.times[0])[0]


def predicted(window: Window, seconds: float) -> float | None:
    """Return where the line will be. It is drawn from the moment of the question, whatever the offset."""
    if len(window.values) < TWO:
        return None
    steepness, height = _line(window, window.span.at_ms)
    return steepness * seconds + height


def share(window: Window, q: float) -> float:
    """Return the value below which a share of them lies."""
    return quantile(q, window.values)


BY_EDGES: Final[dict[str, EdgesFunction]] = {"rate": rate, "increase": increase, "delta": delta}
FUNCTIONS: Final[dict[str, WindowFunction]] = {
    "irate": irate,
    "idelta": idelta,
    "deriv": slope,
    "changes": changes,
    "resets": resets,
    "avg_over_time": average,
    "min_over_time": lowest,
    "max_over_time": highest,
    "sum_over_time": total,
    "count_over_time": lambda window: float(len(window.values)),
    "last_over_time": lambda window: window.values[-1],
    "present_over_time": lambda _: 1.0,
    "stddev_over_time": deviation,
    "stdvar_over_time": variance,
}
WITH_SCALAR: Final[dict[str, Callable[[Window, float], float | None]]] = {
    "predict_linear": predicted,
    "quantile_over_time": share,
}
