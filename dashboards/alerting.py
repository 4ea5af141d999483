"""Alerts and effective thresholds: what is raised, what it is compared with, whether anybody was told."""

from typing import Final

from dashboards import ask
from dashboards.row import Dashboard, Panel, Query, Section, Shape, Variable
from processors.telemetry import catalogue as metrics

_ALERT: Final = 'alert=~"$alert"'

_RAISED: Final = (
    Panel(
        "Raised, as the watch judges",
        "Alerts that are raised, by severity.",
        (Query(ask.worst(metrics.ALERTS_FIRING, "alert", "severity", where=_ALERT), "{{alert}} ({{severity}})"),),
        "short",
        stacked=True,
    ),
    Panel(
        "Raised, as Prometheus judges",
        "The same rules in the other engine. Only one of them raised an alert: one of them does not see its data.",
        (
            Query(
                'sum by (alertname, severity) (ALERTS{alertstate="firing",alertname=~"$alert"})',
                "{{alertname}} ({{severity}})",
            ),
        ),
        "short",
        stacked=True,
    ),
    Panel(
        "Thresholds in force",
        "What each alert compares with now. Without a tenant: for all who have none of their own.",
        (Query(ask.worst(metrics.ALERT_THRESHOLD, "alert", "tenant", where=_ALERT), "{{alert}} {{tenant}}"),),
        "short",
        Shape.TABLE,
    ),
    Panel(
        "Processes that disagree on a threshold",
        "How far the thresholds lie apart that processes have in force. It is 0 a few seconds after a change.",
        (
            Query(
                f"{ask.worst(metrics.ALERT_THRESHOLD, 'alert', 'tenant', where=_ALERT)}"
                f" - {ask.least(metrics.ALERT_THRESHOLD, 'alert', 'tenant', where=_ALERT)}",
                "{{alert}} {{tenant}}",
            ),
        ),
        "short",
    ),
)

_JUDGED: Final = (
    Panel(
        "Checks",
        "How often all rules were judged, per second.",
        (Query(ask.per_second(metrics.ALERT_CHECKS, "instance"), "{{instance}}"),),
        "cps",
        width=8,
    ),
    Panel(
        "Time to judge all rules",
        "99 in 100 checks take less.",
        (Query(ask.quantile(0.99, metrics.ALERT_CHECK_DURATION), "p99"),),
        "s",
        width=8,
    ),
    Panel(
        "Rules that could not be judged",
        "In the last ten minutes, by alert. Such a rule sees nothing.",
        (Query(f"sum by (alert) (increase({ask.series(metrics.ALERT_CHECK_FAILURES)}[10m]))", "{{alert}}"),),
        "short",
        width=8,
    ),
)

_TOLD: Final = (
    Panel(
        "Told to channels",
        "Alerts told, per second, by channel and by what became of it.",
        (Query(ask.per_second(metrics.NOTIFICATIONS, "channel", "result"), "{{channel}}: {{result}}"),),
        "cps",
    ),
    Panel(
        "From change to channel",
        "From an alert's change to the channel's word that it has it: 99 in 100 of the last ten minutes are faster.",
        (Query(ask.quantile(0.99, metrics.NOTIFICATION_DURATION, "channel", window="10m"), "{{channel}}"),),
        "s",
    ),
    Panel(
        "Wait to be told",
        "Alerts that wait, by channel.",
        (Query(ask.total(metrics.NOTIFICATIONS_WAITING, "channel"), "{{channel}}"),),
        "short",
    ),
    Panel(
        "Channels up",
        "1: the channel took what it was told last.",
        (Query(ask.least(metrics.CHANNEL_UP, "channel"), "{{channel}}"),),
        "short",
        Shape.BARS,
    ),
)

DASHBOARD: Final = Dashboard(
    "alerts",
    "Hopline: alerts and thresholds",
    "What is raised, what it is compared with, whether anybody was told.",
    (Section("Raised", _RAISED), Section("Judged", _JUDGED), Section("Told", _TOLD)),
    (Variable("alert", "Alert", ask.series(metrics.ALERT_THRESHOLD)),),
)
