"""The charts that the page shows: panels of the dashboards, asked of the watch as Grafana asks Prometheus."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from dashboards.catalogue import PAGE, Chart
from dashboards.filling import fill, rate_seconds
from dashboards.row import Query

MINUTES_DEFAULT: Final = 15
MINUTES_MAX: Final = 24 * 60
POINTS_MAX: Final = 180
"""Of one series on a chart: as many as a page draws side by side."""
STEPS_SECONDS: Final = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600)
SERIES_MAX: Final = 60
"""On one chart; more cannot be told apart."""
_LEGEND: Final = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_HIDDEN: Final = frozenset({"__name__", "job", "instance"})


@dataclass(frozen=True, slots=True)
class Frame:
    """From when to when a chart shows, in which steps."""

    from_ms: int
    to_ms: int
    step_ms: int


CHARTS: Final[Mapping[str, Chart]] = {chart.id: chart for chart in PAGE}


def head(chart: Chart) -> dict[str, Any]:
    """Return what is said of a chart without its figures."""
    panel = chart.panel
    return {
        "id": chart.id,
        "title": panel.title,
        "description": panel.description,
        "unit": panel.unit,
        "shape": panel.shape.value,
        "group": chart.dashboard.title,
        "queries": [{"expr": query.expr, "legend": query.legend} for query in panel.queries],
    }


def frame(now_ms: int, minutes: int, least_seconds: float) -> Frame:
    """Return the newest minutes in even steps, ends on whole ones: who asks twice within a step sees the same."""
    wanted = minutes * 60 / POINTS_MAX
    step = next((one for one in STEPS_SECONDS if one >= max(wanted, least_seconds)), STEPS_SECONDS[-1]) * 1_000
    to_ms = now_ms // step * step
    return Frame(to_ms - minutes * 60_000 // step * step, to_ms, step)


def asked(query: Query, shape: Frame, scrape_seconds: float, tenant: str = "") -> str:
    """Return a panel's question with everything put in."""
    return fill(
        query.expr,
        rate_seconds=rate_seconds(shape.step_ms / 1_000, scrape_seconds),
        range_seconds=(shape.to_ms - shape.from_ms) // 1_000,
        values={"tenant": [tenant]} if tenant else None,
    )


def greatest(series: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return as many series as a chart can show: if there are more, those with the greatest values."""
    if len(series) <= SERIES_MAX:
        return series
    return sorted(series, key=lambda one: -max((abs(value or 0.0) for _, value in one["points"]), default=0.0))[
        :SERIES_MAX
    ]


def legend(query: Query, labels: Mapping[str, str]) -> str:
    """Return what a series is called on the chart."""
    if query.legend:
        return _LEGEND.sub(lambda found: labels.get(found[1], ""), query.legend)
    return ", ".join(f"{name}={value}" for name, value in sorted(labels.items()) if name not in _HIDDEN)
