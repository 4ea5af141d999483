"""The directives hop's alerts, with their default thresholds."""

from typing import Final

from alerts.rule import Rule, Severity
from processors.telemetry import catalogue as metrics

RULES: Final = (
    Rule(
        "DirectivesRejected",
        f'sum(rate({metrics.SIGNALS.name}{{hop="directives",outcome="rejected"}}[5m]))',
        0.1,
        120,
        Severity.WARNING,
        "Directives are being rejected: somebody or something asks for what it must not.",
        "directives.md",
    ),
)
