"""Functions over series with one value each."""

import math
from collections.abc import Callable
from typing import Final

from processors.telemetry.promql import numbers
from processors.telemetry.promql.errors import PromqlError
from processors.telemetry.promql.lexer import LABEL
from processors.telemetry.promql.matchers import Match
from processors.telemetry.promql.nodes import Call, Expr, Selector, Text, Window
from processors.telemetry.promql.numbers import INF, NAN, divide, greatest, least
from processors.telemetry.promql.regex import compiled
from processors.telemetry.promql.series import NAME, Labels, nameless
from processors.telemetry.promql.values import Vector, unique

BUCKET: Final = "le"
_PLAIN: Final[dict[str, Callable[[float], float]]] = {
    "abs": numbers.absolute,
    "ceil": numbers.ceiling,
    "floor": numbers.floor,
    "exp": numbers.exponential,
    "ln": numbers.ln,
    "log2": numbers.log2,
    "log10": numbers.log10,
    "sqrt": numbers.root,
    "sgn": numbers.sign,
}


def called(call: Call, vector: Vector, scalars: tuple[float, ...]) -> Vector:
    """Give what a function makes of a vector."""
    match call.function:
        case "sort":
            return Vector(sorted(vector, key=lambda element: numbers.nan_highest(element[1])))
        case "sort_desc":
            return Vector(sorted(vector, key=lambda element: numbers.nan_lowest(element[1]), reverse=True))
        case "absent":
            return Vector() if vector else Vector([(absent_labels(call.arguments[0]), 1.0)])
        case "label_replace":
            return _replaced(call, vector)
        case "label_join":
            return _labels_joined(call, vector)
        case "histogram_quantile":
            return _histogram_quantile(call, vector, scalars[0])
        case _:
            function = _function(call, scalars)
            if function is None:
                return Vector()
            return unique(Vector((nameless(labels), function(value)) for labels, value in vector), call.position)


def _function(call: Call, scalars: tuple[float, ...]) -> Callable[[float], float] | None:
    match call.function:
        case "clamp":
            low, high = scalars
            return None if high < low else lambda value: greatest(low, least(high, value))
        case "clamp_min":
            return lambda value: greatest(scalars[0], value)
        case "clamp_max":
            return lambda value: least(scalars[0], value)
        case "round":
            # By its inverse: a tenth has no exact form, ten has.
            inverse = divide(1.0, scalars[0] if scalars else 1.0)
            return lambda value: divide(numbers.floor(value * inverse + 0.5), inverse)
        case _:
            return _PLAIN[call.function]


def absent_labels(expr: Expr) -> Labels:
    """Return the labels that a series would surely have if it were there."""
    selector = expr.selector if isinstance(expr, Window) else expr
    if not isinstance(selector, Selector):
        return {}
    labels: Labels = {}
    seen: set[str] = set()
    for matcher in selector.matchers:
        if matcher.label == NAME:
            continue
        if matcher.match is Match.EQUAL and matcher.label not in seen:
            seen.add(matcher.label)
            if matcher.value:
                labels[matcher.label] = matcher.value
        else:
            labels.pop(matcher.label, None)
    return labels


def _text(expr: Expr) -> str:
    return expr.value if isinstance(expr, Text) else ""


def _label(expr: Expr) -> str:
    label = _text(expr)
    if LABEL.fullmatch(label) is None:
        raise PromqlError(f"{label!r} is no name of a label", expr.position)
    return label


def _put(labels: Labels, label: str, value: str) -> Labels:
    changed = {name: old for name, old in labels.items() if name != label}
    if value:
        changed[label] = value
    return changed


def _replaced(call: Call, vector: Vector) -> Vector:
    target = _label(call.arguments[1])
    replacement, source = _text(call.arguments[2]), _text(call.arguments[3])
    pattern = compiled(_text(call.arguments[4]))
    found = Vector()
    for labels, value in vector:
        result = pattern.expand(labels.get(source, ""), replacement)
        found.append((labels if result is None else _put(labels, target, result), value))
    return unique(found, call.position)


def _labels_joined(call: Call, vector: Vector) -> Vector:
    target, separator = _label(call.arguments[1]), _text(call.arguments[2])
    sources = [_label(argument) for argument in call.arguments[3:]]
    return unique(
        Vector(
            (_put(labels, target, separator.join(labels.get(source, "") for source in sources)), value)
            for labels, value in vector
        ),
        call.position,
    )


def _bound(text: str) -> float:
    """Read a bucket's upper bound; NaN if it is none."""
    try:
        return NAN if "_" in text or text != text.strip() else float(text)
    except ValueError:
        return NAN


def _histogram_quantile(call: Call, vector: Vector, q: float) -> Vector:
    buckets: dict[frozenset[tuple[str, str]], list[tuple[float, float]]] = {}
    names: dict[frozenset[tuple[str, str]], Labels] = {}
    for labels, value in vector:
        bound = _bound(labels.get(BUCKET, ""))
        if math.isnan(bound):
            continue
        rest = {name: text for name, text in labels.items() if name != BUCKET}
        key = frozenset(rest.items())
        if key not in buckets:
            buckets[key] = []
            names[key] = nameless(rest)
        buckets[key].append((bound, value))
    return unique(Vector((names[key], bucket_quantile(q, found)) for key, found in buckets.items()), call.position)


def bucket_quantile(q: float, buckets: list[tuple[float, float]]) -> float:
    """Return the value below which a share of all observations lies, as if they lay evenly in their bucket.

    Buckets are upper bounds and how many observations lie at or below them. What lies in the last one, which has no
    upper bound, is given as the highest bound there is.
    """
    if math.isnan(q):
        return NAN
    if not 0 <= q <= 1:
        return math.copysign(INF, q)
    merged: dict[float, float] = {}
    for bound, count in sorted(buckets, key=lambda bucket: bucket[0]):
        merged[bound] = merged.get(bound, 0.0) + count
    bounds = list(merged)
    if bounds[-1] != INF or len(bounds) < 2:  # noqa: PLR2004 (without a finite bound there is nothing to go by)
        return NAN
    counts: list[float] = []
    highest = -INF
    for count in merged.values():
        # Rates of buckets scraped at different times may go down from one to the next: they cannot, so they do not.
        highest = max(highest, count)
        counts.append(max(count, highest))
    if counts[-1] == 0:
        return NAN
    rank = q * counts[-1]
    index = next((at for at, count in enumerate(counts[:-1]) if count >= rank), len(counts) - 1)
    if index == len(counts) - 1:
        return bounds[-2]
    if index == 0:
        return bounds[0] if bounds[0] <= 0 else bounds[0] * divide(rank, counts[0])
    begin, below = bounds[index - 1], counts[index - 1]
    return begin + (bounds[index] - begin) * divide(rank - below, counts[index] - below)
