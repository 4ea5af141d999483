"""How records end at any hop: failures, dead letters, code that raises."""

from typing import Final

from alerts.expressions import one_of, share
from processors.alerting.rule import Rule, Severity, Threshold
from processors.step import Outcome
from processors.telemetry import catalogue as metrics

FAILED: Final = (Outcome.DEAD, Outcome.REJECTED)
ENDED: Final = (*FAILED, Outcome.HANDLED, Outcome.DUPLICATE, Outcome.OUT_OF_SCOPE)
"""What is moved or deferred has not ended yet: it is counted again when it does."""
RECORDS_MIN: Final = 20
"""Below so many within the window a share says nothing."""

_failed: Final = f'{metrics.SIGNALS.name}{{outcome=~"{one_of(FAILED)}"}}'
_ended: Final = f'{metrics.SIGNALS.name}{{outcome=~"{one_of(ENDED)}"}}'
_dead: Final = f'{metrics.SIGNALS.name}{{outcome="{Outcome.DEAD.value}"}}'


def _named(outcomes: tuple[Outcome, ...]) -> str:
    """Return what was counted for tenants with a label: the rest is many, and records of nobody's are among it."""
    return f'{metrics.SIGNALS.name}{{outcome=~"{one_of(outcomes)}",tenant!="{metrics.OTHER_TENANTS}"}}'


RULES: Final = (
    Rule(
        name="FailureRate",
        # Half a minute, and no `for`: when six of ten fail, half of the window fails after 25 s.
        signal=share(_failed, _ended, by="hop", window="30s", least=RECORDS_MIN),
        threshold=Threshold(0.5, "percentunit", least=0.001, most=1),
        severity=Severity.WARNING,
        summary="More records fail at a hop than it handles.",
        description="A share of {{ $value }} of what ended at the hop {{ $labels.hop }} was rejected or set aside.",
        runbook="failures.md#failurerate",
        keep_seconds=30,
        cooldown_seconds=600,
        window_seconds=30,
    ),
    Rule(
        name="TenantFailureRate",
        signal=share(_named(FAILED), _named(ENDED), by="tenant", window="1m", least=RECORDS_MIN),
        threshold=Threshold(0.5, "percentunit", least=0.001, most=1, per_tenant=True),
        severity=Severity.WARNING,
        summary="More of a tenant's records fail than are handled.",
        description="A share of {{ $value }} of what {{ $labels.tenant }} sent was rejected or set aside.",
        runbook="failures.md#tenantfailurerate",
        for_seconds=30,
        keep_seconds=30,
        cooldown_seconds=600,
        window_seconds=60,
    ),
    Rule(
        name="DeadLetters",
        signal=f"sum by (hop) (increase({metrics.DEAD_LETTERS.name}[5m]))",
        threshold=Threshold(0, "short"),
        severity=Severity.WARNING,
        summary="Records were set aside.",
        description="{{ $value }} records of the hop {{ $labels.hop }} were set aside within five minutes.",
        runbook="dead-letters.md#deadletters",
    ),
    Rule(
        name="DeadLetterShare",
        signal=share(_dead, _ended, by="hop", window="5m", least=100),
        threshold=Threshold(0.01, "percentunit", least=0.0001, most=1),
        severity=Severity.CRITICAL,
        summary="More than a few records are set aside.",
        description="A share of {{ $value }} of what ended at the hop {{ $labels.hop }} was set aside.",
        runbook="dead-letters.md#deadlettershare",
    ),
    Rule(
        name="DeadLettersOld",
        signal=f"max({metrics.DEAD_LETTER_OLDEST_AGE.name})",
        threshold=Threshold(3_600, "s", least=60, most=604_800),
        severity=Severity.WARNING,
        summary="Dead letters wait for somebody to redrive them.",
        description="The oldest dead letter that nobody has redriven is {{ $value }} s old.",
        runbook="dead-letters.md#deadlettersold",
        window_seconds=0,
    ),
    Rule(
        name="HopFailing",
        signal=f"sum by (hop) (increase({metrics.HOP_ERRORS.name}[5m]))",
        threshold=Threshold(0, "short"),
        severity=Severity.WARNING,
        summary="A hop's code raises or does not answer in time.",
        description="The hop {{ $labels.hop }} failed on {{ $value }} batches within five minutes.",
        runbook="failures.md#hopfailing",
    ),
)
