"""The directives hop's panels: rate, errors, duration, what waits; what was asked for, and what the audit holds."""

from typing import Final

from dashboards import ask, red
from dashboards.row import Panel, Query, Section, Shape
from processors.telemetry import catalogue as metrics
from processors.vocabulary import topics

SECTIONS: Final = (
    *red.sections("directives", (topics.DIRECTIVES,)),
    Section(
        "What was asked for",
        (
            Panel(
                "Directives by status",
                "Where directives came to, per second: requested, accepted, running, succeeded, failed and so on.",
                (Query(ask.per_second(metrics.DIRECTIVES, "status"), "{{status}}"),),
                "cps",
                width=8,
                runbook="directives.md",
                stacked=True,
            ),
            Panel(
                "Wait for their time",
                "Directives with a time before which they are not carried out, by lane.",
                (Query(ask.total(metrics.DIRECTIVES_WAITING, "lane", where='lane=~"$lane"'), "lane {{lane}}"),),
                "short",
                width=8,
            ),
            Panel(
                "Late",
                "From when a directive was due to the tick that carried it out; over ten minutes, for few are timed.",
                (Query(ask.quantile(0.99, metrics.TIMER_LATENESS, where='hop="directives"', window="10m"), "p99"),),
                "s",
                width=8,
                runbook="lag.md",
            ),
            Panel(
                "Denied at the gateway",
                "Requests and events refused for their key or their tenant, per second.",
                (Query(ask.per_second(metrics.GATEWAY_DENIED, "reason"), "{{reason}}"),),
                "reqps",
                runbook="keys.md",
                stacked=True,
            ),
            Panel(
                "Directives by kind, in the chosen time",
                "How often each kind of directive came to each status. Who asked stands in `hopline audit show`.",
                (
                    Query(
                        f"sum by (kind, status) (increase({ask.series(metrics.DIRECTIVES)}[$__range]))",
                        "{{kind}} {{status}}",
                    ),
                ),
                "short",
                Shape.TABLE,
                runbook="directives.md",
            ),
        ),
    ),
)
