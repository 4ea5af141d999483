"""The range of a replay covers all that is there and fits; where something that fits may be gone, it says so."""

import asyncio
from dataclasses import dataclass

import pytest
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from processors.vocabulary import topics
from processors.vocabulary.partition import lane_of
from processors.vocabulary.record import PlainRecord
from streams.replay import scan
from streams.replay.scan import REST, TooManyTenantsError, cover, estimate
from streams.replay.selection import OPEN, Selection
from tests.processors.vocabulary.records import event
from tests.streams.replay.played import PlayedConsumer

LANE = lane_of(b"acme", 1)
AT = TopicPartition(topics.SIGNALS, 0)


@dataclass(frozen=True, slots=True)
class Case:
    """One lane's log, how much of it retention has taken, and what somebody wants of it."""

    log: tuple[PlainRecord, ...]
    least: int
    end: int
    selection: Selection

    @property
    def wanted(self) -> list[PlainRecord]:
        """What the selection names, whether it is still there or not."""
        selection = self.selection
        first, behind = selection.offsets.get(0, (0, OPEN))
        return [
            each
            for each in self.log
            if each.timestamp >= selection.since_ms
            and (not selection.until_ms or each.timestamp < selection.until_ms)
            and first <= each.offset
            and (behind == OPEN or each.offset < behind)
        ]


def at(offset: int, time_ms: int, value: bytes = b"") -> PlainRecord:
    return PlainRecord(topics.SIGNALS, 0, offset, time_ms, None, value or event(id=str(offset)), ())


@st.composite
def cases(draw: st.DrawFn) -> Case:
    offsets = sorted(draw(st.sets(st.integers(0, 30), max_size=15)))
    # A lane's time never goes back.
    times = sorted(draw(st.lists(st.integers(1, 50), min_size=len(offsets), max_size=len(offsets))))
    log = tuple(map(at, offsets, times))
    end = draw(st.integers(offsets[-1] + 1 if offsets else 0, 35))
    first = draw(st.integers(0, 35))
    ranges = st.sampled_from([{}, {0: (first, OPEN)}, {0: (first, first + draw(st.integers(1, 10)))}])
    since_ms, until_ms = draw(st.sampled_from([0, 0, 10, 40, 60])), draw(st.sampled_from([0, 0, 30, 50]))
    selection = Selection(since_ms=since_ms, until_ms=until_ms, offsets=draw(ranges))
    return Case(log, draw(st.integers(0, end)), end, selection)


@given(cases())
def test_all_that_is_there_is_covered_and_what_is_gone_is_told(case: Case) -> None:
    consumer = PlayedConsumer({AT: case.log}, {AT: case.end}, {AT: case.least})
    covered = asyncio.run(cover(consumer, topics.SIGNALS, case.selection, 1))
    there = [each.offset for each in case.wanted if each.offset >= case.least]
    assert all(covered.begins[0] <= offset < covered.ends[0] for offset in there)
    assert case.least <= covered.begins[0] <= covered.ends[0]
    if any(each.offset < case.least for each in case.wanted):
        (why,) = covered.approximate
        assert why.startswith(f"lane 0: what stood before offset {case.least} is gone (retention)")
    if not case.least:
        assert not covered.approximate


def test_a_range_behind_what_is_gone_is_exact() -> None:
    log = [at(offset, 100 + offset) for offset in range(10)]
    consumer = PlayedConsumer({AT: log}, {AT: 10}, {AT: 4})
    for exact in (Selection(offsets={0: (4, OPEN)}), Selection(since_ms=105), Selection(since_ms=999)):
        assert not asyncio.run(cover(consumer, topics.SIGNALS, exact, 1)).approximate, exact
    for trimmed in (Selection(), Selection(offsets={0: (3, 8)}), Selection(since_ms=104)):
        assert asyncio.run(cover(consumer, topics.SIGNALS, trimmed, 1)).approximate, trimmed


def test_an_estimate_counts_by_type_and_tenant_and_says_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "TYPES_SHOWN_MAX", 1)
    log = [
        at(0, 1_000, event(type="a.b")),
        at(1, 2_000, event(type="a.c", tenantid="bob")),
        at(2, 3_000, event(type="a.b")),
        at(3, 4_000, b"{"),
        at(4, 5_000, event(type="z")),
    ]
    consumer = PlayedConsumer({AT: log}, {AT: 6})
    found = asyncio.run(estimate(consumer, topics.SIGNALS, Selection(pattern="a.*"), 1))
    shown = found.shown(2.0)
    assert (shown["read"], shown["chosen"], shown["estimated_seconds"]) == (5, 3, 1.5)
    assert shown["by_type"] == {"a.b": 2, REST: 1}
    assert shown["by_tenant"] == {"acme": 2, "bob": 1}
    assert shown["skipped"] == {"unreadable": 1, "other": 1}
    assert shown["offsets"] == {"0": [0, 6]}
    assert (shown["first"][:19], shown["last"][:19]) == ("1970-01-01T00:00:01", "1970-01-01T00:00:03")


def test_more_tenants_than_one_replay_may_have_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "TENANTS_MAX", 2)
    log = [at(n, 1, event(tenantid=f"t{n}")) for n in range(3)]
    with pytest.raises(TooManyTenantsError, match="more than 2 tenants"):
        asyncio.run(estimate(PlayedConsumer({AT: log}, {AT: 3}), topics.SIGNALS, Selection(), 1))
