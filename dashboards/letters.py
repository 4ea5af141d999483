"""Dead letters and replay: what was set aside and why, what waits to be redriven, what was sent again."""

from typing import Final

from dashboards import ask
from dashboards.row import Dashboard, Panel, Query, Section, Shape
from processors.telemetry import catalogue as metrics
from processors.vocabulary import topics

_RUNBOOK: Final = "dead-letters.md"
_DIRECTIVES: Final = 'kind=~"hopline[.]replay[.].+"'

_SET_ASIDE: Final = (
    Panel(
        "Set aside",
        "Records that became dead letters, per second, by hop and reason.",
        (Query(ask.per_second(metrics.DEAD_LETTERS, "hop", "reason"), "{{hop}}: {{reason}}"),),
        "recps",
        stacked=True,
        runbook=_RUNBOOK,
    ),
    Panel(
        "Share of all",
        "Of the records that ended: how many were set aside. An alert is raised above one in a hundred.",
        (
            Query(
                ask.share(
                    ask.per_second(metrics.SIGNALS, "hop", where='outcome="dead_lettered"'),
                    ask.per_second(metrics.SIGNALS, "hop"),
                ),
                "{{hop}}",
            ),
        ),
        "percentunit",
        runbook=_RUNBOOK,
    ),
    Panel(
        "Since when, why",
        "Dead letters in the chosen time, by reason. `hopline dead-letters list` shows them, `show` one of them whole.",
        (Query(f"sum by (hop, reason) (increase({ask.series(metrics.DEAD_LETTERS)}[$__range]))", "{{reason}}"),),
        "short",
        Shape.TABLE,
        runbook=_RUNBOOK,
    ),
    Panel(
        "Refused before they came in",
        "Events that the gateway refused, per second, by reason. They are in no topic: their sender was told.",
        (Query(ask.per_second(metrics.GATEWAY_REFUSED, "reason"), "{{reason}}"),),
        "eps",
        stacked=True,
        runbook="gateway.md",
    ),
)

_WAIT: Final = (
    Panel(
        "Wait to be redriven",
        "Dead letters of the last day that nobody has redriven.",
        (Query(ask.worst(metrics.DEAD_LETTERS_WAITING), "waiting"),),
        "short",
        Shape.NUMBER,
        width=6,
        on_page=True,
        runbook=_RUNBOOK,
    ),
    Panel(
        "Age of the oldest",
        "Of those dead letters; 0 if there is none. An alert is raised above an hour.",
        (Query(ask.worst(metrics.DEAD_LETTER_OLDEST_AGE), "age"),),
        "s",
        Shape.NUMBER,
        width=6,
        runbook=_RUNBOOK,
    ),
    Panel(
        "Over time",
        "How many wait to be redriven. It falls when somebody redrives them, and a day after they came.",
        (Query(ask.worst(metrics.DEAD_LETTERS_WAITING), "waiting"),),
        "short",
        runbook=_RUNBOOK,
    ),
)

_AGAIN: Final = (
    Panel(
        "Replays begun and ended",
        "Directives by which replays and redrives begin and end, in the last hour. `hopline replay list` shows each.",
        (
            Query(
                f"sum by (kind, status) (increase({ask.series(metrics.DIRECTIVES, _DIRECTIVES)}[1h]))",
                "{{kind}} {{status}}",
            ),
        ),
        "short",
    ),
    Panel(
        "What replays do to what is live",
        "Records that wait at the door. Replayed ones have tokens and a queue of their own: live ones wait behind a "
        "thousand of them at the most.",
        (
            Query(ask.total(metrics.LAG_RECORDS, "topic", where=f'topic="{topics.SIGNALS_IN}"'), "{{topic}}"),
            Query(ask.total(metrics.DEFERRED), "deferred"),
        ),
        "short",
        runbook="lag.md",
    ),
)

DASHBOARD: Final = Dashboard(
    "letters",
    "Hopline: dead letters and replay",
    "What was set aside and why, what waits to be redriven, what was sent again.",
    (Section("Set aside", _SET_ASIDE), Section("Wait", _WAIT), Section("Sent again", _AGAIN)),
)
