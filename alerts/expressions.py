"""The few shapes that rules are made of: a share of a whole with enough behind it, a percentile, what is to come."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from processors.telemetry.catalogue import Metric

TREND_WINDOW: Final = "30m"
AHEAD_SECONDS: Final = 7_200
"""How far trends look ahead: long enough to do something, short enough for a straight line to be right."""


def one_of(values: Iterable[StrEnum]) -> str:
    """Return what `=~` takes to match each of them and nothing else."""
    return "|".join(sorted(value.value for value in values))


def share(part: str, whole: str, *, by: str = "", window: str, least: int) -> str:
    """Return the share of a counter in another one, where the whole came to at least so many.

    Without the last part one bad record of one would be a failure of everything.
    """
    total = f"sum{_by(by)} (increase({whole}[{window}]))"
    return f"(sum{_by(by)} (increase({part}[{window}])) / {total}) and ({total} >= {least})"


def percentile(share_: float, metric: Metric, *, by: str = "", window: str) -> str:
    """Return what this share of a histogram's values is not above."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share_:g}, sum by ({labels}) (rate({metric.name}_bucket[{window}])))"


def ahead(series: str, *, by: str = "", worst: str = "max") -> str:
    """Return where a gauge will be in two hours if it goes on as it did."""
    return f"{worst}{_by(by)} (predict_linear({series}[{TREND_WINDOW}], {AHEAD_SECONDS}))"


def per_lane(metric: Metric, selector: str = "") -> str:
    """Return a gauge of the prober once for each lane, however many watches look."""
    return f"max by (topic, lane) ({metric.name}{selector})"


def _by(labels: str) -> str:
    return f" by ({labels})" if labels else ""
