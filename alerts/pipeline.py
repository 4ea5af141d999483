"""The pipeline's flow: lag, stalls, growth, age and latency, seen by the prober and by the workers."""

from typing import Final

from alerts.expressions import ahead, per_lane, percentile
from processors.alerting.rule import Rule, Severity, Threshold
from processors.telemetry import catalogue as metrics

CHECK_SECONDS: Final = 20
"""What a check of `QueueGrowing` is: long enough that what a batch adds and takes is no growth."""
LOOKED_BACK: Final = 3
"""Checks in a row that a queue must have grown, and must be stable again."""

# The prober sees lanes that nobody owns, the workers see what it cannot while it is blind. The worst of both counts.
_LAG_SECONDS: Final = f"max by (topic) ({metrics.PROBE_LAG_SECONDS.name} or {metrics.LAG_SECONDS.name})"
_WAITING: Final = f"sum by (topic) ({per_lane(metrics.PROBE_LAG_RECORDS)})"
_APPLIED: Final = f"sum by (topic) (rate({metrics.PROBE_APPLIED.name}[30s]))"


def _waited(checks: int) -> str:
    """Return what waited so many checks ago."""
    if not checks:
        return _WAITING
    offset = f" offset {CHECK_SECONDS * checks}s"
    return f"sum by (topic) ({per_lane(metrics.PROBE_LAG_RECORDS, offset)})"


_GROWN: Final = " and ".join(f"({_waited(n)} > {_waited(n + 1)})" for n in range(LOOKED_BACK))
_LATE_ALREADY: Final = 10
"""Seconds of lag below which a slope is noise."""

RULES: Final = (
    Rule(
        name="HopStalled",
        signal=f"{_WAITING} unless ({_APPLIED} > 0)",
        threshold=Threshold(0, "short", most=1e6),
        severity=Severity.CRITICAL,
        summary="Records wait and none is taken.",
        description="{{ $value }} records of {{ $labels.topic }} wait, and no lane has moved for a minute.",
        runbook="lag.md#hopstalled",
        for_seconds=60,
        window_seconds=30,
    ),
    Rule(
        name="LagHigh",
        signal=_LAG_SECONDS,
        threshold=Threshold(30, "s", least=1, most=86_400),
        severity=Severity.WARNING,
        summary="Records wait too long before a hop steps them.",
        description="The oldest record of {{ $labels.topic }} has waited for {{ $value }} s.",
        runbook="lag.md#laghigh",
        for_seconds=120,
        window_seconds=0,
    ),
    Rule(
        name="LagVeryHigh",
        signal=_LAG_SECONDS,
        threshold=Threshold(300, "s", least=1, most=604_800),
        severity=Severity.CRITICAL,
        summary="Records wait far too long before a hop steps them.",
        description="The oldest record of {{ $labels.topic }} has waited for {{ $value }} s.",
        runbook="lag.md#lagveryhigh",
        window_seconds=0,
    ),
    Rule(
        name="LagHighSoon",
        signal=f"{ahead(metrics.PROBE_LAG_SECONDS.name, by='topic')} and ({_LAG_SECONDS} > {_LATE_ALREADY})",
        threshold=Threshold(300, "s", least=1, most=604_800),
        severity=Severity.WARNING,
        summary="Lag grows so fast that it will be critical within two hours.",
        description="At this slope the oldest record of {{ $labels.topic }} will have waited for {{ $value }} s "
        "in two hours.",
        runbook="lag.md#laghighsoon",
        for_seconds=300,
        keep_seconds=120,
        window_seconds=1_800,
    ),
    Rule(
        name="QueueGrowing",
        signal=f"({_WAITING} - {_waited(LOOKED_BACK)}) and {_GROWN}",
        threshold=Threshold(100, "short"),
        severity=Severity.WARNING,
        summary="A topic's queue has grown three checks in a row.",
        description="{{ $value }} records more of {{ $labels.topic }} wait than a minute ago.",
        runbook="lag.md#queuegrowing",
        keep_seconds=CHECK_SECONDS * LOOKED_BACK,
        cooldown_seconds=300,
        window_seconds=CHECK_SECONDS * LOOKED_BACK,
    ),
    Rule(
        name="WatermarkOld",
        signal=f"max by (hop) ({metrics.WATERMARK_AGE.name})",
        threshold=Threshold(60, "s", least=1, most=86_400),
        severity=Severity.WARNING,
        summary="A hop has not committed for long though records wait.",
        description="The hop {{ $labels.hop }} committed last {{ $value }} s ago, and records wait for it.",
        runbook="lag.md#watermarkold",
        for_seconds=120,
        window_seconds=0,
    ),
    Rule(
        name="HangingTransaction",
        signal=f"max by (topic) ({metrics.PROBE_OPEN_SECONDS.name})",
        threshold=Threshold(30, "s", least=15, most=3_600),
        severity=Severity.CRITICAL,
        summary="A transaction is open for longer than any of ours may be; what stands behind it waits.",
        description="The last stable offset of {{ $labels.topic }} has not moved for {{ $value }} s.",
        runbook="lag.md#hangingtransaction",
        window_seconds=0,
    ),
    Rule(
        name="HopSlow",
        signal=percentile(0.95, metrics.HOP_DURATION, by="hop", window="5m"),
        threshold=Threshold(0.5, "s", least=0.001, most=10),
        severity=Severity.WARNING,
        summary="A hop takes too long for its batches.",
        description="One batch in twenty of the hop {{ $labels.hop }} takes {{ $value }} s or more.",
        runbook="slow.md#hopslow",
        for_seconds=300,
    ),
    Rule(
        name="EndToEndSlow",
        signal=percentile(0.95, metrics.END_TO_END, by="flow", window="5m"),
        threshold=Threshold(2, "s", least=0.001, most=10),
        severity=Severity.WARNING,
        summary="Signals take too long from the log to their commit.",
        description="One record in twenty of {{ $labels.flow }} takes {{ $value }} s or more from end to end.",
        runbook="slow.md#endtoendslow",
        for_seconds=300,
    ),
    Rule(
        name="CommitSlow",
        signal=percentile(0.95, metrics.COMMIT_DURATION, window="5m"),
        threshold=Threshold(1, "s", least=0.001, most=10),
        severity=Severity.WARNING,
        summary="Transactions take too long: the broker or its disk is slow.",
        description="One transaction in twenty takes {{ $value }} s or more.",
        runbook="slow.md#commitslow",
        for_seconds=300,
    ),
)
