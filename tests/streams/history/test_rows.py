"""A record becomes the row that its headers and its event say, and nothing that comes in makes that fail."""

from dataclasses import replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from processors.directives.audit import Entry, Told, extend, read
from processors.directives.record import Directive, Head, Status
from processors.vocabulary import headers as names
from processors.vocabulary import topics
from processors.vocabulary.ids import coordinate_id, signal_ref
from processors.vocabulary.record import PlainRecord
from streams.history.rows import AUDITED, DATA_BYTES_MAX, DEAD, HANDLED, TOPICS, Row, row_of, sum_of
from streams.history.shown import cells, shown
from tests.processors.lanes import LaneInMemory, event
from tests.streams.history.made import row, rows_, signal_record, signal_row

_names = st.sampled_from(
    [value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)]
    + ["content-type", "ce_id", "ce_type", "ce_source", "ce_specversion", "x"]
)
_bytes = st.one_of(
    st.none(), st.binary(max_size=20), st.sampled_from([b"application/cloudevents+json", b"1", b"1.0", b"9" * 5_000])
)


@given(
    st.sampled_from(TOPICS),
    st.one_of(_bytes, st.just(b'{"specversion":"1.0","id":"\\u0000","type":"a","source":"/b","data":{}}')),
    st.lists(st.tuples(_names, _bytes), max_size=8),
    st.one_of(st.none(), st.binary(max_size=8)),
    st.integers(-1, 1 << 60),
)
def test_whatever_stands_in_a_topic_becomes_a_row(
    topic: str, value: bytes | None, headers: list[tuple[str, bytes | None]], key: bytes | None, at_ms: int
) -> None:
    found = row_of(topic, PlainRecord(topic, 3, 7, at_ms, key, value, headers))
    assert (found.topic, found.lane, found.offset) == (topic, 3, 7)
    assert "\x00" not in "".join(each for each in found if isinstance(each, str))
    assert shown(found)["ref"] == found.ref
    assert cells(found)


def test_an_admitted_signal_tells_where_and_when_it_came() -> None:
    found = row_of(topics.SIGNALS, signal_record(7, lane=2, causationid="c", subject="s"))
    assert (found.status, found.tenant, found.id, found.cause, found.subject) == (HANDLED, "acme", "7", "c", "s")
    assert (found.entered_ms, found.at_ms, found.origin) == (995, 1_000, "signals.in 2/7")
    assert found.ref == signal_ref("acme", "/a", "7")
    assert found.data == b'{"number": 7}'


def projected(lane: LaneInMemory) -> list[Row]:
    """Return the rows of all that a lane has written."""
    return [
        row_of(topic, PlainRecord(topic, 0, offset, lane.now_ms, key, value, tuple(headers.items())))
        for topic in TOPICS
        for offset, (key, value, headers) in enumerate(lane.outputs(topic))
    ]


def test_ingest_says_where_a_moved_signal_came_from() -> None:
    lane = LaneInMemory()
    lane.send(event(id="1"), headers=((names.MOVED, b"5/42"),))
    (found,) = projected(lane)
    assert (found.origin, found.entered_ms) == ("signals.in 0/0 from 5/42", lane.now_ms)


def test_what_a_lane_ends_becomes_rows_that_belong_together() -> None:
    lane = LaneInMemory()
    lane.send(event(id="1"), event(id="1"), b"{", event(id="2", causationid="1", type=""))
    lane.command("acme", id="c1", burst=3)
    rows = projected(lane)
    assert [(each.status, each.reason, each.by) for each in rows] == [
        (HANDLED, "", ""),
        (HANDLED, "", "directives"),
        (DEAD, "not_json", ""),
        (DEAD, "invalid_envelope", ""),
        (AUDITED, "succeeded", rows[-1].by),
    ]
    told = rows[1]
    assert (told.cause, told.type, told.tenant) == ("c1", "hopline.directive.succeeded", "acme")
    assert "type" in rows[3].problems


def test_a_sender_cannot_say_where_a_signal_came_from() -> None:
    record = signal_record(7)
    forged = replace(record, headers=((names.CAME, b"1/1"), *record.headers))
    assert row_of(topics.SIGNALS, forged) == row_of(topics.SIGNALS, record)


def test_a_dead_letter_tells_why_and_whose_it_is() -> None:
    record = signal_record(7)
    ours = {
        names.DEAD_REASON: "bug",
        names.DEAD_HOP: "ingest",
        names.DEAD_TOPIC: topics.SIGNALS_IN,
        names.DEAD_PARTITION: "1",
        names.DEAD_OFFSET: "4",
        names.DEAD_TIMESTAMP: "900",
        names.DEAD_TENANT: "",
        names.DEAD_PROBLEMS: '[{"field":"id","message":"is wrong"}]',
    }
    forged = (names.DEAD_REASON, b"stuck")
    headers = (forged, record.headers[0], *((name, text.encode()) for name, text in ours.items()))
    found = row_of(topics.DEAD_LETTERS, replace(record, topic=topics.DEAD_LETTERS, headers=headers))
    assert (found.status, found.reason, found.hop, found.tenant) == (DEAD, "bug", "ingest", "acme")
    assert (found.origin, found.entered_ms) == ("signals.in 1/4", 900)
    assert shown(found)["problems"] == [{"field": "id", "message": "is wrong"}]
    assert found.ref == row_of(topics.SIGNALS, record).ref


def test_what_nobody_can_read_belongs_to_nobody() -> None:
    record = PlainRecord(topics.DEAD_LETTERS, 1, 5, 10, b"acme", b"{", ((names.DEAD_REASON, b"not_json"),))
    found = row_of(topics.DEAD_LETTERS, record)
    assert (found.tenant, found.data) == ("", b"{")
    assert found.ref == coordinate_id(topics.DEAD_LETTERS, 1, 5)


def test_a_line_of_the_audit_is_a_row_too() -> None:
    directive = Directive("k", "hopline.tenant.set", "1", "1", "me", b"", b"", 0, 0, 0, Status.SUCCEEDED)
    line = extend(Head(), "acme", directive, 5, Told(None, {"burst": 3}))
    assert isinstance(read(line), Entry)
    found = row_of(topics.AUDIT, PlainRecord(topics.AUDIT, 0, 0, 6, b"acme", line))
    assert (found.status, found.tenant, found.subject, found.by, found.reason) == (
        AUDITED,
        "acme",
        "k",
        "me",
        "succeeded",
    )
    assert found.data == line


def test_data_is_kept_up_to_a_bound_and_says_so() -> None:
    found = signal_row(1, data={"note": "x" * DATA_BYTES_MAX})
    assert len(found.data or b"") == DATA_BYTES_MAX
    assert shown(found)["data_cut"] is True


@given(rows_(most=6), st.randoms(use_true_random=False))
def test_the_sum_does_not_depend_on_the_order_and_tells_one_row_more(rows: list[Row], draw: Random) -> None:
    mixed = list(rows)
    draw.shuffle(mixed)
    assert sum_of(rows) == sum_of(mixed)
    assert sum_of([*rows, row(id="more")]) != sum_of(rows)


def test_a_cell_that_looks_like_a_formula_is_none() -> None:
    assert "'=1+1" in cells(row(subject="=1+1"))
