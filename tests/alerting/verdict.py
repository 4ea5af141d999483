"""What a run has shown, and whether it is good enough."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from alerts.catalogue import ALL, BY_NAME
from alerts.series.catalogue import UNCEASING
from processors.alerting.rule import Rule
from tests.alerting.receiver import BUILT_IN, PROMETHEUS

LIVE_WINDOW_SECONDS_MAX: Final = 120
LIVE_FOR_SECONDS_MAX: Final = 120
ALERT_SECONDS_MAX: Final = 10.0
FAILURE_RATE_SECONDS_MAX: Final = 60.0
THRESHOLD_SECONDS_MAX: Final = 5.0


def is_live(rule: Rule) -> bool:
    """Tell whether a rule can be raised within minutes; the others are raised by series."""
    return rule.window_seconds <= LIVE_WINDOW_SECONDS_MAX and rule.for_seconds <= LIVE_FOR_SECONDS_MAX


def live_rules(rules: Iterable[Rule] = ALL) -> list[str]:
    """Return the rules that a whole run raises."""
    return [rule.name for rule in rules if is_live(rule)]


@dataclass(frozen=True, slots=True)
class Told:
    """How an alert came to the channel of one engine."""

    alert: str
    engine: str
    alert_seconds: float
    """Since its condition held for as long as the rule says."""
    fault_seconds: float
    """Since the fault began."""
    cleared_seconds: float | None = None
    """Since the fault ended; None if the end was not told."""


@dataclass(slots=True)
class Verdict:
    """All of it."""

    told: list[Told] = field(default_factory=list)
    wanted: set[tuple[str, str]] = field(default_factory=set)
    """Alerts and engines that faults of this run must raise."""
    shown: set[str] = field(default_factory=set)
    """Alerts that were raised by gauges, not by a fault of their own."""
    threshold_seconds: dict[str, float] = field(default_factory=dict)
    failure_rate_seconds: dict[str, float] = field(default_factory=dict)
    """By engine, at the defaults."""
    raised_before: list[str] = field(default_factory=list)
    """What was raised before there was a fault: on a busy machine telemetry is dropped."""
    disagreed_live: list[str] = field(default_factory=list)
    disagreed_series: list[str] = field(default_factory=list)
    moments: int = 0
    series_never_fired: list[str] = field(default_factory=list)
    quick: bool = False
    failure: str = ""

    @property
    def never_fired(self) -> list[str]:
        """Rules that were to be raised live and were not, and those that no series raises."""
        heard = {(one.alert, one.engine) for one in self.told}
        missing = {f"{alert} ({engine})" for alert, engine in self.wanted - heard}
        if not self.quick:
            faulted = {alert for alert, _ in self.wanted} | UNCEASING
            missing |= {f"{name} (no fault)" for name in live_rules() if name not in faulted}
        return sorted(missing | {f"{name} (series)" for name in self.series_never_fired})

    @property
    def not_cleared(self) -> list[str]:
        """Those whose end nobody was told of."""
        return sorted(f"{one.alert} ({one.engine})" for one in self.told if one.cleared_seconds is None)

    def figures(self) -> dict[str, Any]:
        """Return what is printed."""
        live = {one.alert for one in self.told}
        return {
            "alert_seconds_max": _most(one.alert_seconds for one in self.told),
            "alert_seconds": _by_alert(self.told),
            "failure_rate_seconds": _rounded(self.failure_rate_seconds),
            "threshold_seconds_max": _most(self.threshold_seconds.values()),
            "threshold_seconds": _rounded(self.threshold_seconds),
            "rules": len(ALL),
            "rules_fired_live": len(live),
            "rules_fired_live_by_gauges": len(live & self.shown),
            "rules_fired_by_series": len(ALL) - len(self.series_never_fired),
            "rules_never_fired": len(self.never_fired),
            "never_fired": self.never_fired,
            "not_cleared": self.not_cleared,
            "engines_disagree": len(self.disagreed_live) + len(self.disagreed_series),
            "disagreed": [*self.disagreed_live, *self.disagreed_series],
            "moments_compared": self.moments,
            "raised_before": self.raised_before,
            "failure": self.failure,
            "ok": self.ok,
        }

    @property
    def ok(self) -> bool:
        """Whether every bound holds."""
        return not (
            self.failure
            or self.never_fired
            or self.not_cleared
            or self.disagreed_live
            or self.disagreed_series
            or _most(one.alert_seconds for one in self.told) > ALERT_SECONDS_MAX
            or _most(self.threshold_seconds.values()) > THRESHOLD_SECONDS_MAX
            or _most(self.failure_rate_seconds.values()) > FAILURE_RATE_SECONDS_MAX
            or not self.told
            or (not self.quick and set(self.failure_rate_seconds) != {PROMETHEUS, BUILT_IN})
        )


def waits(alert: str) -> float:
    """Return how long an alert's condition must hold."""
    return BY_NAME[alert].for_seconds


def _most(values: Iterable[float]) -> float:
    return round(max(values, default=0.0), 2)


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 2) for name, value in values.items()}


def _by_alert(told: Iterable[Told]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for one in told:
        found.setdefault(one.alert, {})[one.engine] = round(one.alert_seconds, 2)
    return found
