"""Series for the rules of `alerts/ledger.py`."""

from typing import Final

from alerts.series.case import Case, at, of, quiet
from processors.telemetry import catalogue as metrics


def _off(metric: metrics.Metric, notation: str) -> dict[str, str]:
    return {of(metric, hop="ingest", lane="2"): notation, of(metric, hop="ingest", lane="3"): "0+0x40"}


CASES: Final = (
    Case(
        "LedgerMismatch",
        "two records too few, and found again",
        _off(metrics.LEDGER_MISMATCH, "0+0x2 -2+0x17 0+0x10"),
        (at(80), at(90, "2", hop="ingest", lane="2"), at(190, "2", hop="ingest", lane="2"), at(210)),
    ),
    quiet("LedgerMismatch", "it balances", _off(metrics.LEDGER_MISMATCH, "0+0x40"), 100, 300),
    Case(
        "LedgerCheckedMismatch",
        "one too many in the topics",
        _off(metrics.LEDGER_CHECKED, "0+0x2 1+0x17 0+0x10"),
        (at(80), at(90, "1", hop="ingest", lane="2"), at(190, "1", hop="ingest", lane="2"), at(210)),
    ),
    quiet("LedgerCheckedMismatch", "both agree", _off(metrics.LEDGER_CHECKED, "0+0x40"), 100, 300),
    Case(
        "LedgerCheckBehind",
        "two million records for a quarter of an hour",
        {of(metrics.LEDGER_BEHIND, job="watch", instance="watch@a"): "2e6+0x30 0+0x10"},
        (at(570), at(600, "2e+06"), at(900, "2e+06"), at(930)),
        every_seconds=30,
    ),
    quiet(
        "LedgerCheckBehind",
        "a thousand",
        {of(metrics.LEDGER_BEHIND, job="watch", instance="watch@a"): "1000+0x40"},
        600,
        1_200,
        every_seconds=30,
    ),
)
