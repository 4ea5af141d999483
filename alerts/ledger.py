"""The conservation ledger: what came in must be the sum of how it ended."""

from typing import Final

from processors.alerting.rule import Rule, Severity, Threshold
from processors.telemetry import catalogue as metrics

RULES: Final = (
    Rule(
        name="LedgerMismatch",
        signal=f"max by (hop, lane) (abs({metrics.LEDGER_MISMATCH.name}))",
        threshold=Threshold(0, "short"),
        severity=Severity.CRITICAL,
        summary="Records came in and are not accounted for.",
        description="{{ $value }} records of the hop {{ $labels.hop }} in lane {{ $labels.lane }} are unaccounted for.",
        runbook="ledger.md#ledgermismatch",
        for_seconds=60,
        window_seconds=0,
    ),
    Rule(
        name="LedgerCheckedMismatch",
        signal=f"max by (hop, lane) (abs({metrics.LEDGER_CHECKED.name}))",
        threshold=Threshold(0, "short"),
        severity=Severity.CRITICAL,
        summary="The topics hold something else than the ledger says.",
        description="For {{ $value }} records of the hop {{ $labels.hop }} in lane {{ $labels.lane }} topics and "
        "ledger disagree.",
        runbook="ledger.md#ledgercheckedmismatch",
        for_seconds=60,
        window_seconds=0,
    ),
    Rule(
        name="LedgerCheckBehind",
        signal=f"max({metrics.LEDGER_BEHIND.name})",
        threshold=Threshold(1_000_000, "short", most=1e12),
        severity=Severity.WARNING,
        summary="The check of the ledger falls behind: a mismatch would be found late.",
        description="{{ $value }} records have been written and not been checked.",
        runbook="ledger.md#ledgercheckbehind",
        for_seconds=600,
        window_seconds=0,
    ),
)
