"""Compare answers: ours, as Prometheus' HTTP API would write them, and its own."""

import math
from collections.abc import Sequence
from typing import Any, Final

from processors.telemetry.promql import (
    Matrix,
    PromqlError,
    RangeSeries,
    Source,
    Vector,
    instant,
    parse,
    ranged,
)
from tests.dashboards.prometheus import Prometheus, PrometheusError

Answer = dict[frozenset[tuple[str, str]], list[tuple[int, float]]]
ERROR: Final = "error"
NEAR: Final = 1e-9


def ours_now(text: str, source: Source, at_ms: int) -> Answer | str:
    """Return our answer at one moment."""
    try:
        value = instant(parse(text), source, at_ms)
    except PromqlError:
        return ERROR
    match value:
        case Vector():
            return {frozenset(labels.items()): [(at_ms, number)] for labels, number in value}
        case Matrix():
            return {frozenset(each.labels.items()): each.points for each in value}
        case float():
            return {frozenset(): [(at_ms, value)]}
        case _:
            return value


def ours_over(text: str, source: Source, start_ms: int, end_ms: int, step_ms: int) -> Answer | str:
    """Return our answer over a time."""
    try:
        found: list[RangeSeries] = ranged(parse(text), source, start_ms, end_ms, step_ms)
    except PromqlError:
        return ERROR
    return {frozenset(each.labels.items()): each.points for each in found}


def theirs_now(prometheus: Prometheus, text: str, at_ms: int) -> Answer | str:
    """Return Prometheus' answer at one moment."""
    try:
        data = prometheus.ask("query", query=text, time=at_ms / 1000)
    except PrometheusError:
        return ERROR
    if data["resultType"] == "scalar":
        return {frozenset(): [_point(data["result"])]}
    return _read(data["result"])


def theirs_over(prometheus: Prometheus, text: str, start_ms: int, end_ms: int, step_ms: int) -> Answer | str:
    """Return Prometheus' answer over a time."""
    try:
        data = prometheus.ask("query_range", query=text, start=start_ms / 1000, end=end_ms / 1000, step=step_ms / 1000)
    except PrometheusError:
        return ERROR
    return _read(data["result"])


def _read(result: list[dict[str, Any]]) -> Answer:
    return {
        frozenset(each["metric"].items()): [_point(point) for point in each.get("values", [each.get("value")])]
        for each in result
    }


def _point(point: Sequence[Any]) -> tuple[int, float]:
    return round(float(point[0]) * 1000), float(point[1])


def difference(ours: Answer | str, theirs: Answer | str) -> str:
    """Return what differs; nothing, if it is the same."""
    if isinstance(ours, str) or isinstance(theirs, str):
        return "" if ours == theirs else f"ours {str(ours)[:300]}, theirs {str(theirs)[:300]}"
    if ours.keys() != theirs.keys():
        only = [dict(key) for key in ours.keys() - theirs.keys()], [dict(key) for key in theirs.keys() - ours.keys()]
        return f"only ours {only[0][:3]}, only theirs {only[1][:3]}"
    for key, points in ours.items():
        if [at_ms for at_ms, _ in points] != [at_ms for at_ms, _ in theirs[key]]:
            return f"{dict(key)}: at other times, {len(points)} and {len(theirs[key])} points"
        for (at_ms, one), (_, other) in zip(points, theirs[key], strict=True):
            if not _near(one, other):
                return f"{dict(key)} at {at_ms}: ours {one!r}, theirs {other!r}"
    return ""


def _near(one: float, other: float) -> bool:
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return one == other or math.isclose(one, other, rel_tol=NEAR, abs_tol=NEAR)
