"""The directives hop's panels: what was asked, and how it ended."""

from typing import Final

from dashboards.row import Panel
from processors.telemetry import catalogue as metrics

PANELS: Final = (
    Panel(
        "Directives by outcome",
        "Directives that ended, per second.",
        f'sum by (outcome) (rate({metrics.SIGNALS.name}{{hop="directives"}}[$__rate_interval]))',
        "reqps",
    ),
)
