"""The lane: composition of hops, loopback, positions, formats, and an exact fold of its journal."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors import journal, position
from processors.fold import GapError, fold
from processors.lane import clock, ledger_mismatches
from processors.memory import MemoryStore
from processors.position import POSITION_KEY, Position, UnreadableFormatError
from processors.sizing import RECORDS_LEAST, RECORDS_MOST, WORK_MS, Sizing
from processors.state import Overlay, value_key
from processors.step import Outcome, Step, Verdict
from processors.vocabulary import topics
from processors.vocabulary.reasons import Reason
from processors.vocabulary.record import PlainRecord, Record
from tests.processors.lanes import LaneInMemory, event

COUNTS: Final = value_key("", "echo", b"count")


@dataclass(frozen=True, slots=True)
class Echo:
    """A second hop: counts what it reads of `signals`."""

    name: str = "echo"
    inputs: Sequence[str] = (topics.SIGNALS,)

    def tick(self, step: Step) -> None:
        """Nothing falls due here."""

    def step(self, step: Step, topic: str, records: Sequence[Record]) -> None:
        """Count."""
        assert topic == topics.SIGNALS
        before = int(step.overlay.get(COUNTS) or b"0")
        step.overlay.put(COUNTS, b"%d" % (before + len(records)))
        step.count(self.name, "", Outcome.HANDLED, len(records))


def test_an_output_is_stepped_in_the_transaction_that_writes_it_and_not_again() -> None:
    lane = LaneInMemory(more_hops=(Echo(),))
    lane.send(event(id="a"), event(id="b"))
    assert lane.store.values[COUNTS] == b"2"
    written = lane.outputs(topics.SIGNALS)
    assert all("stepped" in headers for _, _, headers in written)
    back = [lane.record(value, topic=topics.SIGNALS, headers=list(headers.items())) for _, value, headers in written]
    lane.step(*back)
    assert lane.store.values[COUNTS] == b"2"
    assert ledger_mismatches(lane.position.ledger) == {}


def test_what_is_not_looped_makes_all_after_it_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processors.lane.LOOPS_MAX", 1)
    lane = LaneInMemory(more_hops=(Echo(),))
    lane.send(event(id="a"), event(id="b"))
    assert COUNTS not in lane.store.values
    assert lane.position.backlog == {topics.SIGNALS: 2}
    lane.send(event(id="c"))
    assert COUNTS not in lane.store.values
    waiting = lane.outputs(topics.SIGNALS)
    assert not any("stepped" in headers for _, _, headers in waiting)
    back = [lane.record(value, topic=topics.SIGNALS, headers=list(h.items())) for _, value, h in waiting]
    lane.step(*back)
    assert lane.store.values[COUNTS] == b"3"
    assert lane.position.backlog == {}
    lane.send(event(id="d"))
    assert lane.store.values[COUNTS] == b"4"


def test_a_condemned_record_is_set_aside_unseen() -> None:
    lane = LaneInMemory()
    good, bad = lane.record(event(id="a")), lane.record(event(id="b"))
    verdict = Verdict(Reason.BUG, "the stack")
    lane.step(good, bad, verdicts={(topics.SIGNALS_IN, bad.offset): verdict})
    assert lane.ids() == ["a"]
    ((_, value, headers),) = lane.outputs(topics.DEAD_LETTERS)
    assert (value, headers["dl_reason"], headers["dl_stack"]) == (event(id="b"), b"bug", b"the stack")


def test_the_lanes_time_never_goes_back() -> None:
    assert clock(Position(now_ms=10), 5) == 10
    assert clock(Position(now_ms=10), 15) == 15


@given(
    st.builds(
        Position,
        applied=st.dictionaries(st.text(max_size=8), st.integers(0, 2**60)),
        now_ms=st.integers(0, 2**50),
        sequence=st.integers(0, 2**60),
        takeovers=st.integers(0, 9),
        attempting=st.dictionaries(st.text(max_size=8), st.tuples(st.integers(0, 2**60), st.integers(0, 9))),
        careful=st.dictionaries(st.text(max_size=8), st.integers(0, 2**60)),
        backlog=st.dictionaries(st.text(max_size=8), st.integers(0, 2**60)),
        ledger=st.dictionaries(st.text(max_size=8), st.integers(-(2**60), 2**60)),
    ),
    st.sampled_from([1, 2]),
)
def test_a_position_survives_both_formats(before: Position, version: int) -> None:
    assert position.unpack(position.pack(before, version)) == before


def test_a_newer_format_is_refused_and_says_what_to_do() -> None:
    with pytest.raises(UnreadableFormatError, match="upgrade"):
        position.unpack(position.pack(Position(), 3))


@given(
    batches=st.lists(
        st.tuples(st.integers(0, 5_000), st.lists(st.integers(0, 9), max_size=5), st.booleans()),
        max_size=12,
    )
)
def test_folding_the_journal_is_exact(
    batches: list[tuple[int, list[int], bool]],
) -> None:
    lane = LaneInMemory(more_hops=(Echo(),))
    log: dict[tuple[str, int], PlainRecord] = {}
    for pause_ms, ids, commanded in batches:
        lane.now_ms += pause_ms
        records = [lane.record(event("abc"[one % 3], id=str(one))) for one in ids]
        if commanded:
            change = {"rate_per_second": 1, "burst": 1}
            value = event("a", id=str(lane.now_ms), type="hopline.tenant.set", data=change)
            records.insert(0, lane.record(value, topic=topics.COMMANDS))
        for record in records:
            log[record.topic, record.offset] = record
        lane.step(*records)
    entries = [journal.unpack(commit.journal) for commit in lane.commits]
    for start in {0, len(entries) // 2}:
        store, at = MemoryStore(), Position()
        for commit in lane.commits[:start]:
            store.apply(commit.changes)
            at = commit.position
        folded = list(
            fold(
                lane.settings,
                at,
                store,
                [entry for entry in entries if entry is not None],
                lambda topic, first, after: [log[topic, offset] for offset in range(first, after)],
            )
        )
        assert store.values == lane.store.values
        assert [c.outputs for c in folded] == [c.outputs for c in lane.commits[start:]]


def test_a_gap_in_the_journal_is_said_not_folded_over() -> None:
    lane = LaneInMemory()
    for number in range(3):
        lane.send(event(id=str(number)))
    entries = [e for c in lane.commits if (e := journal.unpack(c.journal)) is not None]
    del entries[1]
    with pytest.raises(GapError, match="after commit 1"):
        list(fold(lane.settings, Position(), MemoryStore(), entries, lambda *_: []))


def test_an_overlay_scans_what_the_batch_has_made_of_it() -> None:
    store = MemoryStore()
    store.apply({b"Ka": b"1", b"Kb": b"2", b"Kc": b"3"})
    overlay = Overlay(store)
    overlay.put(b"Ka", None)
    overlay.put(b"Kbb", b"x")
    assert overlay.scan(b"K", 2) == [(b"Kb", b"2"), (b"Kbb", b"x")]
    assert store.scan(b"K", 9) == [(b"Ka", b"1"), (b"Kb", b"2"), (b"Kc", b"3")]


def test_the_commit_carries_its_position_in_its_own_changes() -> None:
    lane = LaneInMemory()
    commit = lane.send(event())
    packed = commit.changes[POSITION_KEY]
    assert packed is not None
    assert position.unpack(packed) == commit.position
    assert commit.position.applied == {topics.SIGNALS_IN: 1}


def test_batches_grow_under_load_and_shrink_when_they_take_long() -> None:
    sizing = Sizing(400)
    assert sizing.after(400, WORK_MS / 4).records_max == 600
    assert sizing.after(10, WORK_MS / 4) == sizing
    assert sizing.after(400, WORK_MS * 2).records_max == 300
    for _ in range(50):
        sizing = sizing.after(sizing.records_max, 1)
    assert sizing.records_max == RECORDS_MOST
    for _ in range(50):
        sizing = sizing.after(1, 1_000)
    assert sizing.records_max >= RECORDS_LEAST
