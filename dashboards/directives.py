"""The directives hop's panels: what was asked, and how it ended."""

from typing import Final

from dashboards.row import Panel, Query
from processors.telemetry import catalogue as metrics

PANELS: Final = (
    Panel(
        "Directives by outcome",
        "Directives that ended, per second.",
        (
            Query(
                f'sum by (outcome) (rate({metrics.SIGNALS.name}{{hop="directives"}}[$__rate_interval]))',
                "{{outcome}}",
            ),
        ),
        "reqps",
        on_page=True,
    ),
)
