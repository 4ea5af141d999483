"""Judging in charge: written before told, told once, and what a dead predecessor left untold is told by the next."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import settings as how
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from typing_extensions import override

from processors.alerting.rule import Rule
from processors.alerting.thresholds import Thresholds
from processors.telemetry import catalogue
from processors.telemetry.series import SeriesStore
from streams.metrics import Metrics
from streams.watch.alertlog import Back, LogError
from streams.watch.charge import Charge
from streams.watch.duty import FAILURES_SAID_MAX, FAILURES_SECONDS, Duty, Failures, Ground
from streams.watch.telling import Telling
from streams.watch.words import Became, State, ToldChange
from tests.streams.watch.made import NOW_MS, sample
from tests.streams.watch.place import LAG

SECONDS = 20.0


class PlayedTopic:
    """The topic: what is written is there, whole; a write may fail before or after it happened."""

    def __init__(self) -> None:
        self.changes: list[ToldChange] = []
        self.became: list[Became] = []
        self.state: State | None = None
        self.fails = ""
        self.writes = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator["PlayedLog"]:
        yield PlayedLog(self)


class PlayedLog:
    """One producer's hold on it."""

    def __init__(self, topic: PlayedTopic) -> None:
        self.topic = topic
        self.broken = False

    async def write(self, records: Sequence[ToldChange | Became], state: State) -> None:
        topic, fails = self.topic, self.topic.fails
        if self.broken:
            raise LogError("broken")
        topic.writes += 1
        if fails == "before":
            self.broken = True
            raise LogError("before")
        topic.changes += [one for one in records if isinstance(one, ToldChange)]
        topic.became += [one for one in records if isinstance(one, Became)]
        topic.state = state
        if fails == "after":
            self.broken = True
            raise LogError("after")

    async def read_back(self) -> Back:
        state = self.topic.state
        told = state.told if state else 0
        return Back(state, tuple(one for one in self.topic.changes if one.number > told) if state else ())


class PlayedCharge:
    def __init__(self) -> None:
        self.held = True

    async def wait(self) -> None:
        return


class Noting:
    def __init__(self, topic: PlayedTopic) -> None:
        self.topic = topic
        self.heard: list[ToldChange] = []

    def told(self, change: ToldChange) -> None:
        assert change in self.topic.changes, "told before it was written"
        self.heard.append(change)


class World:
    """A judge over a store, step by step, without a clock of its own."""

    def __init__(self, *rules: Rule) -> None:
        self.rules = rules or (LAG,)
        self.topic = PlayedTopic()
        self.noting = Noting(self.topic)
        self.store = SeriesStore()
        self.now_ms = NOW_MS
        self.lag = 0.0
        self.away = False
        self.loop = asyncio.new_event_loop()
        self.thread = ThreadPoolExecutor(1)
        self.begin()

    def begin(self) -> None:
        """A new process: it knows nothing."""
        ground = Ground(self.rules, self._source, lambda: Thresholds(self.rules), 0.0, lambda: self.now_ms)
        self.charge = PlayedCharge()
        make: Callable[[Any], Any] = lambda _: Telling((self.noting,))  # noqa: E731 - one expression, named for mypy
        self.duty = Duty(
            ground, cast("Charge", self.charge), make, Metrics(), cast("Any", self.topic.open), self.thread
        )

    def _source(self) -> Any:
        if self.turns == 0:
            # This many checks were wanted; now another one is in charge.
            self.charge.held = False
            return None
        self.turns -= 1
        self.now_ms += 1_000
        self.store.take(sample(self.now_ms, [(catalogue.LAG_SECONDS.name, {"topic": "t"}, self.lag)]))
        return None if self.away else lambda _: self.store

    def serve(self, turns: int) -> None:
        """Be in charge for some checks; whatever happens, the process is gone after that."""
        self.turns = turns

        async def once() -> None:
            async with asyncio.timeout(SECONDS):
                async with self.topic.open() as log:
                    await self.duty._serve(cast("Any", log))

        try:
            self.loop.run_until_complete(once())
        except LogError:
            pass
        finally:
            self.begin()

    def close(self) -> None:
        self.thread.shutdown()
        self.loop.close()


def test_a_change_is_told_once_though_watches_come_and_go() -> None:
    world = World()
    world.lag = 40
    for _ in range(3):
        world.serve(2)
    world.lag = 1
    for _ in range(3):
        world.serve(1)
    assert [(one.number, one.to) for one in world.noting.heard] == [(1, "firing"), (2, "cleared")]
    assert world.topic.changes == world.noting.heard
    world.close()


@pytest.mark.parametrize("fails, written", [("before", 0), ("after", 1)])
def test_a_write_that_fails_tells_nothing_and_the_next_watch_tells_it(fails: str, written: int) -> None:
    world = World()
    world.lag, world.topic.fails = 40, fails
    world.serve(1)
    assert (len(world.noting.heard), len(world.topic.changes)) == (0, written)
    world.topic.fails = ""
    world.serve(2)
    assert [one.to for one in world.noting.heard] == ["firing"]
    assert [one.number for one in world.topic.changes] == [1]
    world.close()


def test_a_teller_that_raises_ends_nothing() -> None:
    world = World()

    class Failing(Telling):
        @override
        def told(self, change: ToldChange) -> None:
            raise ZeroDivisionError(change.alert)

    world.duty._make_teller = lambda _: Failing()
    world.lag = 40
    world.serve(3)
    assert world.topic.state is not None
    assert world.topic.state.told == 1
    world.close()


def test_what_became_of_telling_is_written_down_and_what_tellers_keep_comes_back() -> None:
    world = World()
    kept: list[bytes] = []

    class Keeping(Telling):
        def __init__(self, became: Callable[[Became], None]) -> None:
            super().__init__()
            self.became = became

        @override
        def told(self, change: ToldChange) -> None:
            self.became(
                Became(
                    at_ms=1,
                    channel="c",
                    notice="n",
                    result="told",
                    alerts=(change.id,),
                    attempt=1,
                    seconds=0.1,
                    words="",
                )
            )

        @override
        def pack(self) -> bytes:
            return b"kept"

        @override
        def unpack(self, packed: bytes) -> None:
            kept.append(packed)

    for _ in range(2):
        world.duty._make_teller = Keeping
        world.lag = 40
        world.serve(2)
    assert kept == [b"kept"]
    assert [one.alerts for one in world.topic.became] == [(world.topic.changes[0].id,)]
    world.close()


def test_one_that_is_stopped_while_it_writes_ends_that_and_tells_it_once() -> None:
    world = World()
    world.lag = 40
    under_way = asyncio.Event()

    class Slow(PlayedLog):
        @override
        async def write(self, records: Sequence[ToldChange | Became], state: State) -> None:
            under_way.set()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await super().write(records, state)

    async def stopped() -> None:
        async with asyncio.timeout(SECONDS):
            world.turns = 1
            task = asyncio.ensure_future(world.duty._serve(cast("Any", Slow(world.topic))))
            await under_way.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    world.loop.run_until_complete(stopped())
    assert [one.to for one in world.noting.heard] == ["firing"]
    world.begin()
    world.serve(2)
    assert [one.number for one in world.noting.heard] == [1]
    world.close()


def test_what_was_raised_is_shown_before_the_first_check() -> None:
    world = World()
    world.lag = 40
    world.serve(1)
    shown = world.duty
    world.begin = lambda: None  # type: ignore[method-assign]  # the process is looked at before it is gone
    world.serve(0)
    assert world.duty is shown
    assert [alert.alert for alert in shown.active] == [LAG.name]
    world.close()


def test_nothing_is_written_while_nothing_happens() -> None:
    world = World()
    world.serve(30)
    # Once at the beginning, and once when it leaves.
    assert world.topic.writes == 2
    world.close()


def test_a_rule_that_cannot_be_judged_is_named_with_the_reason_and_the_others_are_judged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(LAG, replace(LAG, name="Mistyped", signal="sum("))
    world.lag = 40
    world.serve(3)
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("rules that could not be judged: Mistyped: ")
    assert len(said) > len("rules that could not be judged: Mistyped: ")
    assert [one.to for one in world.noting.heard] == ["firing"]
    world.close()


def test_each_rule_that_cannot_be_judged_is_named_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    failures = Failures()
    for now, found in (
        (0.0, {"a": "x"}),
        (1.0, {"a": "x", "b": "y"}),
        (2.0, {}),
        (FAILURES_SECONDS, {"a": "z", "b": "y"}),
    ):
        failures.say(found, now)
    assert [record.getMessage().partition("judged: ")[2] for record in caplog.records] == ["a: x", "b: y", "a: z"]
    caplog.clear()
    many = {f"r{number}": "many" for number in range(FAILURES_SAID_MAX + 5)}
    for now in (200.0, 202.0, 204.0):
        failures.say(many, now)
    assert [record.getMessage().count("many") for record in caplog.records] == [FAILURES_SAID_MAX, 5]


class Watches(RuleBasedStateMachine):
    """Whatever fails and whoever comes and goes: each change is written once, and told, in order."""

    @initialize()
    def begin(self) -> None:
        self.world = World()
        self.failures = 0

    @rule(turns=st.integers(0, 3), lag=st.sampled_from([1.0, 40.0]), fails=st.sampled_from(["", "", "before", "after"]))
    def serve(self, turns: int, lag: float, fails: str) -> None:
        self.world.lag, self.world.topic.fails = lag, fails
        self.failures += bool(fails)
        self.world.serve(turns)

    @rule(turns=st.integers(1, 3))
    def be_blind(self, turns: int) -> None:
        self.world.away, self.world.lag = True, 99.0
        before = len(self.world.topic.changes)
        self.world.topic.fails = ""
        self.world.serve(turns)
        self.world.away, self.world.lag = False, 1.0
        assert len(self.world.topic.changes) == before

    @precondition(lambda self: self.world.topic.state is not None)
    @invariant()
    def is_right(self) -> None:
        topic = self.world.topic
        assert [one.number for one in topic.changes] == list(range(1, len(topic.changes) + 1))
        states = [one.to for one in topic.changes]
        assert states == ["firing" if number % 2 == 0 else "cleared" for number in range(len(states))]
        told = [one.number for one in self.world.noting.heard]
        assert list(dict.fromkeys(told)) == sorted(set(told)), "told out of order"
        # Who could not write down that it told is followed by one that does not know; nobody else tells again.
        assert len(told) - len(set(told)) <= self.failures
        assert topic.state is not None
        assert topic.state.written == len(topic.changes)

    @override
    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.world.topic.fails = ""
        self.world.serve(2)
        told = {one.number for one in self.world.noting.heard}
        assert told == {one.number for one in self.world.topic.changes}
        self.world.close()


TestWatches = Watches.TestCase
TestWatches.settings = how(max_examples=60, stateful_step_count=12, deadline=None)
