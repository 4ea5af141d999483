"""Telemetry's own health: is it told, is it kept, is it read; the prober and the ledger check, too."""

from typing import Final

from dashboards import ask
from dashboards.row import Dashboard, Panel, Query, Section
from processors.telemetry import catalogue as metrics

_HOPLINE: Final = 'job=~"$job",instance=~"$instance"'

_TOLD: Final = (
    Panel(
        "Dropped",
        "Times in the last ten minutes that telling failed while the work went on. Charts may have holes there.",
        (Query(f"sum by (job) (increase({ask.series(metrics.TELEMETRY_DROPPED)}[10m]))", "{{job}}"),),
        "short",
        width=8,
    ),
    Panel(
        "Events told",
        "Events told to the topic of telemetry, per second, by kind.",
        (Query(ask.per_second(metrics.EVENTS, "event"), "{{event}}"),),
        "eps",
        width=8,
        stacked=True,
    ),
    Panel(
        "Wait for Kafka",
        "Events and samples that are not told yet. It is bounded: what is more is dropped.",
        (Query(ask.total(metrics.EVENTS_WAITING, "job", "instance"), "{{job}} {{instance}}"),),
        "short",
        width=8,
    ),
    Panel(
        "Failures told",
        "Failures that events told of, per second.",
        (Query(ask.per_second(metrics.ERRORS_SEEN, "event", "reason"), "{{event}}: {{reason}}"),),
        "eps",
        width=8,
        stacked=True,
        runbook="dead-letters.md",
    ),
    Panel(
        "Slow work told",
        "Work that events told of as slow, per second.",
        (Query(ask.per_second(metrics.SLOW_SEEN, "event"), "{{event}}"),),
        "eps",
        width=8,
        runbook="lag.md",
    ),
    Panel(
        "Spans",
        "Spans per second, by what became of them.",
        (Query(ask.per_second(metrics.SPANS, "result"), "{{result}}"),),
        "cps",
        width=8,
        stacked=True,
    ),
)

_SERIES: Final = (
    Panel(
        "Series of each process",
        "What a process shows. Above 2,000 each look at it would hold up its work.",
        (Query(ask.worst(metrics.SERIES, "job", "instance"), "{{job}} {{instance}}"),),
        "short",
        width=8,
    ),
    Panel(
        "Values told",
        "Values of metrics told to the topic of metrics, per second.",
        (Query(ask.per_second(metrics.SAMPLES, "job"), "{{job}}"),),
        "cps",
        width=8,
    ),
    Panel(
        "Time of a scrape",
        "How long Prometheus takes to read a process's metrics.",
        (Query(f"max by (job, instance) (scrape_duration_seconds{{{_HOPLINE}}})", "{{job}} {{instance}}"),),
        "s",
        width=8,
    ),
)

_WATCH: Final = (
    Panel(
        "Watch: series kept, and refused",
        "What the watch keeps in memory, and series refused for want of room in the last ten minutes.",
        (
            Query(ask.worst(metrics.WATCH_SERIES), "kept"),
            Query(f"sum(increase({ask.series(metrics.WATCH_REFUSED)}[10m]))", "refused"),
        ),
        "short",
        width=8,
    ),
    Panel(
        "Watch: behind",
        "Age of the newest sample that the watch has taken in. Alerts are as old as that.",
        (Query(ask.worst(metrics.WATCH_BEHIND), "behind"),),
        "s",
        width=8,
    ),
    Panel(
        "Prober: last look, and failures",
        "Time since the prober last saw all of Kafka; its looks that failed in the last ten minutes.",
        (
            Query(ask.worst(metrics.PROBE_AGE), "seconds since"),
            Query(f"sum(increase({ask.series(metrics.PROBE_FAILURES)}[10m]))", "failed looks"),
        ),
        "short",
        width=8,
        runbook="lag.md",
    ),
    Panel(
        "Ledger check: difference",
        "What the topics hold less what the ledger says, by hop and lane. Anything but 0 is a bug.",
        (Query(ask.worst(metrics.LEDGER_CHECKED, "hop", "lane"), "{{hop}} lane {{lane}}"),),
        "short",
        width=8,
        runbook="ledger.md",
    ),
    Panel(
        "Ledger check: commits",
        "Commits whose books were checked, per second.",
        (Query(ask.per_second(metrics.LEDGER_COMMITS), "checked"),),
        "cps",
        width=8,
        runbook="ledger.md",
    ),
    Panel(
        "Ledger check: not read yet",
        "Records that the check has not read. What is in them is not proven yet.",
        (Query(ask.worst(metrics.LEDGER_BEHIND), "behind"),),
        "short",
        width=8,
        runbook="ledger.md",
    ),
)

DASHBOARD: Final = Dashboard(
    "telemetry",
    "Hopline: telemetry health",
    "Whether what the other dashboards show is true: is it told, is it kept, is it read.",
    (Section("Told", _TOLD), Section("Metrics", _SERIES), Section("Watch, prober, ledger check", _WATCH)),
)
