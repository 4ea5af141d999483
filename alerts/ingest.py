"""The ingest hop's alerts, with their default thresholds."""

from typing import Final

from processors.alerting.rule import Rule, Severity, Threshold
from processors.telemetry import catalogue as metrics

RULES: Final = (
    Rule(
        name="LagHigh",
        signal=f"max by (topic) ({metrics.LAG_SECONDS.name})",
        threshold=Threshold(30, "s"),
        severity=Severity.WARNING,
        summary="Records wait too long before a hop steps them.",
        description="The oldest record of {{ $labels.topic }} waits since {{ $value }} s.",
        runbook="lag.md",
        for_seconds=120,
        window_seconds=0,
    ),
    Rule(
        name="LedgerMismatch",
        signal=f"max by (hop, lane) (abs({metrics.LEDGER_MISMATCH.name}))",
        threshold=Threshold(0, "short"),
        severity=Severity.CRITICAL,
        summary="Records came in and are not accounted for.",
        description="{{ $value }} records of the hop {{ $labels.hop }} in lane {{ $labels.lane }} are unaccounted for.",
        runbook="ledger.md",
        for_seconds=60,
        window_seconds=0,
    ),
)
