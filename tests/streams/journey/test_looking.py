"""What the topics tell of a signal beside history: its context, and of a dead letter without one the trace it began."""

from processors.telemetry import trace
from processors.vocabulary import topics
from processors.vocabulary.ids import coordinate_id
from processors.vocabulary.record import PlainRecord
from streams.history.rows import DEAD
from streams.journey.looking import _context
from tests.processors.lanes import LaneInMemory, event
from tests.streams.history.made import row

SAMPLED = f"00-{'a' * 32}-{'b' * 16}-01"


def record(value: bytes, *headers: tuple[str, bytes | None]) -> PlainRecord:
    return PlainRecord(topics.DEAD_LETTERS, 0, 0, 0, None, value, headers)


def test_a_dead_letter_is_found_in_the_trace_that_its_span_is_in() -> None:
    lane = LaneInMemory()
    lane.send(b"no event", event(traceparent=SAMPLED, id=""))
    spans = lane.commits[-1].spans
    first = row(status=DEAD, topic=topics.DEAD_LETTERS, origin="signals.in 0/0")
    second = row(status=DEAD, topic=topics.DEAD_LETTERS, origin="signals.in 0/1")
    assert _context(first, record(b"no event"))[3:35] == spans[0].trace_id == coordinate_id(topics.SIGNALS_IN, 0, 0)
    assert _context(second, record(event(traceparent=SAMPLED))) == SAMPLED


def test_kafkas_header_goes_before_the_event() -> None:
    carried = trace.context("c" * 32, "d" * 16)
    found = record(event(traceparent=SAMPLED), (trace.TRACEPARENT, carried))
    assert _context(row(), found) == carried.decode()
    assert _context(row(), record(event())) == ""
