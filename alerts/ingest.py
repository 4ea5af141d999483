"""The ingest hop's alerts, with their default thresholds."""

from typing import Final

from alerts.rule import Rule, Severity
from processors.telemetry import catalogue as metrics

RULES: Final = (
    Rule(
        "IngestLagHigh",
        f"max({metrics.LAG_SECONDS.name})",
        30,
        120,
        Severity.WARNING,
        "Signals wait too long at the door.",
        "lag.md",
    ),
    Rule(
        "IngestDeadLetters",
        f'sum(rate({metrics.DEAD_LETTERS.name}{{hop="ingest"}}[5m]))',
        0,
        0,
        Severity.WARNING,
        "Signals are being set aside.",
        "dead-letters.md",
    ),
    Rule(
        "LedgerMismatch",
        f"max(abs({metrics.LEDGER_MISMATCH.name}))",
        0,
        60,
        Severity.CRITICAL,
        "Records came in and are not accounted for.",
        "ledger.md",
    ),
)
