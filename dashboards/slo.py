"""The promise: so large a share of the records ends well. What failed, how fast the budget burns, what is left of it.

A record failed if we are to blame: the hop's code raised, ran out of time, killed its worker. A producer's bad record
that is set aside with its reason has ended as it should. `alerts/slo.py` watches over the same.
"""

from typing import Final

from dashboards import ask
from processors.telemetry import catalogue as metrics
from processors.vocabulary.reasons import Reason

OBJECTIVE: Final = 0.999
BUDGET_WINDOW: Final = "3d"
SHORT_WINDOWS: Final = ("5m", "1h", "6h")
LONG_WINDOWS: Final = ("1d", "3d")
"""Too much to read for each point of a chart: asked for now only."""
OURS: Final = (Reason.BUG, Reason.TIMED_OUT, Reason.STUCK, Reason.MOVED_TWICE, Reason.UNKNOWN_FORMAT)
"""Reasons that no sender can do anything about. The alerts count the same ones: a test compares them."""
_OURS: Final = "|".join(sorted(OURS))


def failed(window: str) -> str:
    """Return the share of records that failed within a window."""
    bad = ask.per_second(metrics.DEAD_LETTERS, where=f'reason=~"{_OURS}"', window=window)
    came_in = ask.per_second(metrics.HOP_INPUT, window=window)
    return f"{bad} / {came_in}"


def burn(window: str) -> str:
    """Return how many times as fast as allowed the budget is used up."""
    return f"{failed(window)} / {1 - OBJECTIVE:g}"


def budget_left() -> str:
    """Return what is left of the budget: 1 is all of it."""
    return f"1 - {burn(BUDGET_WINDOW)}"
