"""The objective: 999 of 1,000 records end without a fault of ours. Alerts on how fast what is left is used up.

Each rule looks at a long window, so that it is worth waking somebody, and at a short one, so that it ends soon after
the trouble does; its value is the smaller burn rate of both. 1 uses up the budget exactly within the objective's time.
The method is that of the SRE workbook's chapter on alerting on SLOs.
"""

from typing import Final

from alerts.expressions import one_of
from alerts.recording import Recording
from processors.alerting.rule import Rule, Severity, Threshold
from processors.telemetry import catalogue as metrics
from processors.vocabulary.reasons import Reason

BUDGET: Final = 0.001
OURS: Final = (Reason.BUG, Reason.TIMED_OUT, Reason.STUCK, Reason.MOVED_TWICE, Reason.UNKNOWN_FORMAT)
"""Reasons that no sender can do anything about."""
WINDOWS: Final = (
    ("1h", "5m", 14.4, Severity.CRITICAL),
    ("6h", "30m", 6.0, Severity.CRITICAL),
    ("1d", "2h", 3.0, Severity.WARNING),
    ("3d", "6h", 1.0, Severity.WARNING),
)
SECONDS: Final = {"1h": 3_600, "6h": 21_600, "1d": 86_400, "3d": 259_200}
_SAID: Final = {"1h": "hour", "6h": "six hours", "1d": "day", "3d": "three days"}
_faults: Final = f'{metrics.DEAD_LETTERS.name}{{reason=~"{one_of(OURS)}"}}'


def burn(window: str) -> str:
    """Return how many times as fast as it may the budget is used up."""
    return f"sum(rate({_faults}[{window}])) / sum(rate({metrics.HOP_INPUT.name}[{window}])) / {BUDGET}"


def _rule(long: str, short: str, factor: float, severity: Severity) -> Rule:
    return Rule(
        name=f"ErrorBudgetBurn{long}",
        # The smaller of two: the left one where it is the smaller, else the right one.
        signal=f"({burn(long)} < {burn(short)}) or {burn(short)}",
        threshold=Threshold(factor, "short", least=0.1, most=1_000),
        severity=severity,
        summary=f"The error budget is being used up too fast, over the last {_SAID[long]} and now.",
        description=f"Faults of ours use up the error budget {{{{ $value }}}} times as fast as it lasts "
        f"(over {long} and {short}).",
        runbook=f"failures.md#errorbudgetburn{long}",
        window_seconds=SECONDS[long],
    )


RULES: Final = tuple(_rule(*each) for each in WINDOWS)

_lengths: Final = dict.fromkeys(window for long, short, *_ in WINDOWS for window in (long, short))
RECORDINGS: Final = tuple(Recording(f"hopline:slo_burn:rate{window}", burn(window)) for window in _lengths)
"""Each burn rate is worked out once, however many rules ask for it."""
LEFT: Final = Recording("hopline:slo_error_budget:ratio3d", f"1 - {burn('3d')}")
"""What is left of the budget of three days: for charts."""
