"""The judge against an oracle that works each state out from all history; with restarts and failures in between."""

from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from processors.alerting.judge import Judge
from processors.alerting.states import Change, State, alert_id
from processors.alerting.thresholds import Thresholds
from tests.processors.alerting import judging
from tests.processors.alerting.judging import TOPICS, History, Now, states_of
from tests.simulation.mutation import Bug

LOW: Final = 5.0
HIGH: Final = 15.0


class Judging(RuleBasedStateMachine):
    """Values go up and down, time goes on, the judge is restarted, questions fail."""

    @initialize(
        for_seconds=st.sampled_from([0, 10, 25]),
        keep_seconds=st.sampled_from([0, 10, 25]),
        cooldown_seconds=st.sampled_from([0, 30, 100]),
    )
    def begin(self, for_seconds: int, keep_seconds: int, cooldown_seconds: int) -> None:
        self.rule = judging.rule(for_seconds=for_seconds, keep_seconds=keep_seconds, cooldown_seconds=cooldown_seconds)
        self.source = Now(1_000_000)
        self.judge = Judge([self.rule])
        self.thresholds = Thresholds([self.rule])
        self.histories = {topic: History(self.rule) for topic in TOPICS}
        self.changes: list[Change] = []

    @rule(threshold=st.sampled_from([1.0, 10.0, 20.0]))
    def move_threshold(self, threshold: float) -> None:
        assert self.thresholds.set(self.rule.name, "", threshold) is None

    @rule(
        seconds=st.sampled_from([1, 5, 10, 30]),
        values=st.lists(st.sampled_from([LOW, HIGH, None]), min_size=len(TOPICS), max_size=len(TOPICS)),
    )
    def check(self, seconds: int, values: list[float | None]) -> None:
        self.source.at_ms += seconds * 1_000
        now = zip(TOPICS, values, strict=True)
        self.source.values = {("lag", topic): value for topic, value in now if value is not None}
        before = states_of(self.histories)
        limit = self.thresholds.of(self.rule.name)
        for topic, history in self.histories.items():
            value = self.source.values.get(("lag", topic))
            history.checks.append((self.source.at_ms, value is not None and value > limit))
        changes = self.judge.check(self.source, self.thresholds, self.source.at_ms)
        self.changes += changes
        after = states_of(self.histories)
        expected = {
            (topic, before.get(topic, State.CLEARED), after.get(topic, State.CLEARED))
            for topic in TOPICS
            if before.get(topic) != after.get(topic)
        }
        assert {
            (change.alert.labels["topic"], change.before, change.after)
            for change in changes
            if change.before is not change.after
        } == expected
        assert len({change.alert.id for change in changes}) == len(changes)

    @rule(seconds=st.sampled_from([1, 10]))
    def fail(self, seconds: int) -> None:
        self.source.at_ms += seconds * 1_000
        self.source.failing = True
        assert self.judge.check(self.source, self.thresholds, self.source.at_ms) == []
        assert "no answer" in self.judge.failures[self.rule.name]
        self.source.failing = False

    @rule()
    def restart(self) -> None:
        judge = Judge([self.rule])
        judge.unpack(self.judge.pack())
        self.judge = judge

    @invariant()
    def states_are_those_of_the_oracle(self) -> None:
        if not hasattr(self, "judge"):
            return
        found = {alert.labels["topic"]: alert.state for alert in self.judge.active()}
        assert found == states_of(self.histories)
        assert all(alert.id == alert_id(self.rule.name, alert.labels) for alert in self.judge.active())

    @invariant()
    def tellings_are_those_of_the_oracle(self) -> None:
        if not hasattr(self, "judge"):
            return
        for topic, history in self.histories.items():
            told = [
                change.at_ms
                for change in self.changes
                if change.told and change.after is State.FIRING and change.alert.labels["topic"] == topic
            ]
            assert told == history.tellings()
            ends = [change for change in self.changes if change.told and change.after is State.CLEARED]
            assert all(change.before is State.FIRING for change in ends)


LIMITS: Final = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestJudging: Any = Judging.TestCase
TestJudging.settings = LIMITS

BUGS: Final = (
    Bug(
        "pending not reset",
        "What does not hold at one check begins anew.",
        "processors.alerting.judge:Judge._over",
        {"if standing.firing and rule.keep_seconds:": "if rule.keep_seconds or not standing.firing:"},
    ),
    Bug(
        "kept for ever",
        "A condition that is over for long enough clears the alert.",
        "processors.alerting.judge:Judge._over",
        {"if standing.over_ms is None:": "if True:"},
    ),
    Bug(
        "over is not forgotten",
        "What holds again is not over any more.",
        "processors.alerting.judge:Judge._judge",
        {"standing.over_ms = None": "pass"},
    ),
    Bug(
        "told again",
        "The same is not told again within its cooldown.",
        "processors.alerting.judge:_forget",
        {"if _may_tell(rule, known, key, now_ms)]": "]"},
    ),
    Bug(
        "never told",
        "What was raised within its cooldown and fires still is told when that is over.",
        "processors.alerting.judge:_tell_late",
        {"if standing.told or not": "if not standing.told or not"},
    ),
    Bug(
        "forgotten by a restart",
        "A restart goes on with what was.",
        "processors.alerting.judge:Judge.unpack",
        {"self._known = state.rules": "pass"},
    ),
    Bug(
        "a failure clears",
        "A question that cannot be answered changes nothing.",
        "processors.alerting.judge:Judge.check",
        {
            "except PromqlError as error:\n": (
                "except PromqlError as error:\n            changes += self._judge(rule, description, [], now_ms)\n"
            )
        },
    ),
)


QUICK: Final = settings(LIMITS, max_examples=300, database=None, derandomize=True, phases=[Phase.generate])
"""That it is found is enough: the smallest example is for who looks for a bug that nobody planted."""


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_is_found(bug: Bug) -> None:
    with bug.planted(), pytest.raises(AssertionError):
        run_state_machine_as_test(Judging, settings=QUICK)
