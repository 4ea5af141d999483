"""Telemetry about telemetry: what is dropped, what is too much, what is missing, and that alerts come at all."""

from collections.abc import Sequence
from typing import Final

from processors.alerting.rule import Rule, Severity, Threshold
from processors.telemetry import catalogue as metrics

RULES: Final = (
    Rule(
        name="TelemetryDropped",
        signal=f"sum by (job, instance) (increase({metrics.TELEMETRY_DROPPED.name}[5m]))",
        threshold=Threshold(0, "short"),
        severity=Severity.WARNING,
        summary="Telemetry is dropped: charts and alerts may be wrong.",
        description="The {{ $labels.job }} {{ $labels.instance }} dropped telemetry {{ $value }} times within five "
        "minutes.",
        runbook="telemetry.md#telemetrydropped",
    ),
    Rule(
        name="TelemetryWaiting",
        signal=f"max by (job, instance) ({metrics.EVENTS_WAITING.name})",
        threshold=Threshold(5_000, "short"),
        severity=Severity.WARNING,
        summary="Telemetry waits for Kafka; when there is no more room it is dropped.",
        description="{{ $value }} events and samples of the {{ $labels.job }} {{ $labels.instance }} wait.",
        runbook="telemetry.md#telemetrywaiting",
        for_seconds=60,
        window_seconds=0,
    ),
    Rule(
        name="SeriesNearLimit",
        signal=f"max by (job, instance) ({metrics.SERIES.name})",
        threshold=Threshold(1_800, "short", most=2_000),
        severity=Severity.WARNING,
        summary="A process shows nearly as many series as it may; what is above is dropped.",
        description="The {{ $labels.job }} {{ $labels.instance }} shows {{ $value }} series.",
        runbook="telemetry.md#seriesnearlimit",
        for_seconds=120,
        window_seconds=0,
    ),
    Rule(
        name="SpansLost",
        signal=f'sum by (job, instance) (increase({metrics.SPANS.name}{{result=~"dropped|lost"}}[5m]))',
        threshold=Threshold(0, "short"),
        severity=Severity.INFO,
        summary="Spans do not get to where traces are kept.",
        description="The {{ $labels.job }} {{ $labels.instance }} lost {{ $value }} spans within five minutes.",
        runbook="telemetry.md#spanslost",
    ),
    Rule(
        name="Watchdog",
        signal="vector(1)",
        threshold=None,
        severity=Severity.INFO,
        summary="Alerting works: this one is always raised.",
        description="Whoever is told of this and hears no more of it knows that alerting has stopped.",
        runbook="telemetry.md#watchdog",
        window_seconds=0,
    ),
)


def threshold_missing(rules: Sequence[Rule]) -> Rule:
    """Return the rule that says which of these has no threshold any more: such a rule can never be raised."""
    absent = [
        f'absent({metrics.ALERT_THRESHOLD.name}{{alert="{rule.name}",tenant=""}})'
        for rule in rules
        if rule.threshold is not None
    ]
    return Rule(
        name="ThresholdMissing",
        signal=_any_of(absent),
        threshold=None,
        severity=Severity.WARNING,
        summary="A rule has nothing to compare with, so it can never be raised.",
        description="No process shows the threshold of {{ $labels.alert }}.",
        runbook="telemetry.md#thresholdmissing",
        for_seconds=60,
        window_seconds=0,
    )


def _any_of(terms: Sequence[str]) -> str:
    """Join them by `or` as a tree: as a chain they would nest as deep as there are many, and depth is bounded."""
    if len(terms) == 1:
        return terms[0]
    half = len(terms) // 2
    return f"({_any_of(terms[:half])} or {_any_of(terms[half:])})"
