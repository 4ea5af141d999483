"""The directives hop's alerts, with their default thresholds."""

from typing import Final

from alerts.expressions import percentile
from processors.alerting.rule import Rule, Severity, Threshold
from processors.telemetry import catalogue as metrics

_REJECTED: Final = f'{metrics.SIGNALS.name}{{hop="directives",outcome="rejected"}}'

RULES: Final = (
    Rule(
        name="DirectivesRejected",
        signal=f"sum(rate({_REJECTED}[1m]))",
        threshold=Threshold(0.1, "reqps"),
        severity=Severity.WARNING,
        summary="Directives are being rejected: somebody or something asks for what it must not.",
        description="{{ $value }} directives a second were rejected.",
        runbook="directives.md#directivesrejected",
        for_seconds=60,
        keep_seconds=60,
        window_seconds=60,
    ),
    Rule(
        name="DirectivesFailed",
        signal=f'sum by (kind) (increase({metrics.DIRECTIVES.name}{{status="failed"}}[5m]))',
        threshold=Threshold(0, "short"),
        severity=Severity.WARNING,
        summary="Directives that were taken could not be carried out.",
        description="{{ $value }} directives {{ $labels.kind }} failed within five minutes.",
        runbook="directives.md#directivesfailed",
    ),
    Rule(
        name="DirectivesLate",
        signal=percentile(0.95, metrics.TIMER_LATENESS, by="hop", window="5m"),
        threshold=Threshold(5, "s", least=0.01, most=10),
        severity=Severity.WARNING,
        summary="What falls due at a time is done late.",
        description="One in twenty that fell due at the hop {{ $labels.hop }} was done {{ $value }} s late or more.",
        runbook="directives.md#directiveslate",
        for_seconds=60,
    ),
)
