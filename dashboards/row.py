"""What a dashboard asks: a title, queries over the catalogue's metrics, their unit. The page asks the same."""

from dataclasses import dataclass
from enum import StrEnum


class Shape(StrEnum):
    """How an answer is drawn."""

    LINES = "timeseries"
    NUMBER = "stat"
    BARS = "bargauge"
    TABLE = "table"
    HEAT = "heatmap"


@dataclass(frozen=True, slots=True)
class Query:
    """One question. `$__rate_interval`, `$tenant`, `$hop`, `$lane` and `$topic` are put in by who asks."""

    expr: str
    legend: str = ""
    """Grafana's template: `{{outcome}}`."""


@dataclass(frozen=True, slots=True)
class Panel:
    """Some questions to Prometheus on one chart, in words that an operator uses."""

    title: str
    description: str
    queries: tuple[Query, ...]
    unit: str
    shape: Shape = Shape.LINES
    width: int = 12
    """Of 24 columns."""
    height: int = 8
    on_page: bool = False
    """Whether the page of the gateway shows it, too."""
