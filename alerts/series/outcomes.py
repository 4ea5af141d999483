"""Series for the rules of `alerts/outcomes.py`."""

from typing import Final

from alerts.series.case import Case, at, of, quiet
from processors.telemetry import catalogue as metrics


def _ends(handled: str, dead: str, tenant: str = "acme", hop: str = "ingest") -> dict[str, str]:
    return {
        of(metrics.SIGNALS, hop=hop, tenant=tenant, outcome="handled"): handled,
        of(metrics.SIGNALS, hop=hop, tenant=tenant, outcome="dead_lettered"): dead,
    }


def _dead(notation: str, reason: str = "not_json") -> dict[str, str]:
    return {of(metrics.DEAD_LETTERS, hop="ingest", reason=reason): notation}


CASES: Final = (
    Case(
        "FailureRate",
        "six of ten fail from 60 s on, for two minutes",
        _ends("0+50x12 620+20x23 1130+50x20", "0+0x12 30+30x23 720+0x20"),
        (
            at(60),
            at(80),
            at(90, "0.6", hop="ingest"),
            at(120, "0.6", hop="ingest"),
            at(210, "0.6", hop="ingest"),
            at(240),
        ),
        every_seconds=5,
    ),
    quiet("FailureRate", "four of ten fail", _ends("0+30x40", "0+20x40"), 60, 200, every_seconds=5),
    quiet("FailureRate", "all of very few fail", _ends("0+0x40", "0+1x40"), 60, 200, every_seconds=5),
    Case(
        "TenantFailureRate",
        "one of two tenants fails",
        {**_ends("0+50x60", "0+0x60"), **_ends("0+0x60", "0+50x30 1500+0x30", tenant="bolt")},
        (at(30), at(40, "1", tenant="bolt"), at(300, "1", tenant="bolt"), at(400)),
    ),
    Case(
        "TenantFailureRate",
        "a tenant with a threshold of its own",
        {**_ends("0+40x40", "0+10x40"), **_ends("0+40x40", "0+10x40", tenant="bolt")},
        (at(30), at(200, "0.2", threshold="0.1", tenant="bolt"), at(300, "0.2", threshold="0.1", tenant="bolt")),
        thresholds={"bolt": "0.1+0x40"},
    ),
    Case(
        "TenantFailureRate",
        "a tenant that may fail more than others",
        {**_ends("0+10x40", "0+40x40"), **_ends("0+10x40", "0+40x40", tenant="bolt")},
        (at(200, "0.8", tenant="acme"), at(300, "0.8", tenant="acme")),
        thresholds={"bolt": "0.9+0x40"},
    ),
    quiet("TenantFailureRate", "records of nobody's fail", _ends("0+0x40", "0+10x40", tenant="_other"), 100, 300),
    quiet("TenantFailureRate", "each fails now and then", _ends("0+50x40", "0+10x40"), 100, 300),
    Case(
        "DeadLetters",
        "one record, and nothing after it",
        _dead("0+0x5 1+0x60"),
        (at(50), at(60, "1", hop="ingest"), at(340, "1", hop="ingest"), at(370)),
    ),
    quiet("DeadLetters", "none", _dead("3+0x40"), 60, 300),
    Case(
        "DeadLetterShare",
        "two in a hundred for five minutes",
        _ends("0+98x30 2960+100x60", "0+2x30 60+0x60"),
        (at(10, "0.02", hop="ingest"), at(300, "0.02", hop="ingest"), at(600)),
    ),
    quiet("DeadLetterShare", "one in two hundred", _ends("0+199x60", "0+1x60"), 100, 600),
    Case(
        "DeadLettersOld",
        "nobody redrives it for an hour, then somebody does",
        {of(metrics.DEAD_LETTER_OLDEST_AGE, job="watch", instance="watch@a"): "3500+10x20 0+0x5"},
        (at(100), at(110, "3610"), at(200, "3700"), at(210)),
    ),
    quiet(
        "DeadLettersOld",
        "there is none",
        {of(metrics.DEAD_LETTER_OLDEST_AGE, job="watch", instance="watch@a"): "0+0x20"},
        100,
        200,
    ),
    Case(
        "HopFailing",
        "three batches",
        {of(metrics.HOP_ERRORS, hop="ingest"): "0+0x5 1 2 3+0x60"},
        (at(50), at(80, "3", hop="ingest"), at(390)),
    ),
    quiet("HopFailing", "none", {of(metrics.HOP_ERRORS, hop="ingest"): "0+0x40"}, 100, 300),
)
