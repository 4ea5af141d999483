"""The ingest hop's panels: rate and outcome, errors, duration, what waits; and what only the door has."""

from typing import Final

from dashboards import ask, red
from dashboards.row import Panel, Query, Section
from processors.telemetry import catalogue as metrics
from processors.vocabulary import topics

SECTIONS: Final = (
    *red.sections("ingest", (topics.SIGNALS_IN, topics.COMMANDS)),
    Section(
        "From the log to the step",
        (
            Panel(
                "Waited before the step",
                "From a record's entry into the log to the step that took it.",
                red.quantiles(metrics.QUEUE_WAIT, 'hop="ingest"'),
                "s",
                exemplars=True,
                runbook="lag.md",
            ),
            Panel(
                "Slow",
                "Records that took longer than `slow_seconds`, from the log to their commit, per second.",
                (Query(ask.per_second(metrics.SLOW, where='hop="ingest"'), "slow"),),
                "recps",
                runbook="lag.md",
            ),
        ),
    ),
    Section(
        "The door",
        (
            Panel(
                "Counted once",
                "Share of the records that were duplicates: the same id of the same tenant within its window.",
                (
                    Query(
                        ask.share(
                            ask.per_second(metrics.SIGNALS, where='hop="ingest",outcome="duplicate"'),
                            ask.per_second(metrics.SIGNALS, where='hop="ingest"'),
                        ),
                        "duplicates",
                    ),
                ),
                "percentunit",
                width=8,
            ),
            Panel(
                "Wait for their tenant's turn",
                "Records that a tenant's rate holds back, by lane. They go out in their order.",
                (Query(ask.total(metrics.DEFERRED, "lane", where='lane=~"$lane"'), "lane {{lane}}"),),
                "short",
                width=8,
                runbook="lag.md",
            ),
            Panel(
                "Records of a commit",
                "A batch grows under load, up to its bound: p50 and p99.",
                tuple(
                    Query(ask.quantile(share, metrics.BATCH, where='hop="ingest"'), f"p{share * 100:g}")
                    for share in (0.5, 0.99)
                ),
                "short",
                width=8,
            ),
        ),
    ),
)
