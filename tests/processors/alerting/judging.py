"""For tests of the judge: rules, a source that says what it is told to say, and a plain oracle over all history."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from processors.alerting.rule import Compare, Rule, Severity, Threshold
from processors.alerting.states import State
from processors.telemetry.promql import Matcher, PromqlError, Recorded
from processors.telemetry.promql.series import NAME

TOPICS: Final = ("a", "b", "c")


def rule(
    name: str = "Lag",
    *,
    signal: str = "lag",
    default: float | None = 10,
    compare: Compare = Compare.ABOVE,
    per_tenant: bool = False,
    description: str = "{{ $labels.topic }}: {{ $value }}",
    for_seconds: int = 0,
    keep_seconds: int = 0,
    cooldown_seconds: int = 0,
) -> Rule:
    """Return a rule with what matters here."""
    return Rule(
        name=name,
        signal=signal,
        threshold=None if default is None else Threshold(default, "s", per_tenant=per_tenant),
        severity=Severity.WARNING,
        summary="Too much.",
        description=description,
        runbook="lag.md",
        compare=compare,
        for_seconds=for_seconds,
        keep_seconds=keep_seconds,
        cooldown_seconds=cooldown_seconds,
    )


@dataclass(slots=True)
class Now:
    """A source: values as they are now, by name and label."""

    at_ms: int = 0
    values: dict[tuple[str, str], float] = field(default_factory=dict)
    label: str = "topic"
    failing: bool = False

    def select(self, name: str, matchers: tuple[Matcher, ...], from_ms: int, to_ms: int) -> list[Recorded]:
        assert not matchers
        assert from_ms <= to_ms
        if self.failing:
            raise PromqlError("no answer")
        return [
            Recorded({NAME: metric, self.label: text}, [self.at_ms], [value])
            for (metric, text), value in self.values.items()
            if metric == name
        ]


@dataclass(slots=True)
class History:
    """All checks of one alert, in order: when, and whether its condition held. Those that failed are not in it."""

    rule: Rule
    checks: list[tuple[int, bool]] = field(default_factory=list)

    def states(self) -> list[State]:
        """Work out the state at each check from the words of Prometheus' documentation, from the beginning."""
        found: list[State] = []
        for index, (at_ms, holds) in enumerate(self.checks):
            before = found[-1] if found else State.CLEARED
            if holds:
                if before is State.FIRING:
                    found.append(State.FIRING)
                    continue
                began = index
                while began and self.checks[began - 1][1] and found[began - 1] is not State.CLEARED:
                    began -= 1
                held_ms = at_ms - self.checks[began][0]
                found.append(State.FIRING if held_ms >= self.rule.for_seconds * 1000 else State.PENDING)
            elif before is State.FIRING:
                ended = index
                while not self.checks[ended - 1][1]:
                    ended -= 1
                over_ms = at_ms - self.checks[ended][0]
                found.append(State.FIRING if over_ms < self.rule.keep_seconds * 1000 else State.CLEARED)
            else:
                found.append(State.CLEARED)
        return found

    def tellings(self) -> list[int]:
        """Return when people are told that it fires: never twice within the cooldown, and never not at all."""
        told: list[int] = []
        heard = False
        for (at_ms, _), state in zip(self.checks, self.states(), strict=True):
            if state is not State.FIRING:
                heard = False
            elif not heard and (not told or at_ms - told[-1] >= self.rule.cooldown_seconds * 1000):
                heard = True
                told.append(at_ms)
        return told


def states_of(histories: Mapping[str, History]) -> dict[str, State]:
    """Return the present states of those that are not cleared."""
    present = {key: history.states()[-1] for key, history in histories.items() if history.checks}
    return {key: state for key, state in present.items() if state is not State.CLEARED}
