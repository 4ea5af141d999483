"""The first page: does it work, is anybody waiting, how much of the error budget is left."""

from typing import Final

from dashboards import ask, slo
from dashboards.row import Dashboard, Panel, Query, Section, Shape, Variable
from processors.telemetry import catalogue as metrics

_END_TO_END: Final = 'flow="ingest"'
_PERCENTILES: Final = (0.5, 0.9, 0.99)

_NOW: Final = (
    Panel(
        "Signals a second",
        "Records that the door ended, per second, whatever became of them.",
        (Query(ask.per_second(metrics.SIGNALS, where='hop="ingest",tenant=~"$tenant"'), "signals"),),
        "recps",
        Shape.NUMBER,
        width=4,
        height=4,
        on_page=True,
    ),
    Panel(
        "Error budget left",
        f"Of the {slo.OBJECTIVE:.1%} that should end well in {slo.BUDGET_WINDOW}: what may still go wrong. "
        "Below 0 the promise is broken.",
        (Query(slo.budget_left(), "left"),),
        "percentunit",
        Shape.NUMBER,
        width=4,
        height=4,
        on_page=True,
        now_only=True,
        runbook="dead-letters.md",
    ),
    Panel(
        "99 in 100 take less than",
        "From a record's entry into the log to its commit.",
        (Query(ask.quantile(0.99, metrics.END_TO_END, where=_END_TO_END), "p99"),),
        "s",
        Shape.NUMBER,
        width=4,
        height=4,
        runbook="lag.md",
    ),
    Panel(
        "Wait",
        "Records that no hop has stepped yet, of all topics.",
        (Query(ask.total(metrics.LAG_RECORDS), "records"),),
        "short",
        Shape.NUMBER,
        width=4,
        height=4,
        runbook="lag.md",
    ),
    Panel(
        "Alerts firing",
        "Alerts that are raised now, by severity. One of severity info always is: it shows that alerting works.",
        (Query(ask.worst(metrics.ALERTS_FIRING, "alert", "severity"), "{{alert}} ({{severity}})"),),
        "short",
        Shape.NUMBER,
        width=4,
        height=4,
        on_page=True,
    ),
    Panel(
        "Processes up",
        "Processes that answer, by what they are.",
        (Query('sum by (job) (up{job=~"$job",instance=~"$instance"})', "{{job}}"),),
        "short",
        Shape.NUMBER,
        width=4,
        height=4,
        runbook="lag.md",
    ),
)

_FLOW: Final = (
    Panel(
        "End to end",
        "From a record's entry into the log to its commit: half of them, nine in ten, 99 in 100 are faster.",
        tuple(
            Query(ask.quantile(share, metrics.END_TO_END, where=_END_TO_END), f"p{share * 100:g}")
            for share in _PERCENTILES
        ),
        "s",
        on_page=True,
        exemplars=True,
        runbook="lag.md",
    ),
    Panel(
        "Lag",
        "Records that wait, by topic: last stable offset minus position.",
        (Query(ask.total(metrics.LAG_RECORDS, "topic"), "{{topic}}"),),
        "short",
        on_page=True,
        runbook="lag.md",
    ),
    Panel(
        "Dead letters",
        "Records set aside, per second, by reason.",
        (Query(ask.per_second(metrics.DEAD_LETTERS, "reason"), "{{reason}}"),),
        "recps",
        on_page=True,
        runbook="dead-letters.md",
        stacked=True,
    ),
    Panel(
        "How long the oldest waits",
        "Age of the oldest record that waits, by topic.",
        (Query(ask.worst(metrics.LAG_SECONDS, "topic"), "{{topic}}"),),
        "s",
        runbook="lag.md",
    ),
)

_OBJECTIVE: Final = (
    Panel(
        "How fast the budget burns",
        "1: it lasts exactly as long as it should. Two windows together raise an alert: 1 h and 5 m above 14.4, "
        "6 h and 30 m above 6, 1 d and 2 h above 3, 3 d and 6 h above 1.",
        tuple(Query(slo.burn(window), window) for window in slo.SHORT_WINDOWS),
        "short",
        runbook="dead-letters.md",
    ),
    Panel(
        "How fast it burns over days",
        "The same over a day and over three.",
        tuple(Query(slo.burn(window), window) for window in slo.LONG_WINDOWS),
        "short",
        Shape.NUMBER,
        width=6,
        now_only=True,
        runbook="dead-letters.md",
    ),
    Panel(
        "Ended well",
        f"Share of the records that ended as they should. The objective is {slo.OBJECTIVE:.1%}.",
        tuple(Query(f"1 - {slo.failed(window)}", window) for window in ("1h", "1d")),
        "percentunit",
        Shape.NUMBER,
        width=6,
        now_only=True,
        runbook="dead-letters.md",
    ),
)

_PROCESSES: Final = (
    Panel(
        "Event loop",
        "How late each process's event loop is. Above a second nothing in it answers in time.",
        (Query(ask.worst(metrics.LOOP_LAG, "job", "instance"), "{{job}} {{instance}}"),),
        "s",
        on_page=True,
        runbook="lag.md",
    ),
    Panel(
        "Versions",
        "What runs, and in which version.",
        (Query(f"count by (job, version) ({ask.series(metrics.BUILD)})", "{{job}} {{version}}"),),
        "short",
        Shape.TABLE,
    ),
)

DASHBOARD: Final = Dashboard(
    "overview",
    "Hopline: overview",
    "Does it work, is anybody waiting, how much of the error budget is left. Begin here; the other dashboards say why.",
    (
        Section("Now", _NOW),
        Section("Flow", _FLOW),
        Section("Service level", _OBJECTIVE),
        Section("Processes", _PROCESSES),
    ),
    (Variable("tenant", "Tenant", ask.series(metrics.SIGNALS)),),
)
