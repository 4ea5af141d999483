"""The ingest hop's alerts, with their default thresholds. What holds for each hop stands in `pipeline`, `outcomes`."""

from typing import Final

from alerts.expressions import ahead, one_of
from processors.alerting.rule import Rule, Severity, Threshold
from processors.telemetry import catalogue as metrics
from processors.vocabulary.reasons import Reason

SENDERS: Final = (
    Reason.NULL_VALUE,
    Reason.TOO_LARGE,
    Reason.NOT_UTF8,
    Reason.NOT_JSON,
    Reason.TOO_DEEP,
    Reason.DUPLICATE_ATTRIBUTE,
    Reason.INVALID_ENVELOPE,
    Reason.UNSUPPORTED_MODE,
    Reason.WRONG_KEY,
    Reason.INVALID_DATA,
)
"""What is wrong with the record itself: its sender must mend it."""
QUEUED_MIN: Final = 100
"""Records below which a slope is noise."""

_invalid: Final = f'{{reason=~"{one_of(SENDERS)}"}}[1h]'

RULES: Final = (
    Rule(
        name="ValidationFailures",
        # At the gateway and, for those who write to Kafka themselves, at the hop's door: series of both, added up.
        signal=f"sum(increase({metrics.GATEWAY_REFUSED.name}{_invalid}) "
        f"or increase({metrics.DEAD_LETTERS.name}{_invalid}))",
        threshold=Threshold(50, "short"),
        severity=Severity.WARNING,
        summary="Many events are invalid: somebody's program sends what it must not.",
        description="{{ $value }} events of the last hour were invalid.",
        runbook="failures.md#validationfailures",
        window_seconds=3_600,
    ),
    Rule(
        name="TenantQueueFullSoon",
        signal=f"{ahead(metrics.DEFERRED.name, by='lane')} "
        f"and (max by (lane) ({metrics.DEFERRED.name}) > {QUEUED_MIN})",
        threshold=Threshold(1_000, "short", least=1, most=1e7),
        severity=Severity.WARNING,
        summary="Tenants send more than their rate: within two hours a queue is full and records are set aside.",
        description="At this slope {{ $value }} records wait in lane {{ $labels.lane }} in two hours.",
        runbook="limits.md#tenantqueuefullsoon",
        for_seconds=300,
        keep_seconds=120,
        window_seconds=1_800,
    ),
    Rule(
        name="TenantQueueFull",
        signal=f'sum(increase({metrics.DEAD_LETTERS.name}{{reason="{Reason.RATE_LIMITED.value}"}}[5m]))',
        threshold=Threshold(0, "short"),
        severity=Severity.WARNING,
        summary="A tenant's queue is full: what it sends above its rate is set aside.",
        description="{{ $value }} records above their tenant's rate were set aside within five minutes.",
        runbook="limits.md#tenantqueuefull",
    ),
)
