"""The watch and what it does: looking at Kafka from outside, judging rules, telling channels."""

from typing import Final

from alerts.workers import UP
from processors.alerting.rule import Compare, Rule, Severity, Threshold
from processors.telemetry import catalogue as metrics

RULES: Final = (
    Rule(
        name="WatchDown",
        # Prometheus raises it. The watch itself cannot see that it is gone, only that it never came.
        signal=f'absent({UP}{{job="watch"}} == 1)',
        threshold=None,
        severity=Severity.CRITICAL,
        summary="There is no watch: no prober, no check of the ledger, no alerts but Prometheus' own.",
        description="No watch has answered for a minute.",
        runbook="alerting.md#watchdown",
        for_seconds=60,
        window_seconds=0,
    ),
    Rule(
        name="NobodyJudges",
        # Raised by Prometheus, too: where nobody is in charge the built-in engine says nothing.
        signal=f"max({metrics.WATCH_IN_CHARGE.name})",
        threshold=Threshold(1, "short", most=2),
        compare=Compare.BELOW,
        severity=Severity.CRITICAL,
        summary="Watches are there and none is in charge: nobody judges the rules but Prometheus.",
        description="{{ $value }} watches are in charge.",
        runbook="alerting.md#nobodyjudges",
        for_seconds=60,
        window_seconds=0,
    ),
    Rule(
        name="WatchPartFailing",
        signal=f"sum by (part) (increase({metrics.WATCH_PART_FAILURES.name}[5m]))",
        threshold=Threshold(0, "short"),
        severity=Severity.WARNING,
        summary="A part of the watch fails and is begun again.",
        description="The part {{ $labels.part }} failed {{ $value }} times within five minutes.",
        runbook="alerting.md#watchpartfailing",
    ),
    Rule(
        name="WatchBehind",
        signal=f"max({metrics.WATCH_BEHIND.name})",
        threshold=Threshold(30, "s", least=1, most=3_600),
        severity=Severity.WARNING,
        summary="The watch judges what is old: its samples come late.",
        description="The newest sample that the watch has taken in is {{ $value }} s old.",
        runbook="alerting.md#watchbehind",
        for_seconds=30,
        window_seconds=0,
    ),
    Rule(
        name="WatchFull",
        signal=f"sum(increase({metrics.WATCH_REFUSED.name}[5m]))",
        threshold=Threshold(0, "short"),
        severity=Severity.WARNING,
        summary="The watch has no room for more series: what is above is not judged.",
        description="{{ $value }} series were refused within five minutes.",
        runbook="alerting.md#watchfull",
    ),
    Rule(
        name="ProberBlind",
        signal=f"max({metrics.PROBE_AGE.name})",
        threshold=Threshold(30, "s", least=1, most=3_600),
        severity=Severity.WARNING,
        summary="The prober does not see Kafka: lag, stalls and hanging transactions are not seen either.",
        description="The prober last saw all of Kafka {{ $value }} s ago.",
        runbook="alerting.md#proberblind",
        for_seconds=30,
        window_seconds=0,
    ),
    Rule(
        name="AlertCheckFailing",
        signal=f"sum by (alert) (increase({metrics.ALERT_CHECK_FAILURES.name}[5m]))",
        threshold=Threshold(0, "short"),
        severity=Severity.WARNING,
        summary="The watch could not judge a rule.",
        description="The rule {{ $labels.alert }} could not be judged {{ $value }} times within five minutes.",
        runbook="alerting.md#alertcheckfailing",
    ),
    Rule(
        name="ChannelDown",
        signal=f"min by (channel) ({metrics.CHANNEL_UP.name})",
        threshold=Threshold(1, "short", most=1),
        compare=Compare.BELOW,
        severity=Severity.WARNING,
        summary="A channel does not take alerts: whoever reads it is not told.",
        description="The channel {{ $labels.channel }} did not take what it was told.",
        runbook="alerting.md#channeldown",
        for_seconds=30,
        window_seconds=0,
    ),
    Rule(
        name="NotificationsWaiting",
        signal=f"max by (channel) ({metrics.NOTIFICATIONS_WAITING.name})",
        threshold=Threshold(50, "short"),
        severity=Severity.WARNING,
        summary="Alerts wait to be told.",
        description="{{ $value }} alerts wait for the channel {{ $labels.channel }}.",
        runbook="alerting.md#notificationswaiting",
        for_seconds=60,
        window_seconds=0,
    ),
)
