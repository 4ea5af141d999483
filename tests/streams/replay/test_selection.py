"""What is chosen: by tenant, type, time, correlation; and what is left out whoever asks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.vocabulary import headers as names
from processors.vocabulary import topics
from processors.vocabulary.partition import lane_of
from processors.vocabulary.record import Header, PlainRecord
from processors.vocabulary.signal import Signal
from streams.replay.selection import OPEN, OTHER, Chooser, PatternError, Selection, Skipped
from tests.processors.vocabulary.records import event

LANES = 4
HOME = lane_of(b"acme", LANES)


def record(value: bytes, *headers: Header, at_ms: int = 1_000, lane: int = HOME) -> PlainRecord:
    return PlainRecord(topics.SIGNALS, lane, 5, at_ms, None, value, headers)


def chosen(selection: Selection, found: PlainRecord) -> Signal | Skipped:
    return Chooser(selection, LANES).choose(found)


def test_what_is_named_must_fit_and_what_is_not_does_not_matter() -> None:
    one = record(event(type="shop.order.placed", correlationid="c"))
    for fits in (
        Selection(),
        Selection(tenants=("other", "acme")),
        Selection(pattern="shop.*.placed"),
        Selection(since_ms=1_000, until_ms=1_001),
        Selection(correlation="c"),
        Selection(correlation="1"),
    ):
        assert isinstance(chosen(fits, one), Signal), fits
    for misfit in (
        Selection(tenants=("other",)),
        Selection(pattern="shop.*"),
        Selection(since_ms=1_001),
        Selection(until_ms=1_000),
        Selection(correlation="d"),
        Selection(tenants=("acme",), pattern="shop.**", correlation="d"),
    ):
        assert chosen(misfit, one) == OTHER, misfit


def test_what_hopline_tells_what_is_unreadable_and_what_was_moved_is_left_out() -> None:
    told = record(event(), (names.BY, b"directives"))
    assert chosen(Selection(), told) == Skipped("told")
    # Whoever sends that header is still a sender.
    assert isinstance(chosen(Selection(topic=topics.SIGNALS_IN), told), Signal)
    assert chosen(Selection(), record(b"{")) == Skipped("unreadable")
    elsewhere = record(event(), lane=(HOME + 1) % LANES)
    assert chosen(Selection(topic=topics.SIGNALS_IN), elsewhere) == Skipped("moved")


@given(st.lists(st.sampled_from(["a.b", "a.c", "b"]), max_size=30))
def test_types_remembered_say_the_same_as_types_looked_at(types: list[str]) -> None:
    once = Chooser(Selection(pattern="a.*"), LANES)
    for kind in types:
        assert isinstance(once.choose(record(event(type=kind))), Signal) is kind.startswith("a.")


def test_only_lanes_that_can_hold_it_are_read() -> None:
    assert Selection().lanes(LANES) == [0, 1, 2, 3]
    assert Selection(tenants=("acme",)).lanes(LANES) == [HOME]
    assert Selection(offsets={2: (0, OPEN), 1: (3, 4)}).lanes(LANES) == [1, 2]
    assert Selection(tenants=("acme",), offsets={(HOME + 1) % LANES: (0, OPEN)}).lanes(LANES) == []


def test_in_words_for_the_audit_and_a_wrong_pattern() -> None:
    words = Selection(tenants=("a", "b"), pattern="x.*", offsets={1: (3, 5), 2: (0, OPEN)}, correlation="c").words()
    assert words == (
        "from signals; tenant a, b; type x.*; lane 1 offsets 3 to 4; lane 2 offsets 0 to the end; correlation c"
    )
    with pytest.raises(PatternError, match="the pattern"):
        Chooser(Selection(pattern="a..b"), LANES)
