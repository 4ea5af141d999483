"""Arithmetic as Go and IEEE have it, where Python raises instead: infinities and NaN are values like others."""

import math
from collections.abc import Sequence
from operator import eq, ge, gt, le, lt, ne
from typing import Final

NAN: Final = math.nan
INF: Final = math.inf


def divide(left: float, right: float) -> float:
    """Divide; by zero, too."""
    if right:
        return left / right
    if not left or math.isnan(left):
        return NAN
    return math.copysign(INF, left) * math.copysign(1.0, right)


def remainder(left: float, right: float) -> float:
    """Return what is left of a division, with the dividend's sign."""
    try:
        return math.fmod(left, right)
    except ValueError:
        return NAN


def power(base: float, exponent: float) -> float:
    """Raise to a power."""
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return -INF if base < 0 and math.fmod(exponent, 2) else INF
    except ValueError:
        if base == 0:
            return math.copysign(INF, base) if math.fmod(exponent, 2) in {1.0, -1.0} else INF
        return NAN


def least(left: float, right: float) -> float:
    """Return the lower one; NaN wins, except over minus infinity."""
    if -INF in (left, right):
        return -INF
    return NAN if math.isnan(left) or math.isnan(right) else min(left, right)


def greatest(left: float, right: float) -> float:
    """Return the higher one; NaN wins, except over infinity."""
    if INF in (left, right):
        return INF
    return NAN if math.isnan(left) or math.isnan(right) else max(left, right)


def absolute(value: float) -> float:
    """Return it without its sign."""
    return abs(value)


def ceiling(value: float) -> float:
    """Round up."""
    return float(math.ceil(value)) or math.copysign(0.0, value) if math.isfinite(value) else value


def floor(value: float) -> float:
    """Round down."""
    return float(math.floor(value)) or math.copysign(0.0, value) if math.isfinite(value) else value


def sign(value: float) -> float:
    """Return -1, 0 or 1."""
    return -1.0 if value < 0 else 1.0 if value > 0 else value


def exponential(value: float) -> float:
    """Return e to that power."""
    try:
        return math.exp(value)
    except OverflowError:
        return INF


def _log(value: float, base: float) -> float:
    if value > 0:
        return math.log10(value) if base == 10 else math.log2(value) if base == 2 else math.log(value)  # noqa: PLR2004
    return -INF if value == 0 else NAN


def ln(value: float) -> float:
    """Return the natural logarithm."""
    return _log(value, math.e)


def log2(value: float) -> float:
    """Return the logarithm to base 2."""
    return _log(value, 2)


def log10(value: float) -> float:
    """Return the logarithm to base 10."""
    return _log(value, 10)


def root(value: float) -> float:
    """Return the square root."""
    return math.sqrt(value) if value >= 0 else NAN


def quantile(q: float, values: Sequence[float]) -> float:
    """Return the value below which a share of them lies, between two of them by weight. NaN counts as the lowest."""
    if not values or math.isnan(q):
        return NAN
    if q < 0:
        return -INF
    if q > 1:
        return INF
    ordered = sorted(values, key=nan_lowest)
    rank = q * (len(ordered) - 1)
    below = max(0, math.floor(rank))
    above = min(len(ordered) - 1, below + 1)
    weight = rank - math.floor(rank)
    return ordered[below] * (1 - weight) + ordered[above] * weight


def nan_lowest(value: float) -> tuple[bool, float]:
    """Sort by this to have NaN first."""
    return (False, 0.0) if math.isnan(value) else (True, value)


def nan_highest(value: float) -> tuple[bool, float]:
    """Sort by this to have NaN last."""
    return (True, 0.0) if math.isnan(value) else (False, value)


def variance(values: Sequence[float]) -> float:
    """Return the mean squared distance from the mean, in one pass."""
    mean, spread = values[0], 0.0
    for count, value in enumerate(values[1:], 2):
        distance = value - mean
        mean += distance / count
        spread += distance * (value - mean)
    return spread / len(values)


def average(values: Sequence[float]) -> float:
    """Return the mean, safe from overflow; infinities of one sign stay what they are."""
    mean = 0.0
    for count, value in enumerate(values, 1):
        if math.isinf(mean) and (math.isfinite(value) or value == mean):
            continue
        mean += value / count - mean / count
    return mean


ARITHMETIC: Final = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": divide,
    "%": remainder,
    "^": power,
}
COMPARE: Final = {"==": eq, "!=": ne, ">": gt, "<": lt, ">=": ge, "<=": le}
