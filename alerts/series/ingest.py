"""Series for the rules of `alerts/ingest.py`."""

from typing import Final

from alerts.series.case import Case, at, of, quiet
from processors.telemetry import catalogue as metrics


def _refused(notation: str, reason: str = "not_json") -> dict[str, str]:
    return {of(metrics.GATEWAY_REFUSED, job="gateway", instance="gateway@a", reason=reason): notation}


def _dead(notation: str, reason: str = "invalid_envelope") -> dict[str, str]:
    return {of(metrics.DEAD_LETTERS, hop="ingest", reason=reason): notation}


CASES: Final = (
    Case(
        "ValidationFailures",
        "thirty at the gateway and thirty from Kafka within an hour",
        {**_refused("0+0x3 10+10x2 30+0x80"), **_dead("0+0x3 10+10x2 30+0x80")},
        (at(180), at(3_600, "60"), at(4_200)),
        every_seconds=60,
    ),
    quiet("ValidationFailures", "thirty an hour", _refused("0+0.5x90"), 3_600, 5_400, every_seconds=60),
    quiet("ValidationFailures", "many above their rate", _refused("0+50x90", "rate_limited"), 3_600, every_seconds=60),
    Case(
        "TenantQueueFullSoon",
        "a queue that grows by five a minute",
        {of(metrics.DEFERRED, lane="3"): "0+5x60 100+0x60"},
        (
            at(1_200),
            at(1_980, "765", threshold="500", lane="3"),
            at(3_600, "900", threshold="500", lane="3"),
            at(6_000),
        ),
        every_seconds=60,
        thresholds={"": "500+0x120"},
    ),
    quiet(
        "TenantQueueFullSoon",
        "a queue that is long and stays so",
        {of(metrics.DEFERRED, lane="3"): "900+0x90"},
        5_400,
        every_seconds=60,
    ),
    Case(
        "TenantQueueFull",
        "records above the rate are set aside",
        _dead("0+0x5 5+0x40", "rate_limited"),
        (at(50), at(60, "5"), at(370)),
    ),
    quiet("TenantQueueFull", "others are", _dead("0+5x40"), 100, 300),
)
