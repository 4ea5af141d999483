"""What a dashboard asks: a title, queries over the catalogue's metrics, their unit. The page asks the same."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

UID_CHARACTERS_MAX: Final = 40
"""Grafana's own limit. A dashboard's uid stands in links: it never changes."""
COLUMNS: Final = 24
"""Of Grafana's grid."""
_NOT_IN_A_SLUG: Final = re.compile(r"[^a-z0-9]+")


class Shape(StrEnum):
    """How an answer is drawn."""

    LINES = "timeseries"
    NUMBER = "stat"
    BARS = "bargauge"
    TABLE = "table"
    HEAT = "heatmap"


@dataclass(frozen=True, slots=True)
class Query:
    """One question. `dashboards.filling` puts in what begins with `$`, as Grafana does."""

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
    """As Grafana names units: `s`, `percentunit`, `reqps`, `short`, `bytes`, `currency…`."""
    shape: Shape = Shape.LINES
    width: int = 12
    """Of 24 columns."""
    height: int = 8
    on_page: bool = False
    """Whether the page of the gateway shows it, too. Then the built-in engine answers it as well."""
    exemplars: bool = False
    """Whether traces are marked on it: a latency of a histogram."""
    runbook: str = ""
    """File under `docs/runbooks/` that says what to do when it looks wrong."""
    stacked: bool = False
    now_only: bool = False
    """Whether it is asked for now only, not for the time shown: a window of days is too much for each point."""

    @property
    def slug(self) -> str:
        """The title in lower case, words joined by `-`."""
        return slug(self.title)

    @property
    def instant(self) -> bool:
        """Whether only what is true now is asked for."""
        return self.now_only or self.shape in {Shape.BARS, Shape.TABLE}

    @property
    def of_tenants(self) -> bool:
        """Whether each query can be narrowed to one tenant. A tenant's own key may see these only."""
        return all("$tenant" in query.expr for query in self.queries)


@dataclass(frozen=True, slots=True)
class Section:
    """Panels under one heading, left to right and down."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """What a reader of a dashboard chooses from: the values of a label. Several, or all of them."""

    name: str
    title: str
    series: str
    """PromQL's selector of the series whose label it is; earlier variables may stand in it."""
    label: str = ""
    """Empty: the same as the name."""

    @property
    def key(self) -> str:
        """The label."""
        return self.label or self.name


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One page of Grafana."""

    slug: str
    title: str
    description: str
    sections: tuple[Section, ...]
    variables: tuple[Variable, ...] = ()
    """Beside the data source, job and instance, which all have."""

    @property
    def uid(self) -> str:
        """By which links find it."""
        return f"hopline-{self.slug}"

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All panels in their order."""
        return tuple(panel for section in self.sections for panel in section.panels)


def slug(title: str) -> str:
    """Return a title as part of an address."""
    return _NOT_IN_A_SLUG.sub("-", title.lower()).strip("-")
