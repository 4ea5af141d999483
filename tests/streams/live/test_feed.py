"""Who listens gets all that is meant for it in order, nothing else, and is told exactly how much it missed."""

import json
from collections import deque
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from typing_extensions import override

from processors.vocabulary.pattern import Pattern, parse_pattern
from streams.live import feed as feeds
from streams.live.feed import Feed, FullError, Listener, Wanted

TENANTS = ("ann", "bob", "")
TYPES = ("a", "a.b", "a.b.c", "x", "")
PATTERNS = ("**", "a.*", "a.**", "{a,x}")
TOPICS = ("signals", "dead-letters")


def listener(tenant: str = "", pattern: str = "**", topics: tuple[str, ...] = TOPICS, caller: str = "me") -> Listener:
    parsed = parse_pattern(pattern)
    assert isinstance(parsed, Pattern)
    return Listener(Wanted(caller, tenant, parsed, frozenset(topics)), lambda: None)


def numbers(one: Listener) -> list[int]:
    return [json.loads(text)["n"] for kind, text in one.take() if kind != "missed"]


@given(
    tenant=st.sampled_from(TENANTS),
    pattern=st.sampled_from(PATTERNS),
    topics=st.sampled_from([TOPICS, TOPICS[:1]]),
    records=st.lists(st.tuples(st.sampled_from(TOPICS), st.sampled_from(TENANTS), st.sampled_from(TYPES)), max_size=30),
)
def test_it_hears_what_it_asked_for_and_nothing_else(
    tenant: str, pattern: str, topics: tuple[str, ...], records: list[tuple[str, str, str]]
) -> None:
    feed, one = Feed(), listener(tenant, pattern, topics)
    feed.join(one)
    for number, (topic, whose, type_) in enumerate(records):
        feed.give(topic, whose, type_, lambda number=number: {"n": number})  # type: ignore[misc]
    parsed = parse_pattern(pattern)
    assert isinstance(parsed, Pattern)
    expected = [
        number
        for number, (topic, whose, type_) in enumerate(records)
        if topic in topics and tenant in {"", whose} and parsed.explain(type_) is not None
    ]
    assert numbers(one) == expected


def test_a_record_nobody_wants_is_not_put_into_words() -> None:
    feed, shown = Feed(), list[int]()
    feed.join(listener("ann"))
    everybody = listener()
    feed.join(everybody)

    def show() -> Mapping[str, Any]:
        shown.append(1)
        return {}

    feed.give("signals", "ann", "a", show)
    assert shown == [1], "once for both"
    feed.leave(everybody)
    feed.give("signals", "bob", "a", show)
    assert shown == [1], "nobody listens to bob"


def test_it_is_bounded_by_bytes_and_one_large_record_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "QUEUE_BYTES_MAX", 100)
    feed, one = Feed(), listener()
    feed.join(one)
    for size in (40, 40, 500):
        feed.give("signals", "ann", "a", lambda size=size: {"n": size, "x": "y" * size})  # type: ignore[misc]
    kind, text = next(one.take())
    assert (kind, json.loads(text)) == ("missed", {"missed": 2, "skipped": 0})
    assert numbers(one) == [500]
    assert one.waiting_bytes == 0


def test_a_caller_cannot_take_all_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "LISTENERS_MAX", 3)
    monkeypatch.setattr(feeds, "LISTENERS_OF_CALLER_MAX", 2)
    feed = Feed()
    mine = [listener(caller="me") for _ in range(3)]
    feed.join(mine[0])
    feed.join(mine[1])
    with pytest.raises(FullError, match="me listens 2 times"):
        feed.join(mine[2])
    feed.join(listener(caller="you"))
    with pytest.raises(FullError, match="3 listen already"):
        feed.join(listener(caller="they"))
    feed.leave(mine[0])
    feed.leave(mine[0])
    feed.join(listener(caller="they"))
    assert len(feed) == 3


class Listening(RuleBasedStateMachine):
    """Several listeners with small queues, beside plain lists of what each should hear."""

    QUEUE = 3

    def __init__(self) -> None:
        super().__init__()
        self.feed = Feed()
        self.given = 0
        self.models: dict[Listener, tuple[deque[int], list[int]]] = {}
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr(feeds, "QUEUE_EVENTS_MAX", self.QUEUE)

    @override
    def teardown(self) -> None:
        self._patch.undo()

    @precondition(lambda self: len(self.models) < feeds.LISTENERS_OF_CALLER_MAX)
    @rule(tenant=st.sampled_from(TENANTS))
    def join(self, tenant: str) -> None:
        one = listener(tenant)
        self.feed.join(one)
        self.models[one] = (deque(), [0, 0])

    @precondition(lambda self: self.models)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(list(self.models)))
        self.feed.leave(one)
        del self.models[one]

    @rule(tenant=st.sampled_from(TENANTS), type_=st.sampled_from(TYPES))
    def give(self, tenant: str, type_: str) -> None:
        number = self.given
        self.given += 1
        self.feed.give("signals", tenant, type_, lambda: {"n": number})
        for one, (expected, lost) in self.models.items():
            if one.wanted.tenant in {"", tenant}:
                expected.append(number)
                if len(expected) > self.QUEUE:
                    expected.popleft()
                    lost[0] += 1

    @rule(count=st.integers(1, 5))
    def skip(self, count: int) -> None:
        self.feed.skip(count)
        for _, lost in self.models.values():
            lost[1] += count

    @precondition(lambda self: self.models)
    @rule(data=st.data())
    def take(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(list(self.models)))
        expected, lost = self.models[one]
        told = [(kind, json.loads(text)) for kind, text in one.take()]
        wanted: list[tuple[str, Any]] = [("missed", {"missed": lost[0], "skipped": lost[1]})] if any(lost) else []
        assert told == wanted + [("signals", {"n": number}) for number in expected]
        self.models[one] = (deque(), [0, 0])

    @invariant()
    def bounded(self) -> None:
        assert all(len(one.waiting) <= self.QUEUE for one in self.models)
        assert len(self.feed) == len(self.models)


TestListening = Listening.TestCase
TestListening.settings = settings(max_examples=60, stateful_step_count=30)
