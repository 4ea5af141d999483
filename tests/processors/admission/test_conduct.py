"""Pauses after invalid requests: ten in a minute, then 30, 60, 300 seconds; forgiven after ten good minutes."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from processors.admission import Conduct
from processors.admission.conduct import COOL_OFF_MS, FORGIVEN_MS, VIOLATIONS_MAX, WINDOW_MS


def offend(conduct: Conduct, now_ms: int, times: int = VIOLATIONS_MAX, caller: str = "a") -> int:
    return max(conduct.violated(caller, now_ms) for _ in range(times))


def test_the_tenth_in_a_minute_brings_a_pause_and_the_ninth_does_not() -> None:
    conduct = Conduct()
    assert offend(conduct, 0, VIOLATIONS_MAX - 1) == 0
    assert conduct.pause_ms("a", 0) == 0
    assert offend(conduct, WINDOW_MS - 1, 1) == COOL_OFF_MS[0]
    assert conduct.pause_ms("a", WINDOW_MS - 1) == COOL_OFF_MS[0]
    assert conduct.pause_ms("b", WINDOW_MS - 1) == 0
    assert conduct.pause_ms("a", WINDOW_MS - 1 + COOL_OFF_MS[0]) == 0


def test_ten_in_more_than_a_minute_do_not() -> None:
    conduct = Conduct()
    assert not any(conduct.violated("a", number * WINDOW_MS // 9) for number in range(30))


def test_pauses_grow_and_are_forgiven() -> None:
    conduct, now, found = Conduct(), 0, list[int]()
    for _ in range(4):
        found.append(offend(conduct, now))
        now += found[-1]
    assert found == [*COOL_OFF_MS, COOL_OFF_MS[-1]]
    assert offend(conduct, now + FORGIVEN_MS) == COOL_OFF_MS[0]


def test_what_is_remembered_is_bounded_and_who_must_wait_is_not_forgotten_first() -> None:
    conduct = Conduct(callers_max=50)
    offend(conduct, 0, caller="bad")
    for number in range(5_000):
        conduct.violated(str(number), 1)
    assert len(conduct) <= 50
    assert conduct.pause_ms("bad", 1) > 0
    conduct.violated("later", 10 * FORGIVEN_MS)
    assert len(conduct) <= 50


class Behaviour(RuleBasedStateMachine):
    """The record beside a plain list of everything that happened."""

    def __init__(self) -> None:
        super().__init__()
        self.conduct = Conduct()
        self.now = 0
        self.times: dict[str, list[int]] = {}
        self.pauses: dict[str, int] = {}
        self.until: dict[str, int] = {}

    @rule(by=st.sampled_from([0, 1, 5_000, 29_999, 30_000, WINDOW_MS, COOL_OFF_MS[2], FORGIVEN_MS]))
    def time_passes(self, by: int) -> None:
        self.now += by

    @rule(caller=st.sampled_from("ab"), times=st.integers(1, 11))
    def somebody_errs(self, caller: str, times: int) -> None:
        for _ in range(times):
            self._err(caller)

    def _err(self, caller: str) -> None:
        expected = 0
        if self.until.get(caller, 0) <= self.now:
            if self.now >= self.until.get(caller, 0) + FORGIVEN_MS:
                self.pauses[caller] = 0
            recent = [at for at in self.times.get(caller, []) if self.now - at < WINDOW_MS]
            self.times[caller] = recent = [*recent, self.now]
            if len(recent) >= VIOLATIONS_MAX:
                expected = COOL_OFF_MS[min(self.pauses.get(caller, 0), 2)]
                self.pauses[caller] = self.pauses.get(caller, 0) + 1
                self.until[caller] = self.now + expected
                self.times[caller] = []
        assert self.conduct.violated(caller, self.now) == expected

    @invariant()
    def pauses_agree(self) -> None:
        for caller in "ab":
            assert self.conduct.pause_ms(caller, self.now) == max(0, self.until.get(caller, 0) - self.now)
        assert self.conduct.cooling(self.now) == sum(until > self.now for until in self.until.values())


TestBehaviour: Any = Behaviour.TestCase
TestBehaviour.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
