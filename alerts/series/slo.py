"""Series for the rules of `alerts/slo.py`: 1,000 records in each step, and some of them end by a fault of ours."""

from typing import Final

from alerts.series.case import Case, at, of, quiet
from processors.telemetry import catalogue as metrics


def _records(steps: int, faults: str, reason: str = "bug") -> dict[str, str]:
    return {
        of(metrics.HOP_INPUT, hop="ingest"): f"0+1000x{steps}",
        of(metrics.DEAD_LETTERS, hop="ingest", reason=reason): faults,
    }


CASES: Final = (
    Case(
        "ErrorBudgetBurn1h",
        "two in a hundred for an hour, and none after it",
        _records(90, "0+20x60 1200+0x30"),
        (at(60, "20"), at(3_600, "20"), at(3_660, "16"), at(3_960)),
        every_seconds=60,
    ),
    quiet("ErrorBudgetBurn1h", "one in a hundred", _records(90, "0+10x90"), 3_600, 5_400, every_seconds=60),
    quiet("ErrorBudgetBurn1h", "senders' faults", _records(90, "0+90x90", "not_json"), 3_600, every_seconds=60),
    Case(
        "ErrorBudgetBurn6h",
        "eight in a thousand for six hours",
        _records(84, "0+8x72 576+0x12"),
        (at(3_600, "8"), at(21_600, "8"), at(25_200)),
        every_seconds=300,
    ),
    quiet(
        "ErrorBudgetBurn6h", "half an hour in a day", _records(84, "0+0x36 8+8x6 56+0x40"), 25_200, every_seconds=300
    ),
    Case(
        "ErrorBudgetBurn1d",
        "four in a thousand for a day",
        _records(120, "0+4x96 384+0x24"),
        (at(7_200, "4"), at(86_400, "4"), at(97_200)),
        every_seconds=900,
    ),
    quiet("ErrorBudgetBurn1d", "two in a thousand", _records(96, "0+2x96"), 7_200, 86_400, every_seconds=900),
    Case(
        "ErrorBudgetBurn3d",
        "three in two thousand for three days",
        _records(100, "0+1.5x72 108+0x28"),
        (at(86_400, "1.5"), at(259_200, "1.5"), at(324_000)),
        every_seconds=3_600,
    ),
    quiet("ErrorBudgetBurn3d", "one in two thousand", _records(72, "0+0.5x72"), 86_400, 259_200, every_seconds=3_600),
)
