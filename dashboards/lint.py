"""What must hold of dashboards, as checks over the data and over the JSON that Grafana gets. Each returns findings."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from grafana_foundation_sdk.models import units

from dashboards.catalogue import ALL, COMMON, PAGE
from dashboards.filling import EVERY, variables
from dashboards.row import COLUMNS, UID_CHARACTERS_MAX, Dashboard, Panel, Shape
from processors.telemetry.catalogue import METRICS, Kind, Metric

CHARTS_MIN: Final = 12
CHARTS_MAX: Final = 16
"""On the page: what fits on two screens, and what the watch answers every few seconds."""
WINDOWS: Final = frozenset({"$__rate_interval", "$__range", "5m", "10m", "1h", "6h", "1d", "3d"})
"""Fixed ones are for what is rare, and for the service level."""
GAUGES_OF_PROMETHEUS: Final = frozenset({"up", "ALERTS", "scrape_duration_seconds", "scrape_samples_scraped"})
PAGE_FUNCTIONS: Final = frozenset({"rate", "increase", "histogram_quantile", "sum", "max", "min", "count", "avg", "by"})
"""What the page's queries are made of, beside arithmetic: the built-in engine answers them, too."""
SOURCE: Final = "${datasource}"

_PARTS: Final = ("_bucket", "_sum", "_count")
_SELECTOR: Final = re.compile(r"\b([a-zA-Z_:][a-zA-Z0-9_:]*)\{([^}]*)\}(?:\[([^\]]+)\])?")
_MATCHER: Final = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')
_CALL: Final = re.compile(r"\b(\w+)\s*\(")
_RATED: Final = re.compile(r"\b(rate|irate|increase)\(\s*([a-zA-Z_:][\w:]*)\{")
_GROUPS: Final = re.compile(r"\bby \(([^)]*)\)")
_SHOWN: Final = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_UID: Final = re.compile(r"[a-z0-9-]+")
_UNITS: Final = frozenset(value for name, value in vars(units).items() if isinstance(value, str) and name[0].isupper())
_BY_NAME: Final[dict[str, Metric]] = {metric.name: metric for metric in METRICS}


def of_all(dashboards: tuple[Dashboard, ...] = ALL) -> Iterator[str]:
    """Yield what is wrong with dashboards as data."""
    for what, counted in (
        ("uid", Counter(each.uid for each in dashboards)),
        ("title", Counter(each.title for each in dashboards)),
    ):
        yield from (f"{value}: the {what} is there {times} times" for value, times in counted.items() if times > 1)
    for dashboard in dashboards:
        yield from (f"{dashboard.uid}: {found}" for found in of_dashboard(dashboard))


def of_dashboard(dashboard: Dashboard) -> Iterator[str]:
    """Yield what is wrong with one."""
    if len(dashboard.uid) > UID_CHARACTERS_MAX or not _UID.fullmatch(dashboard.uid):
        yield f"the uid is longer than {UID_CHARACTERS_MAX}, or has other characters than a-z, 0-9 and -"
    if not dashboard.title or not dashboard.description.endswith("."):
        yield "it needs a title, and a description in sentences"
    titles = Counter(panel.title for panel in dashboard.panels)
    yield from (f"{title}: two panels of this title" for title, times in titles.items() if times > 1)
    known = {variable.name for variable in (*COMMON, *dashboard.variables)}
    for panel in dashboard.panels:
        yield from (f"{panel.title}: {found}" for found in of_panel(panel, known))
    asked = {name for panel in dashboard.panels for query in panel.queries for name in variables(query.expr)}
    yield from (f"the variable {each.name} is in no query" for each in dashboard.variables if each.name not in asked)
    for variable in (*COMMON, *dashboard.variables):
        yield from (f"variable {variable.name}: {found}" for found in _of_selectors(variable.series, narrowed=False))


def of_panel(panel: Panel, known: set[str]) -> Iterator[str]:
    """Yield what is wrong with a panel. `known` are the dashboard's variables."""
    if not panel.title or not panel.description.endswith("."):
        yield "it needs a title, and a description in sentences"
    if not panel.queries:
        yield "it asks nothing"
    if panel.unit not in _UNITS:
        yield f"{panel.unit} is no unit of Grafana's"
    if not 0 < panel.width <= COLUMNS or panel.height <= 0:
        yield f"its width is {panel.width} of {COLUMNS}, its height {panel.height}"
    if panel.exemplars and not all("_bucket{" in query.expr for query in panel.queries):
        yield "traces are marked on histograms only"
    for query in panel.queries:
        yield from of_expr(query.expr, query.legend, known)
        if panel.on_page:
            yield from _of_page(query.expr)
    if panel.on_page and panel.shape not in {Shape.LINES, Shape.NUMBER, Shape.BARS}:
        yield f"the page draws no {panel.shape}"


def of_expr(expr: str, legend: str, known: set[str]) -> Iterator[str]:
    """Yield what is wrong with a query."""
    unknown = {name for name in variables(expr) if name not in known and not name.startswith("__")}
    yield from (f"${name} is no variable of this dashboard" for name in sorted(unknown))
    yield from _of_selectors(expr, narrowed=True)
    for function, name in _RATED.findall(expr):
        if not name.endswith(("_total", *_PARTS)):
            yield f"{function} of {name}, which is no counter"
    grouped = {label.strip() for group in _GROUPS.findall(expr) for label in group.split(",")}
    yield from (
        f"the legend shows {label}, which is not kept" for label in _SHOWN.findall(legend) if label not in grouped
    )
    if "histogram_quantile" in expr and "le" not in grouped:
        yield "histogram_quantile needs `le`"


def _of_selectors(expr: str, *, narrowed: bool) -> Iterator[str]:
    for name, matchers, window in _SELECTOR.findall(expr):
        if window and window not in WINDOWS:
            yield f"the window {window} of {name} is none of {', '.join(sorted(WINDOWS))}"
        if name in GAUGES_OF_PROMETHEUS:
            continue
        metric = _of_name(name)
        if metric is None:
            yield f"{name} is not in the catalogue, or has no such part"
            continue
        used = {label for label, _, _ in _MATCHER.findall(matchers)}
        yield from (f"{name} has no label {label}" for label in sorted(used - {*metric.labels, "job", "instance"}))
        if narrowed and not {("job", "=~", "$job"), ("instance", "=~", "$instance")} <= set(_MATCHER.findall(matchers)):
            yield f"{name} is not narrowed by $job and $instance"
    for metric in METRICS:
        if re.search(rf"\b{metric.name}(_bucket|_sum|_count)?\b(?!\{{)", expr):
            yield f"{metric.name} stands without matchers"


def _of_name(name: str) -> Metric | None:
    for part in _PARTS:
        metric = _BY_NAME.get(name.removesuffix(part))
        if name.endswith(part) and metric is not None and metric.kind is Kind.HISTOGRAM:
            return metric
    metric = _BY_NAME.get(name)
    return None if metric is None or metric.kind is Kind.HISTOGRAM else metric


def _of_page(expr: str) -> Iterator[str]:
    bare = _MATCHER.sub("", expr)
    yield from (
        f"on the page, and asks for {name}" for name in dict.fromkeys(_CALL.findall(bare)) if name not in PAGE_FUNCTIONS
    )
    if found := re.search(r"\b(or|and|unless|on|ignoring|group_left|group_right|offset|bool)\b|[<>@]", bare):
        yield f"on the page, and asks for {found[0]}"


def of_page() -> Iterator[str]:
    """Yield what is wrong with the choice for the page."""
    if not CHARTS_MIN <= len(PAGE) <= CHARTS_MAX:
        yield f"the page has {len(PAGE)} charts; {CHARTS_MIN} to {CHARTS_MAX} are wanted"
    ids = Counter(chart.id for chart in PAGE)
    yield from (f"two charts of the page are called {name}" for name, times in ids.items() if times > 1)


def of_grafana(content: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a dashboard as Grafana gets it."""
    if content["editable"] is not False:
        yield "it can be edited, and the next start would undo that"
    yield from _of_templating(content["templating"]["list"])
    ids = Counter(panel["id"] for panel in content["panels"])
    yield from (f"two panels have the id {number}" for number, times in ids.items() if times > 1)
    taken: dict[tuple[int, int], str] = {}
    for panel in content["panels"]:
        yield from (f"{panel['title']}: {found}" for found in _of_place(panel, taken))
        if panel["type"] != "row":
            yield from (f"{panel['title']}: {found}" for found in _of_grafana_panel(panel))


def _of_templating(listed: list[dict[str, Any]]) -> Iterator[str]:
    kinds = {each["name"]: each for each in listed}
    if listed[0]["name"] != "datasource" or listed[0]["type"] != "datasource" or listed[0]["query"] != "prometheus":
        yield "its first variable is not the data source"
    yield from (f"it has no variable {name}" for name in ("job", "instance") if name not in kinds)
    for each in listed:
        if each["type"] != "query":
            continue
        wanted = {"multi": True, "includeAll": True, "allValue": EVERY, "refresh": 2}
        wrong = [name for name, value in wanted.items() if each.get(name) != value]
        yield from (f"variable {each['name']}: {name} is {each.get(name)!r}" for name in wrong)
        if each["datasource"]["uid"] != SOURCE:
            yield f"variable {each['name']}: its data source is fixed"


def _of_place(panel: dict[str, Any], taken: dict[tuple[int, int], str]) -> Iterator[str]:
    place = panel["gridPos"]
    if place["x"] + place["w"] > COLUMNS:
        yield f"it ends at column {place['x'] + place['w']} of {COLUMNS}"
    for x in range(place["x"], place["x"] + place["w"]):
        for y in range(place["y"], place["y"] + place["h"]):
            if (other := taken.setdefault((x, y), panel["title"])) != panel["title"]:
                yield f"it lies over {other}"
                return


def _of_grafana_panel(panel: dict[str, Any]) -> Iterator[str]:
    if panel["datasource"]["uid"] != SOURCE or any(each["datasource"]["uid"] != SOURCE for each in panel["targets"]):
        yield "its data source is fixed"
    if not panel["targets"]:
        yield "it asks nothing"
    if len({each["refId"] for each in panel["targets"]}) != len(panel["targets"]):
        yield "two of its queries have the same refId"
    for name in ("title", "description"):
        if not panel.get(name):
            yield f"it has no {name}"
    if not panel["fieldConfig"]["defaults"].get("unit"):
        yield "it has no unit"
