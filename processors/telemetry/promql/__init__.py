"""PromQL: the part of it that alert rules and dashboards use, over any store of series. Nothing here waits or reads.

expr = parse('sum by (hop) (rate(hopline_hop_errors_total[5m]))')
vector = instant(expr, store, now_ms)
series = ranged(expr, store, now_ms - 900_000, now_ms, 15_000)
"""

from processors.telemetry.promql.errors import PromqlError
from processors.telemetry.promql.evaluate import instant, ranged
from processors.telemetry.promql.matchers import Match, Matcher
from processors.telemetry.promql.nodes import Expr, Kind, Selector, walk
from processors.telemetry.promql.parser import parse
from processors.telemetry.promql.series import STALE, Labels, Recorded, Series, Source, is_stale
from processors.telemetry.promql.values import Matrix, RangeSeries, Value, Vector

__all__ = [
    "STALE",
    "Expr",
    "Kind",
    "Labels",
    "Match",
    "Matcher",
    "Matrix",
    "PromqlError",
    "RangeSeries",
    "Recorded",
    "Selector",
    "Series",
    "Source",
    "Value",
    "Vector",
    "instant",
    "is_stale",
    "parse",
    "ranged",
    "walk",
]
