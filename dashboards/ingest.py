"""The ingest hop's panels: rate and outcome, errors, duration, lag."""

from typing import Final

from dashboards.row import Panel, Query
from processors.telemetry import catalogue as metrics

PANELS: Final = (
    Panel(
        "Signals by outcome",
        "Records that the door ended, per second.",
        (
            Query(
                f'sum by (outcome) (rate({metrics.SIGNALS.name}{{hop="ingest"}}[$__rate_interval]))',
                "{{outcome}}",
            ),
        ),
        "reqps",
        on_page=True,
    ),
    Panel(
        "Dead letters by reason",
        "Records set aside, per second.",
        (
            Query(
                f'sum by (reason) (rate({metrics.DEAD_LETTERS.name}{{hop="ingest"}}[$__rate_interval]))', "{{reason}}"
            ),
        ),
        "reqps",
    ),
    Panel(
        "End to end",
        "From a record's entry into the log to its commit: the slowest one in a hundred.",
        (
            Query(
                "histogram_quantile(0.99, sum by (le) "
                f'(rate({metrics.END_TO_END.name}_bucket{{flow="ingest"}}[$__rate_interval])))',
                "p99",
            ),
        ),
        "s",
        on_page=True,
    ),
    Panel(
        "Lag",
        "Records that wait, by topic: last stable offset minus position.",
        (Query(f"sum by (topic) ({metrics.LAG_RECORDS.name})", "{{topic}}"),),
        "short",
        on_page=True,
    ),
)
