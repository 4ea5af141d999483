"""Dead letters are read back as what came, and listed page by page with none left out or twice."""

import asyncio

import pytest
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from processors.vocabulary import headers as names
from processors.vocabulary import topics
from processors.vocabulary.reasons import Reason
from processors.vocabulary.record import Header, PlainRecord
from streams.replay import letters
from streams.replay.letters import Filter, WrongCursorError, letter_of, letters_at, page
from streams.topics import TopicNames
from tests.processors.lanes import LaneInMemory, event
from tests.streams.replay.played import PlayedConsumer

LANES = 2
NAMES = TopicNames("")
HEADERS = st.lists(
    st.tuples(st.sampled_from(["x", names.DEAD_REASON, names.DEAD_TENANT, names.REDRIVEN]), st.binary(max_size=4)),
    max_size=4,
)


def dead(value: bytes | None, headers: tuple[Header, ...] = (), key: bytes | None = None) -> PlainRecord:
    """Return the dead letter that the door makes of a record."""
    lane = LaneInMemory()
    came = PlainRecord(topics.SIGNALS_IN, 0, 41, 7_000, key, value, headers)
    lane.step(came)
    ((written_key, found, said),) = lane.commits[-1].outputs[topics.DEAD_LETTERS, 0]
    return PlainRecord(topics.DEAD_LETTERS, 0, 3, 9_000, written_key, found, tuple(said))


@given(HEADERS, st.binary(max_size=8), st.none() | st.binary(max_size=3))
def test_what_came_is_read_back_whole_and_no_sender_forges_what_is_said(
    headers: list[Header], rest: bytes, key: bytes | None
) -> None:
    letter = letter_of(dead(b"{" + rest, tuple(headers), key))
    assert letter.original == PlainRecord(topics.SIGNALS_IN, 0, 41, 7_000, key, b"{" + rest, tuple(headers))
    assert (letter.id, letter.hop, letter.tenant) == ("0-3", "ingest", "")
    assert Reason(letter.reason), "it is one of ours, whatever the sender called it"
    assert letter.signal is None
    assert letter.problems


def test_of_a_readable_one_tenant_type_and_event_are_known() -> None:
    letter = letter_of(written(0, 3, 9_000, tenant="", value=event(id="e", type="a.b")))
    assert (letter.tenant, letter.type, letter.summary()["event"]) == ("acme", "a.b", "e")


def written(lane: int, offset: int, at_ms: int, *, tenant: str = "acme", value: bytes = b"{") -> PlainRecord:
    """Return a dead letter with little in it, written by another version."""
    said = {
        names.DEAD_REASON: "bug" if offset % 3 else "not_json",
        names.DEAD_AT: str(at_ms),
        names.DEAD_TENANT: tenant,
    }
    headers = tuple((name, text.encode()) for name, text in said.items())
    return PlainRecord(topics.DEAD_LETTERS, lane, offset, at_ms, None, value, headers)


@st.composite
def consumers(draw: st.DrawFn) -> PlayedConsumer:
    logs, ends, begins = {}, {}, {}
    for lane in range(LANES):
        offsets = sorted(draw(st.sets(st.integers(0, 25), max_size=15)))
        times = sorted(draw(st.lists(st.integers(1, 20), min_size=len(offsets), max_size=len(offsets))))
        at = TopicPartition(topics.DEAD_LETTERS, lane)
        logs[at] = [written(lane, *pair) for pair in zip(offsets, times, strict=True)]
        ends[at] = draw(st.integers(offsets[-1] + 1 if offsets else 0, 28))
        begins[at] = draw(st.integers(0, ends[at]))
    return PlayedConsumer(logs, ends, begins)


@given(consumers(), st.integers(1, 7), st.sampled_from(["", "bug"]), st.sampled_from([0, 8]), st.sampled_from([0, 15]))
def test_pages_have_each_letter_once_the_newest_first(
    consumer: PlayedConsumer, limit: int, reason: str, since_ms: int, until_ms: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(letters, "WINDOW_OFFSETS", 4)
        patch.setattr(letters, "SCANNED_MAX", 9)
        found, cursor = [], ""
        for _ in range(60):
            wanted = Filter(reason=reason, since_ms=since_ms, until_ms=until_ms)
            part = asyncio.run(page(consumer, NAMES, LANES, wanted, limit=limit, cursor=cursor))
            assert len(part.letters) <= limit
            found += part.letters
            cursor = part.cursor
            if not cursor:
                break
    assert not cursor
    there = [letter_of(r) for at, log in consumer.logs.items() for r in log if r.offset >= consumer.begins[at]]
    kept = [
        letter
        for letter in there
        if (not reason or letter.reason == reason)
        and letter.at_ms >= since_ms
        and (not until_ms or letter.at_ms < until_ms)
    ]
    assert sorted(letter.id for letter in found) == sorted(letter.id for letter in kept)
    assert [letter.at_ms for letter in found] == sorted((letter.at_ms for letter in kept), reverse=True)


def test_by_id_what_is_gone_or_is_no_id_is_none() -> None:
    at = TopicPartition(topics.DEAD_LETTERS, 0)
    other = TopicPartition(topics.DEAD_LETTERS, 1)
    consumer = PlayedConsumer({at: [written(0, 4, 1), written(0, 6, 2)]}, {at: 8, other: 0}, {at: 5})
    asked = ["0-6", "0-4", "0-5", "0-99", "1-0", "9-0", "x", "0-x", "²-1"]
    found = asyncio.run(letters_at(consumer, NAMES, LANES, asked))
    assert [letter_id for letter_id, letter in found.items() if letter is not None] == ["0-6"]
    assert list(found) == asked


def test_what_is_no_cursor_is_refused() -> None:
    ends = {TopicPartition(topics.DEAD_LETTERS, lane): 0 for lane in range(LANES)}
    for wrong in ("x", "0:", "0:1,", "1-2"):
        with pytest.raises(WrongCursorError, match="is no cursor"):
            asyncio.run(page(PlayedConsumer({}, ends), NAMES, LANES, Filter(), limit=1, cursor=wrong))
