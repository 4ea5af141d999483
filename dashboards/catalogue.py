"""All dashboards, as data; and those of their panels that the page of the gateway shows, too."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from dashboards import (
    alerting,
    ask,
    directives,
    gateway,
    history,
    ingest,
    lanes,
    letters,
    overview,
    telemetry,
    tenants,
)
from dashboards.row import Dashboard, Panel, Section, Variable
from processors import HOPS
from processors.telemetry import catalogue as metrics

HOP_SECTIONS: Final[dict[str, tuple[Section, ...]]] = {
    "ingest": ingest.SECTIONS,
    "directives": directives.SECTIONS,
}
"""What each hop's module shows. A hop that has none is an error when this is imported."""
_SAYS: Final = {
    "ingest": "The door: what came in, what became of it, how long that took, what waits.",
    "directives": "Directives and audit: what was asked for, how it ended, what waits for its time.",
}


def _hop(name: str) -> Dashboard:
    return Dashboard(
        f"hop-{name}",
        f"Hopline: hop {name}",
        _SAYS.get(name, f"The hop {name}: rate, errors, duration, and what waits."),
        HOP_SECTIONS[name],
        (
            Variable("tenant", "Tenant", ask.series(metrics.SIGNALS, f'hop="{name}"')),
            Variable("lane", "Lane", ask.series(metrics.LAG_RECORDS)),
        ),
    )


ALL: Final[tuple[Dashboard, ...]] = (
    overview.DASHBOARD,
    *(_hop(name) for name in HOPS),
    lanes.DASHBOARD,
    tenants.DASHBOARD,
    letters.DASHBOARD,
    gateway.DASHBOARD,
    history.DASHBOARD,
    alerting.DASHBOARD,
    telemetry.DASHBOARD,
)
"""In the order in which an operator looks at them."""

COMMON: Final = (
    Variable("job", "Process", '{__name__=~"hopline_.+"}'),
    Variable("instance", "Instance", '{__name__=~"hopline_.+",job=~"$job"}'),
)
"""What every dashboard can be narrowed by, after its data source."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A panel that the page shows: where it stands, and the name by which it is asked for."""

    dashboard: Dashboard
    section: Section
    panel: Panel

    @property
    def id(self) -> str:
        """Slug of dashboard and title. It stands in addresses."""
        return f"{self.dashboard.slug}-{self.panel.slug}"


def charts() -> Iterator[Chart]:
    """Yield what the page shows, in order."""
    for dashboard in ALL:
        for section in dashboard.sections:
            for panel in section.panels:
                if panel.on_page:
                    yield Chart(dashboard, section, panel)


PAGE: Final[tuple[Chart, ...]] = tuple(charts())
