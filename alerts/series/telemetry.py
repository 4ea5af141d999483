"""Series for the rules of `alerts/telemetry.py`."""

from typing import Final

from alerts.series.case import INSTANCE, JOB, Case, at, of, quiet
from processors.telemetry import catalogue as metrics

_ME: Final = {"job": JOB, "instance": INSTANCE}

CASES: Final = (
    Case(
        "TelemetryDropped",
        "three times",
        {of(metrics.TELEMETRY_DROPPED): "0+0x5 3+0x40"},
        (at(50), at(60, "3", **_ME), at(370)),
    ),
    quiet("TelemetryDropped", "never", {of(metrics.TELEMETRY_DROPPED): "7+0x40"}, 100, 400),
    Case(
        "TelemetryWaiting",
        "six thousand for two minutes",
        {of(metrics.EVENTS_WAITING): "0+0x2 6000+0x12 0+0x10"},
        (at(80), at(90, "6000", **_ME), at(150, "6000", **_ME), at(160)),
    ),
    quiet("TelemetryWaiting", "a hundred", {of(metrics.EVENTS_WAITING): "100+0x30"}, 100, 300),
    Case(
        "SeriesNearLimit",
        "1,900 series, and fewer after a restart",
        {of(metrics.SERIES): "1000+0x2 1900+0x20 900+0x10"},
        (at(140), at(150, "1900", **_ME), at(230, "1900", **_ME), at(240)),
    ),
    quiet("SeriesNearLimit", "a thousand", {of(metrics.SERIES): "1000+0x30"}, 100, 300),
    Case(
        "SpansLost",
        "the collector is away",
        {of(metrics.SPANS, result="lost"): "0+0x5 20+0x40", of(metrics.SPANS, result="sent"): "0+20x45"},
        (at(50), at(60, "20", **_ME), at(370)),
    ),
    quiet("SpansLost", "all are sent", {of(metrics.SPANS, result="sent"): "0+20x40"}, 100, 400),
    Case("Watchdog", "always", {}, (at(0, "1"), at(60, "1"), at(600, "1"))),
    Case(
        "ThresholdMissing",
        "one goes, and comes back",
        {of(metrics.ALERT_THRESHOLD, alert="LagHigh"): "30+0x2 stale _x10 30+0x10"},
        (at(80), at(90, "1", alert="LagHigh"), at(130, "1", alert="LagHigh"), at(140)),
        all_thresholds=True,
    ),
    Case(
        "ThresholdMissing",
        "all are there",
        {of(metrics.ALERT_THRESHOLD, alert="LagHigh"): "30+0x30"},
        (at(100), at(300)),
        all_thresholds=True,
    ),
)
