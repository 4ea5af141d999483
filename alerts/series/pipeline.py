"""Series for the rules of `alerts/pipeline.py`."""

from typing import Final

from alerts.series.case import Case, at, histogram, of, quiet
from processors.telemetry import catalogue as metrics
from processors.vocabulary import topics

IN: Final = topics.SIGNALS_IN


def _lag(notation: str, lane: str = "0") -> dict[str, str]:
    return {of(metrics.PROBE_LAG_RECORDS, job="watch", instance="watch@a", topic=IN, lane=lane): notation}


def _applied(notation: str) -> dict[str, str]:
    return {of(metrics.PROBE_APPLIED, job="watch", instance="watch@a", topic=IN): notation}


def _age(notation: str) -> dict[str, str]:
    return {of(metrics.PROBE_LAG_SECONDS, job="watch", instance="watch@a", topic=IN): notation}


def _own_age(notation: str) -> dict[str, str]:
    return {of(metrics.LAG_SECONDS, topic=IN): notation}


def _slow(metric: metrics.Metric, **labels: str) -> dict[str, str]:
    """Return batches that take 20 ms for five minutes, 5 s for ten, and 20 ms again."""
    fast, end = "0+10x30 300+0x60 310+10x70", "0+10x160"
    return histogram(metric, {"0.02": fast, "2.0": fast, "5.0": end, "+Inf": end}, **labels)


def _fast(metric: metrics.Metric, **labels: str) -> dict[str, str]:
    return histogram(metric, {"0.02": "0+10x120", "2.0": "0+10x120", "5.0": "0+10x120", "+Inf": "0+10x120"}, **labels)


CASES: Final = (
    Case(
        "HopStalled",
        "the lanes stand still, and go on",
        {**_lag("0+0x2 50+5x12 0+0x10"), **_applied("0+10x3 30+0x11 40+10x10")},
        (at(60), at(110), at(120, "95", topic=IN), at(150, "110", topic=IN), at(170)),
    ),
    quiet("HopStalled", "lag, and the lanes move", {**_lag("50+5x20"), **_applied("0+10x20")}, 100, 200),
    quiet("HopStalled", "nothing to do", {**_lag("0+0x20"), **_applied("70+0x20")}, 100, 200),
    Case(
        "LagHigh",
        "a record waits, and is stepped",
        {**_age("0+0x3 10+10x20 0+0x10"), **_own_age("0+0x40")},
        (at(180), at(190, "160", topic=IN), at(240, "210", topic=IN), at(250)),
    ),
    Case(
        "LagHigh",
        "the workers see what the prober does not",
        _own_age("40+0x20"),
        (at(110), at(120, "40", topic=IN), at(200, "40", topic=IN)),
    ),
    Case(
        "LagHigh",
        "with a threshold that was raised, and lowered again",
        _age("40+0x50"),
        (at(200), at(310), at(320, "40", threshold="20", topic=IN)),
        thresholds={"": "100+0x19 20+0x30"},
    ),
    quiet("LagHigh", "late for a minute only", _age("0+0x3 10+10x9 0+0x20"), 100, 130, 200),
    Case(
        "LagVeryHigh",
        "a record waits for five minutes",
        _age("0+10x40 0+0x5"),
        (at(300), at(310, "310", topic=IN), at(400, "400", topic=IN), at(410)),
    ),
    quiet("LagVeryHigh", "late, but not so late", _age("200+0x30"), 100, 300),
    Case(
        "LagHighSoon",
        "a lag that grows by a minute in an hour, from 60 s on",
        _age("60+1x60 60+0x30"),
        (at(240), at(600, "190", threshold="100", topic=IN), at(3_600, "240", threshold="100", topic=IN), at(5_340)),
        every_seconds=60,
        thresholds={"": "100+0x90"},
    ),
    quiet("LagHighSoon", "a slope from nothing to next to nothing", _age("0+0.1x60"), 600, 3_600, every_seconds=60),
    Case(
        "QueueGrowing",
        "three checks in a row, and three stable ones",
        {**_lag("0+0x4 10+10x20 210+0x40"), **_lag("5+0x70", "1")},
        (
            at(60),
            at(75, "110", topic=IN),
            at(100, "120", topic=IN),
            at(120, "120", topic=IN),
            at(190, "110", topic=IN),
            at(195),
        ),
        every_seconds=5,
    ),
    quiet("QueueGrowing", "up and down", _lag("500 100 400 50 300 600 200 100 500 50 400 100"), 60, 90, 110),
    quiet("QueueGrowing", "much, but no more of it", _lag("50000+0x30"), 100, 300),
    Case(
        "WatermarkOld",
        "no commit while records wait",
        {of(metrics.WATERMARK_AGE, hop="ingest"): "0+10x30 0+0x5"},
        (at(180), at(190, "190", hop="ingest"), at(300, "300", hop="ingest"), at(310)),
    ),
    quiet("WatermarkOld", "a commit each minute", {of(metrics.WATERMARK_AGE, hop="ingest"): "0+10x5 0+10x5"}, 60, 110),
    Case(
        "HangingTransaction",
        "a transaction that nobody ends, until the broker does",
        {of(metrics.PROBE_OPEN_SECONDS, job="watch", instance="watch@a", topic=IN): "0+10x6 0+0x5"},
        (at(30), at(40, "40", topic=IN), at(60, "60", topic=IN), at(70)),
    ),
    quiet(
        "HangingTransaction",
        "a dead worker's transaction is ended after 12 s",
        {of(metrics.PROBE_OPEN_SECONDS, job="watch", instance="watch@a", topic=IN): "0 10 0 10 0"},
        10,
        40,
    ),
    Case(
        "HopSlow",
        "batches take 5 s for ten minutes",
        _slow(metrics.HOP_DURATION, hop="ingest"),
        (at(600), at(650, "4.85", hop="ingest"), at(900, "4.85", hop="ingest"), at(1_500)),
    ),
    quiet("HopSlow", "batches take 20 ms", _fast(metrics.HOP_DURATION, hop="ingest"), 600, 1_200),
    Case(
        "EndToEndSlow",
        "records take 5 s for ten minutes",
        _slow(metrics.END_TO_END, flow="ingest"),
        (at(600), at(650, "4.85", flow="ingest"), at(900, "4.85", flow="ingest"), at(1_500)),
    ),
    quiet("EndToEndSlow", "records take 20 ms", _fast(metrics.END_TO_END, flow="ingest"), 600, 1_200),
    Case(
        "CommitSlow",
        "transactions take 5 s for ten minutes",
        _slow(metrics.COMMIT_DURATION),
        (at(600), at(650, "4.85"), at(900, "4.85"), at(1_500)),
    ),
    quiet("CommitSlow", "transactions take 20 ms", _fast(metrics.COMMIT_DURATION), 600, 1_200),
)
