"""Every query of every dashboard, asked of a real Prometheus that scrapes a real pipeline under traffic of all kinds.

A query is empty if it never gave a value while the traffic ran. One about a metric that no process tells of at all is
counted apart (`untold`): what should tell it is missing, not the traffic.
"""

import asyncio
import json
import math
import re
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from typing_extensions import override

from dashboards.catalogue import ALL, COMMON, PAGE
from dashboards.filling import fill, rate_seconds
from dashboards.lint import GAUGES_OF_PROMETHEUS
from dashboards.parsing import queries
from dashboards.row import Dashboard, Panel, Query, Variable
from tests.dashboards import feed
from tests.dashboards.prometheus import ASK_SECONDS_MAX, SCRAPE_SECONDS, Prometheus, running

ROOT: Final = Path(__file__).resolve().parents[2]
RULES: Final = ROOT / "alerts" / "generated" / "hopline.rules.yml"
WAIT_SECONDS_MAX: Final = 120.0
QUICK_SECONDS_MAX: Final = 45.0
LOOK_SECONDS: Final = 2.0
STEP_SECONDS: Final = 1
CHART_MINUTES: Final = 5
RUN_SECONDS_MAX: Final = 420.0
_RATE_SECONDS: Final = rate_seconds(STEP_SECONDS, SCRAPE_SECONDS)
_METRIC: Final = re.compile(r"\b([a-zA-Z_:][a-zA-Z0-9_:]*)\{")
_PART: Final = re.compile(r"_(bucket|sum|count)$")

Say = Callable[[str], None]


@dataclass(slots=True)
class Report:
    """What came of it."""

    seconds: float = 0.0
    scraped: dict[str, str] = field(default_factory=dict)
    """Health of the target by job."""
    rules: bool = False
    """Whether the alerts' rules were loaded."""
    answered: int = 0
    empty: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)
    untold_metrics: dict[str, list[str]] = field(default_factory=dict)
    """Where each metric that no process tells of is asked for."""
    empty_variables: list[str] = field(default_factory=list)
    charts: list[str] = field(default_factory=list)
    """Charts of the page to which the watch's own engine gave no value."""
    refused: list[str] = field(default_factory=list)
    """Queries that Prometheus did not take, with a choice made in each variable."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A query with where it stands."""

    dashboard: Dashboard
    panel: Panel
    query: Query

    @override
    def __str__(self) -> str:
        return f"{self.dashboard.slug} / {self.panel.title} / {self.query.legend or self.query.expr}"

    @property
    def metrics(self) -> set[str]:
        """The metrics it is about."""
        return {_PART.sub("", name) for name in _METRIC.findall(self.query.expr)}


def run(*, quick: bool, say: Say) -> Report:
    """Do all of it, in a folder that goes afterwards."""
    with tempfile.TemporaryDirectory(prefix="hopline-dashboards-") as folder:
        return asyncio.run(_run(Path(folder), quick=quick, say=say))


async def _run(folder: Path, *, quick: bool, say: Say) -> Report:
    async with asyncio.timeout(RUN_SECONDS_MAX), feed.site(folder / "site", say) as site:
        rules = [RULES] if RULES.is_file() else []
        with running(folder / "prometheus", site.targets(), rules=rules) as prometheus:
            say(f"Prometheus is at {prometheus.url}; sending traffic of all kinds")
            traffic = asyncio.create_task(feed.feed(site))
            try:
                seconds_max = QUICK_SECONDS_MAX if quick else WAIT_SECONDS_MAX
                report = await _until_answered(prometheus, traffic, rules=bool(rules), seconds_max=seconds_max)
                report.charts = await asyncio.to_thread(_empty_charts, site.stack.watch_url)
                return report
            finally:
                traffic.cancel()
                await asyncio.wait((traffic,))


async def _until_answered(
    prometheus: Prometheus, traffic: "asyncio.Task[None]", *, rules: bool, seconds_max: float
) -> Report:
    """Ask what had no answer yet again and again; traffic that ends is an error of its own."""
    began, clock = time.time(), time.monotonic()
    waiting = [Asked(*each) for each in queries()]
    while waiting and time.monotonic() - clock < seconds_max:
        await asyncio.wait((traffic,), timeout=LOOK_SECONDS)
        if traffic.done():
            await traffic
        waiting = await asyncio.to_thread(_unanswered, prometheus, waiting, began)
    return await asyncio.to_thread(_report, prometheus, waiting, time.monotonic() - clock, rules=rules)


def _unanswered(prometheus: Prometheus, waiting: Iterable[Asked], began: float) -> list[Asked]:
    return [asked for asked in waiting if not _has_values(prometheus, asked, began)]


def _has_values(prometheus: Prometheus, asked: Asked, began: float) -> bool:
    expr = fill(asked.query.expr, rate_seconds=_RATE_SECONDS, range_seconds=60)
    if asked.panel.instant:
        return any(_is_value(each["value"][1]) for each in prometheus.now(expr))
    found = prometheus.over(expr, began, time.time(), STEP_SECONDS)
    return any(_is_value(value) for each in found for _, value in each["values"])


def _is_value(text: str) -> bool:
    """Whether it can be drawn. Grafana draws no NaN: 0 / 0, a quantile of nothing."""
    return math.isfinite(float(text))


def _report(prometheus: Prometheus, waiting: list[Asked], seconds: float, *, rules: bool) -> Report:
    told = prometheus.families() | GAUGES_OF_PROMETHEUS
    if not rules:
        told -= {"ALERTS"}
    report = Report(seconds=round(seconds, 1), scraped=prometheus.targets(), rules=rules)
    report.answered = len(list(queries())) - len(waiting)
    for asked in waiting:
        missing = asked.metrics - told
        (report.untold if missing else report.empty).append(str(asked))
        for metric in sorted(missing):
            report.untold_metrics.setdefault(metric, []).append(f"{asked.dashboard.slug} / {asked.panel.title}")
    for dashboard in ALL:
        _choose(prometheus, dashboard, told, report)
    return report


def _choose(prometheus: Prometheus, dashboard: Dashboard, told: frozenset[str], report: Report) -> None:
    """Choose the first value of each variable, as a reader would, and have every query taken with it."""
    values: dict[str, list[str]] = {}
    for variable in (*COMMON, *dashboard.variables):
        found = _values(prometheus, variable)
        if found:
            values[variable.name] = found[:2] if len(values) % 2 else found[:1]
        elif set(_METRIC.findall(variable.series)) <= told:
            report.empty_variables.append(f"{dashboard.slug} / {variable.name}")
    for panel in dashboard.panels:
        for query in panel.queries:
            try:
                prometheus.now(fill(query.expr, rate_seconds=_RATE_SECONDS, range_seconds=60, values=values))
            except Exception as error:  # boundary: whatever it is, it is one query's
                report.refused.append(f"{dashboard.slug} / {panel.title}: {error}")


def _empty_charts(watch_url: str) -> list[str]:
    """Return the charts of the page that have nothing to draw, as the watch answers them."""
    empty = []
    for chart in PAGE:
        url = f"{watch_url}/v1/charts/{chart.id}?minutes={CHART_MINUTES}"
        with urllib.request.urlopen(url, timeout=ASK_SECONDS_MAX) as answer:  # noqa: S310  # loopback
            series = json.load(answer)["series"]
        if not any(value is not None for each in series for _, value in each["points"]):
            empty.append(chart.id)
    return empty


def _values(prometheus: Prometheus, variable: Variable) -> list[str]:
    """Return what Grafana would offer for a variable."""
    series = fill(variable.series, rate_seconds=_RATE_SECONDS)
    found: list[Any] = prometheus.ask("series", **{"match[]": series})
    return sorted({each[variable.key] for each in found if each.get(variable.key)})
