"""Token buckets: never more than the burst and the rate's share in any window, whoever asks and however often."""

import asyncio
import threading
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from processors.admission import Channel, Limit, Limiter, Table, Tier
from processors.admission.limiter import BACKOFF_MS, Decision
from processors.admission.table import BURST_MAX, DEFAULTS, RATE_MAX, RATE_MIN, key_of, packed

SECOND = 1_000_000_000
RATES = st.floats(min_value=RATE_MIN, max_value=RATE_MAX) | st.sampled_from([0.5, 1.0, 3.0, 7.0, 1_000.0, RATE_MAX])
BURSTS = st.integers(1, 50) | st.just(BURST_MAX)


def limiter_of(rate: float, burst: int, channel: Channel = Channel.SIGNALS) -> Limiter:
    return Limiter(Table({(channel, Tier.NORMAL): Limit(rate, burst)}))


def take(limiter: Limiter, count: int, now_ns: int, caller: str = "a", channel: Channel = Channel.SIGNALS) -> Decision:
    return limiter.take(caller, channel, Tier.NORMAL, count, now_ns)


@given(RATES, st.integers(1, 20), st.lists(st.tuples(st.integers(0, 2 * SECOND), st.integers(1, 40)), max_size=60))
def test_no_window_has_more_than_the_burst_and_the_rates_share(
    rate: float, burst: int, asked: list[tuple[int, int]]
) -> None:
    limiter, now, admitted = limiter_of(rate, burst), 0, list[tuple[int, int]]()
    for gap, count in asked:
        now += gap
        if take(limiter, count, now).allowed:
            admitted.append((now, count))
    for first in range(len(admitted)):
        total = 0
        for at, count in admitted[first:]:
            total += count
            # A batch above the burst passes when the bucket is full, and is paid for afterwards.
            most = max(burst, count) + Fraction(rate) * (at - admitted[first][0]) / SECOND
            assert total <= most


@given(RATES, st.integers(1, 20), st.integers(1, 100))
def test_who_waits_as_told_is_let_in(rate: float, burst: int, count: int) -> None:
    limiter = limiter_of(rate, burst)
    assert take(limiter, burst, 0).allowed
    refused = take(limiter, count, 0)
    assert not refused.allowed
    again = take(limiter, count, refused.retry_after_ms * 1_000_000)
    assert again.allowed or refused.retry_after_ms == 24 * 3_600_000


def test_a_batch_above_the_burst_passes_when_the_bucket_is_full_and_is_paid_for() -> None:
    limiter = limiter_of(10, 5)
    assert take(limiter, 100, 0).allowed
    assert not take(limiter, 1, 9 * SECOND).allowed
    assert take(limiter, 1, 10 * SECOND).allowed, "100 events at 10 a second take 10 seconds"


def test_of_no_events_it_says_whether_one_could_pass_and_takes_nothing() -> None:
    limiter = limiter_of(1, 1)
    assert take(limiter, 0, 0).allowed
    assert take(limiter, 1, 0).allowed
    assert not take(limiter, 0, 0).allowed


def test_callers_and_channels_do_not_touch_each_other() -> None:
    limiter = limiter_of(1, 1)
    limiter.table.own[Channel.READS, Tier.NORMAL] = Limit(1, 1)
    assert take(limiter, 1, 0).allowed
    assert take(limiter, 1, 0, caller="b").allowed
    assert take(limiter, 1, 0, channel=Channel.READS).allowed
    assert not take(limiter, 1, 0).allowed


def test_repeated_refusals_are_told_to_wait_longer_until_the_bucket_was_full() -> None:
    limiter, now, told = limiter_of(1, 4), 0, list[int]()
    assert take(limiter, 4, now).allowed
    for _ in range(7):
        told.append(take(limiter, 1, now).retry_after_ms)
        # Side by side they count once.
        assert take(limiter, 1, now).retry_after_ms == told[-1]
        now += SECOND
        assert take(limiter, 1, now).allowed
    assert told == [*BACKOFF_MS, BACKOFF_MS[-1], BACKOFF_MS[-1]]
    now += 10 * SECOND
    assert take(limiter, 4, now).allowed
    assert take(limiter, 1, now).retry_after_ms == BACKOFF_MS[0]


def test_less_than_a_fifth_is_warned_of() -> None:
    limiter = limiter_of(1, 10)
    assert not take(limiter, 8, 0).low
    assert take(limiter, 1, 0).low


def test_a_changed_limit_keeps_what_was_used() -> None:
    limiter = limiter_of(1, 10)
    assert take(limiter, 10, 0).allowed
    limiter.table.set(key_of(Channel.SIGNALS, Tier.NORMAL), packed(Limit(100, 10)))
    assert not take(limiter, 1, 0).allowed
    assert take(limiter, 1, SECOND // 100).allowed
    limiter.table.set(key_of(Channel.SIGNALS, Tier.NORMAL), packed(Limit(100, 1_000)))
    assert take(limiter, 990, SECOND // 100).allowed


def test_unlimited_is_unlimited_whatever_is_set() -> None:
    table = Table()
    assert table.set(key_of(Channel.SIGNALS, Tier.UNLIMITED), packed(Limit(1, 1)))
    limiter = Limiter(table)
    assert all(limiter.take("a", Channel.SIGNALS, Tier.UNLIMITED, 10**6, 0).allowed for _ in range(10))
    assert len(limiter) == 0


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b'{"rate_per_second":0,"burst":1}', b'{"rate_per_second":1}'])
def test_what_cannot_be_read_changes_nothing(value: bytes) -> None:
    table = Table()
    assert table.set(key_of(Channel.SIGNALS, Tier.LIGHT), value)
    assert table.set("limits/nonsense/light", packed(Limit(1, 1)))
    assert table.of(Channel.SIGNALS, Tier.LIGHT) == DEFAULTS[Channel.SIGNALS, Tier.LIGHT]


def test_full_buckets_are_forgotten_and_the_number_is_bounded() -> None:
    limiter = limiter_of(1, 1)
    limiter.buckets_max = 100
    for number in range(10_000):
        take(limiter, 1, number * SECOND // 10, caller=str(number))
    assert len(limiter) <= 100
    crowded = limiter_of(0.001, 1)
    crowded.buckets_max = 100
    found = [take(crowded, 1, 0, caller=str(number)).allowed for number in range(150)]
    assert found == [True] * 100 + [False] * 50, "no room is a refusal"
    assert take(crowded, 1, 1_001 * SECOND, caller="149").allowed


async def test_it_is_exact_with_tasks_and_threads_side_by_side() -> None:
    # In a gateway one event loop takes from it; under threads Python's lock around each call must do.
    limiter, lock, passed = limiter_of(0.001, 1_000), threading.Lock(), list[int]()

    async def tasks() -> None:
        async def one() -> None:
            for _ in range(50):
                await asyncio.sleep(0)
                with lock:
                    passed.append(take(limiter, 3, 0).allowed)

        await asyncio.gather(*(one() for _ in range(10)))

    async with asyncio.timeout(60):
        await asyncio.gather(*(asyncio.to_thread(asyncio.run, tasks()) for _ in range(4)))
    assert sum(passed) == 333


class Buckets(RuleBasedStateMachine):
    """The limiter beside tokens counted in fractions."""

    callers = Bundle("callers")

    @initialize(rate=st.sampled_from([1.0, 4.0, 50.0]), burst=st.integers(1, 12))
    def begin(self, rate: float, burst: int) -> None:
        self.limiter = Limiter(Table({(channel, Tier.NORMAL): Limit(rate, burst) for channel in Channel}))
        self.limit = Limit(rate, burst)
        self.now = 0
        self.tokens: dict[tuple[str, Channel], Fraction] = {}

    @rule(by=st.integers(0, 4 * SECOND).map(lambda ns: ns // 20_000_000 * 20_000_000))
    def time_passes(self, by: int) -> None:
        self.now += by
        for key, left in self.tokens.items():
            grown = left + Fraction(self.limit.rate_per_second) * by / SECOND
            self.tokens[key] = min(Fraction(self.limit.burst), grown)

    @rule(caller=st.sampled_from("abcde"), channel=st.sampled_from(Channel), count=st.integers(0, 20))
    def somebody_asks(self, caller: str, channel: Channel, count: int) -> None:
        left = self.tokens.get((caller, channel), Fraction(self.limit.burst))
        allowed = left == self.limit.burst or left >= max(count, 1)
        decision = self.limiter.take(caller, channel, Tier.NORMAL, count, self.now)
        assert decision.allowed == allowed
        if allowed:
            self.tokens[caller, channel] = left - count
        assert decision.remaining == max(0, int(self.tokens.get((caller, channel), left) // 1))
        assert (decision.retry_after_ms > 0) == (not allowed)

    @invariant()
    def what_is_kept_is_what_is_not_full(self) -> None:
        if hasattr(self, "limiter"):
            shown = {(caller, channel) for caller, channel, _, _ in self.limiter.used(self.now)}
            assert shown == {key for key, left in self.tokens.items() if left < self.limit.burst}


TestBuckets: Any = Buckets.TestCase
TestBuckets.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


def test_backoff_grows() -> None:
    assert all(first < second for first, second in pairwise(BACKOFF_MS))
