"""Aggregations: many series into one of each group."""

import heapq
import math
from collections.abc import Callable, Sequence
from typing import Final

from processors.telemetry.promql.errors import PromqlError
from processors.telemetry.promql.nodes import Aggregation
from processors.telemetry.promql.numbers import NAN, average, nan_highest, nan_lowest, quantile, variance
from processors.telemetry.promql.series import NAME, Labels
from processors.telemetry.promql.values import Vector

_WHOLE_MAX: Final = float(2**63)


def _lowest(values: Sequence[float]) -> float:
    return min((value for value in values if not math.isnan(value)), default=NAN)


def _highest(values: Sequence[float]) -> float:
    return max((value for value in values if not math.isnan(value)), default=NAN)


def _deviation(values: Sequence[float]) -> float:
    spread = variance(values)
    return math.sqrt(spread) if spread >= 0 else NAN


_FUNCTIONS: Final[dict[str, Callable[[Sequence[float]], float]]] = {
    "sum": lambda values: float(sum(values)),
    "min": _lowest,
    "max": _highest,
    "avg": average,
    "count": lambda values: float(len(values)),
    "group": lambda _: 1.0,
    "stddev": _deviation,
    "stdvar": variance,
}


def aggregated(node: Aggregation, vector: Vector, parameter: float) -> Vector:
    """Put the groups together. The parameter is topk's, bottomk's or quantile's."""
    if node.op in {"topk", "bottomk"}:
        return _extremes(node, vector, parameter)
    groups: dict[tuple[object, ...], list[float]] = {}
    names: dict[tuple[object, ...], Labels] = {}
    without = {NAME, *node.labels} if node.without else None
    by = node.labels
    for labels, value in vector:
        key = _group(labels, by, without)
        group = groups.get(key)
        if group is None:
            groups[key] = [value]
            names[key] = labels
        else:
            group.append(value)
    if node.op == "quantile":
        return Vector((_kept(names[key], node), quantile(parameter, values)) for key, values in groups.items())
    function = _FUNCTIONS[node.op]
    return Vector((_kept(names[key], node), function(values)) for key, values in groups.items())


def _group(labels: Labels, by: tuple[str, ...], without: set[str] | None) -> tuple[object, ...]:
    if without is None:
        return tuple([labels.get(name, "") for name in by])
    return tuple(sorted([item for item in labels.items() if item[0] not in without]))


def _kept(labels: Labels, node: Aggregation) -> Labels:
    if node.without:
        return {name: value for name, value in labels.items() if name != NAME and name not in node.labels}
    return {name: labels[name] for name in node.labels if name in labels}


def _extremes(node: Aggregation, vector: Vector, parameter: float) -> Vector:
    """Keep the highest or the lowest of each group, with all of their labels; the most extreme first, NaN last."""
    if not -_WHOLE_MAX <= parameter < _WHOLE_MAX:
        raise PromqlError(f"{node.op} cannot count to {parameter}", node.position)
    count = min(int(parameter), len(vector))
    if count < 1:
        return Vector()
    without = {NAME, *node.labels} if node.without else None
    groups: dict[tuple[object, ...], list[tuple[Labels, float]]] = {}
    for element in vector:
        groups.setdefault(_group(element[0], node.labels, without), []).append(element)
    found = Vector()
    for group in groups.values():
        if node.op == "topk":
            found.extend(heapq.nlargest(count, group, key=lambda element: nan_lowest(element[1])))
        else:
            found.extend(heapq.nsmallest(count, group, key=lambda element: nan_highest(element[1])))
    return found
