"""Series for the rules of `alerts/watch.py`."""

from typing import Final

from alerts.series.case import Case, at, of, quiet
from alerts.workers import UP
from processors.telemetry import catalogue as metrics

_W: Final = {"job": "watch", "instance": "watch@a"}

CASES: Final = (
    Case(
        "WatchDown",
        "it dies, and comes back",
        {of(UP, **_W): "1+0x3 0+0x12 1+0x10"},
        (at(90), at(100, "1"), at(160, "1"), at(170)),
    ),
    quiet("WatchDown", "it is there", {of(UP, **_W): "1+0x20"}, 100, 200),
    Case(
        "NobodyJudges",
        "both watches stand by for two minutes",
        {
            of(metrics.WATCH_IN_CHARGE, **_W): "1+0x2 0+0x12 1+0x10",
            of(metrics.WATCH_IN_CHARGE, job="watch", instance="watch@b"): "0+0x30",
        },
        (at(80), at(90, "0"), at(150, "0"), at(160)),
    ),
    quiet(
        "NobodyJudges",
        "one of two is in charge",
        {
            of(metrics.WATCH_IN_CHARGE, **_W): "1+0x30",
            of(metrics.WATCH_IN_CHARGE, job="watch", instance="watch@b"): "0+0x30",
        },
        100,
        300,
    ),
    Case(
        "WatchPartFailing",
        "the prober, twice",
        {of(metrics.WATCH_PART_FAILURES, **_W, part="prober"): "0+0x5 1+0x2 2+0x40"},
        (at(50), at(60, "1", part="prober"), at(90, "2", part="prober"), at(400)),
    ),
    quiet("WatchPartFailing", "none", {of(metrics.WATCH_PART_FAILURES, **_W, part="prober"): "0+0x40"}, 100, 400),
    Case(
        "WatchBehind",
        "a minute behind, and there again",
        {of(metrics.WATCH_BEHIND, **_W): "1+0x2 60+0x6 1+0x10"},
        (at(50), at(60, "60"), at(90, "60"), at(100)),
    ),
    quiet("WatchBehind", "two seconds behind", {of(metrics.WATCH_BEHIND, **_W): "2+0x30"}, 100, 300),
    Case(
        "WatchFull",
        "ten series are refused",
        {of(metrics.WATCH_REFUSED, **_W): "0+0x5 10+0x40"},
        (at(50), at(60, "10"), at(370)),
    ),
    quiet("WatchFull", "none is", {of(metrics.WATCH_REFUSED, **_W): "0+0x40"}, 100, 400),
    Case(
        "ProberBlind",
        "Kafka is away for two minutes",
        {of(metrics.PROBE_AGE, **_W): "1+0x2 10+10x12 1+0x10"},
        (at(80), at(90, "70"), at(150, "130"), at(160)),
    ),
    quiet("ProberBlind", "it looks each second", {of(metrics.PROBE_AGE, **_W): "1+0x30"}, 100, 300),
    Case(
        "AlertCheckFailing",
        "one rule, twice",
        {of(metrics.ALERT_CHECK_FAILURES, **_W, alert="LagHigh"): "0+0x5 2+0x40"},
        (at(50), at(60, "2", alert="LagHigh"), at(370)),
    ),
    quiet("AlertCheckFailing", "none", {of(metrics.ALERT_CHECK_FAILURES, **_W, alert="LagHigh"): "0+0x40"}, 100, 400),
    Case(
        "ChannelDown",
        "a webhook is away for two minutes",
        {of(metrics.CHANNEL_UP, **_W, channel="ops"): "1+0x2 0+0x12 1+0x10"},
        (at(50), at(60, "0", channel="ops"), at(150, "0", channel="ops"), at(160)),
    ),
    quiet("ChannelDown", "it takes what it is told", {of(metrics.CHANNEL_UP, **_W, channel="ops"): "1+0x30"}, 100, 300),
    Case(
        "NotificationsWaiting",
        "eighty wait for two minutes",
        {of(metrics.NOTIFICATIONS_WAITING, **_W, channel="ops"): "0+0x2 80+0x12 0+0x10"},
        (at(80), at(90, "80", channel="ops"), at(150, "80", channel="ops"), at(160)),
    ),
    quiet("NotificationsWaiting", "one waits", {of(metrics.NOTIFICATIONS_WAITING, **_W, channel="ops"): "1+0x30"}, 300),
)
