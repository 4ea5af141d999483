"""The functions there are: what they take and what they give."""

from dataclasses import dataclass
from typing import Final

from processors.telemetry.promql.nodes import Kind

_S, _V, _M, _T = Kind.SCALAR, Kind.VECTOR, Kind.MATRIX, Kind.STRING
MANY: Final = 100


@dataclass(frozen=True, slots=True)
class Signature:
    """What a function takes. The last `optional` arguments may be left out; the last may be repeated up to `most`."""

    takes: tuple[Kind, ...]
    gives: Kind = _V
    optional: int = 0
    most: int = 0

    @property
    def least(self) -> int:
        return len(self.takes) - self.optional

    @property
    def limit(self) -> int:
        return max(self.most, len(self.takes))


OVER_TIME: Final = (
    "avg_over_time",
    "min_over_time",
    "max_over_time",
    "sum_over_time",
    "count_over_time",
    "last_over_time",
    "present_over_time",
    "stddev_over_time",
    "stdvar_over_time",
)
RANGES: Final = (*OVER_TIME, "rate", "irate", "increase", "delta", "idelta", "deriv", "changes", "resets")
PLAIN: Final = ("abs", "ceil", "floor", "ln", "log2", "log10", "exp", "sqrt", "sgn", "timestamp", "sort", "sort_desc")

SIGNATURES: Final[dict[str, Signature]] = {
    **{name: Signature((_M,)) for name in RANGES},
    **{name: Signature((_V,)) for name in PLAIN},
    "absent_over_time": Signature((_M,)),
    "quantile_over_time": Signature((_S, _M)),
    "predict_linear": Signature((_M, _S)),
    "histogram_quantile": Signature((_S, _V)),
    "absent": Signature((_V,)),
    "round": Signature((_V, _S), optional=1),
    "clamp": Signature((_V, _S, _S)),
    "clamp_min": Signature((_V, _S)),
    "clamp_max": Signature((_V, _S)),
    "scalar": Signature((_V,), _S),
    "vector": Signature((_S,)),
    "time": Signature((), _S),
    "label_replace": Signature((_V, _T, _T, _T, _T)),
    "label_join": Signature((_V, _T, _T, _T), optional=1, most=MANY),
}

AGGREGATIONS: Final = frozenset(
    {"sum", "min", "max", "avg", "count", "group", "stddev", "stdvar", "topk", "bottomk", "quantile"}
)
WITH_PARAMETER: Final = frozenset({"topk", "bottomk", "quantile"})

ELSEWHERE: Final = frozenset(
    {
        *("acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "sin", "sinh", "tan", "tanh", "deg", "rad"),
        *("day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute", "month", "year", "pi"),
        *("histogram_count", "histogram_fraction", "histogram_sum", "holt_winters", "count_values", "atan2"),
    }
)
"""What Prometheus 2.42 has besides. Named, so that the error can say which of both is meant."""
