"""The directives hop's alerts, with their default thresholds."""

from typing import Final

from processors.alerting.rule import Rule, Severity, Threshold
from processors.telemetry import catalogue as metrics

RULES: Final = (
    Rule(
        name="DirectivesRejected",
        signal=f'sum(rate({metrics.SIGNALS.name}{{hop="directives",outcome="rejected"}}[5m]))',
        threshold=Threshold(0.1, "reqps"),
        severity=Severity.WARNING,
        summary="Directives are being rejected: somebody or something asks for what it must not.",
        description="{{ $value }} directives a second were rejected.",
        runbook="directives.md",
        for_seconds=120,
    ),
)
