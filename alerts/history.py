"""History: whether it is there and how far behind the topics."""

from typing import Final

from alerts.workers import UP
from processors.alerting.rule import Compare, Rule, Severity, Threshold
from processors.telemetry import catalogue as metrics

RULES: Final = (
    Rule(
        name="HistoryDown",
        signal=f'{UP}{{job="history"}}',
        threshold=Threshold(1, "short", most=1),
        compare=Compare.BELOW,
        severity=Severity.WARNING,
        summary="History does not answer, and did not leave as it should.",
        description="The history {{ $labels.instance }} does not answer.",
        runbook="history.md#historydown",
        for_seconds=60,
        window_seconds=0,
    ),
    Rule(
        name="HistoryBehind",
        signal=f"max({metrics.HISTORY_LAG.name})",
        threshold=Threshold(60, "s", least=1, most=604_800),
        severity=Severity.WARNING,
        summary="Searches do not see what is newer: history is behind.",
        description="History is {{ $value }} s behind the topics.",
        runbook="history.md#historybehind",
        for_seconds=120,
        window_seconds=0,
    ),
)
