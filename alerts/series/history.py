"""Series for the rules of `alerts/history.py`."""

from typing import Final

from alerts.series.case import Case, at, of, quiet
from alerts.workers import UP
from processors.telemetry import catalogue as metrics

_H: Final = {"job": "history", "instance": "history@a"}

CASES: Final = (
    Case(
        "HistoryDown",
        "it dies, and comes back",
        {of(UP, **_H): "1+0x3 0+0x12 1+0x10"},
        (at(90), at(100, "0", **_H), at(160, "0", **_H), at(170)),
    ),
    quiet("HistoryDown", "it is there", {of(UP, **_H): "1+0x20"}, 100, 200),
    Case(
        "HistoryBehind",
        "five minutes behind, and there again",
        {of(metrics.HISTORY_LAG, **_H): "0+0x2 300+0x20 0+0x10"},
        (at(140), at(150, "300"), at(230, "300"), at(240)),
    ),
    quiet("HistoryBehind", "two seconds behind", {of(metrics.HISTORY_LAG, **_H): "2+0x30"}, 100, 300),
)
