"""History: how far it is behind the topics, what it writes, what it forgets."""

from typing import Final

from dashboards import ask
from dashboards.row import Dashboard, Panel, Query, Section, Shape
from processors.telemetry import catalogue as metrics

_RUNBOOK: Final = "history.md"

_BEHIND: Final = (
    Panel(
        "Behind the topics",
        "How old the oldest record is that history has not got yet.",
        (Query(ask.worst(metrics.HISTORY_LAG), "behind"),),
        "s",
        on_page=True,
        runbook=_RUNBOOK,
    ),
    Panel(
        "Has of what the topics hold",
        "1 is all of it. It grows while history is built anew.",
        (Query(ask.least(metrics.HISTORY_PROGRESS), "has"),),
        "percentunit",
        Shape.NUMBER,
        width=6,
        runbook=_RUNBOOK,
    ),
    Panel(
        "Process up",
        "1 while a history process answers. The pipeline goes on without it; the past cannot be asked.",
        (Query('sum by (job) (up{job=~"$job",instance=~"$instance",job="history"})', "up"),),
        "short",
        Shape.NUMBER,
        width=6,
        runbook=_RUNBOOK,
    ),
)

_ROWS: Final = (
    Panel(
        "Rows written",
        "Per second.",
        (Query(ask.per_second(metrics.HISTORY_ROWS), "written"),),
        "rowsps",
        runbook=_RUNBOOK,
    ),
    Panel(
        "Rows forgotten",
        "Removed for their age (`history_days`), per second.",
        (Query(ask.per_second(metrics.HISTORY_FORGOTTEN), "forgotten"),),
        "rowsps",
        runbook=_RUNBOOK,
    ),
)

DASHBOARD: Final = Dashboard(
    "history",
    "Hopline: history",
    "How far history is behind the topics, what it writes, what it forgets.",
    (Section("Behind", _BEHIND), Section("Rows", _ROWS)),
)
