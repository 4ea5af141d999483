"""What hops note: which spans there are, whose parent is whose, what is bounded; ids derive from their cause."""

import json
import sys
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from processors.lane import LaneSettings
from processors.step import Verdict
from processors.telemetry import trace
from processors.telemetry.trace import Kind, Span, Why
from processors.vocabulary import envelope, topics
from processors.vocabulary import headers as names
from processors.vocabulary.ids import coordinate_id
from processors.vocabulary.reasons import Reason, Rejected
from processors.vocabulary.record import PlainRecord
from tests.processors.lanes import NOW_MS, LaneInMemory, event

TRACE: Final = "a" * 32
EVENTS: Final = f"00-{TRACE}-{'b' * 16}-01"
HOPS: Final = f"00-{TRACE}-{'c' * 16}-01"
UNSAMPLED: Final = f"00-{TRACE}-{'d' * 16}-00"
SLOW_MS: Final = 5_000


class Timed(LaneInMemory):
    """A lane that is told what is slow."""

    @property
    @override
    def settings(self) -> LaneSettings:
        plain = super().settings
        return LaneSettings(plain.lane, plain.lanes, plain.hops, slow_ms=SLOW_MS)


def spans_of(lane: LaneInMemory) -> list[Span]:
    return list(lane.commits[-1].spans)


def command(id_: str = "c1", **attributes: Any) -> bytes:
    return event(**{"id": id_, "type": "hopline.tenant.set", "data": {"burst": 7}, **attributes})


def test_kafkas_header_is_the_hop_before_and_the_events_attribute_stays_where_it_began() -> None:
    lane = LaneInMemory()
    lane.send(event(traceparent=EVENTS), headers=[(trace.TRACEPARENT, HOPS.encode())])
    (span,) = spans_of(lane)
    assert (span.trace_id, span.parent_id, span.links) == (TRACE, "c" * 16, (HOPS,))
    ((_, value, headers),) = lane.outputs(topics.SIGNALS)
    assert json.loads(value or b"")["traceparent"] == EVENTS
    assert headers[trace.TRACEPARENT] == trace.context(TRACE, span.span_id)


def test_what_began_in_another_trace_is_linked_to_that_too() -> None:
    lane = LaneInMemory()
    other = f"00-{'9' * 32}-{'8' * 16}-01"
    lane.send(event(traceparent=other), headers=[(trace.TRACEPARENT, HOPS.encode())])
    (span,) = spans_of(lane)
    assert (span.trace_id, span.links) == (TRACE, (HOPS, other))


@pytest.mark.parametrize("header", [UNSAMPLED.encode(), b"01-nonsense", None])
def test_an_event_that_is_sampled_is_traced_whatever_else_the_header_says(header: bytes | None) -> None:
    lane = LaneInMemory()
    lane.send(event(traceparent=EVENTS), headers=[(trace.TRACEPARENT, header)])
    (span,) = spans_of(lane)
    assert span.parent_id == "b" * 16


def test_a_directive_is_one_line_of_spans_down_to_the_signal_that_tells_of_it() -> None:
    lane = LaneInMemory()
    headers = [(trace.TRACEPARENT, HOPS.encode())]
    lane.step(lane.record(command(), topic=topics.COMMANDS, headers=headers))
    spans = spans_of(lane)
    assert [span.title for span in spans] == ["process commands", "process directives", "send signals"]
    assert [span.parent_id for span in spans] == ["c" * 16, spans[0].span_id, spans[1].span_id]
    assert [span.kind for span in spans] == [Kind.CONSUMER, Kind.CONSUMER, Kind.PRODUCER]
    assert {span.trace_id for span in spans} == {TRACE}
    ((_, _, out),) = lane.outputs(topics.SIGNALS)
    assert out[trace.TRACEPARENT] == trace.context(TRACE, spans[2].span_id)


def test_a_directive_that_waits_is_in_its_trace_when_it_is_carried_out() -> None:
    lane = LaneInMemory()
    due = envelope.rfc3339(NOW_MS + 60_000)
    lane.step(lane.record(command(notbefore=due), topic=topics.COMMANDS, headers=[(trace.TRACEPARENT, HOPS.encode())]))
    asked = spans_of(lane)[0]
    lane.now_ms += 61_000
    lane.step()
    ran, told = spans_of(lane)
    assert (ran.trace_id, ran.parent_id, ran.began_ms) == (TRACE, asked.span_id, NOW_MS + 60_000)
    assert told.parent_id == ran.span_id
    assert lane.told()[-1]["type"].endswith("succeeded")


def test_what_nobody_sampled_has_no_span_and_no_header() -> None:
    lane = Timed()
    lane.send(event(id="1"), event(id="2", traceparent=UNSAMPLED))
    lane.step(lane.record(command(), topic=topics.COMMANDS))
    assert [commit.spans for commit in lane.commits] == [[], []]
    assert all(trace.TRACEPARENT not in headers for _, _, headers in lane.outputs(topics.SIGNALS))


def test_each_dead_letter_has_one_and_says_why() -> None:
    lane = LaneInMemory()
    lane.send(b"no event", headers=[("mine", b"m")])
    (span,) = spans_of(lane)
    own = coordinate_id(topics.SIGNALS_IN, 0, 0)
    assert (span.trace_id, span.parent_id, span.why, span.error) == (own, "", Why.DEAD, lane.reasons()[0])
    ((_, _, headers),) = lane.outputs(topics.DEAD_LETTERS)
    assert trace.TRACEPARENT not in headers, "what is set aside stays as it came"


@pytest.mark.parametrize(
    "headers, value, parent",
    [
        ([(trace.TRACEPARENT, UNSAMPLED.encode())], b"no event", "d" * 16),
        ([], json.dumps({"traceparent": EVENTS}).encode(), "b" * 16),
        ([("ce_traceparent", EVENTS.encode())], b"no event", "b" * 16),
        ([("ce_id", b"1")], json.dumps({"traceparent": EVENTS}).encode(), ""),
        ([], json.dumps({"data": {"traceparent": EVENTS}}).encode(), ""),
        ([], b'{"traceparent": "' + b"[" * 10_000, ""),
    ],
)
def test_a_dead_letter_belongs_to_the_trace_that_it_carries(headers: Any, value: bytes, parent: str) -> None:
    lane = LaneInMemory()
    lane.send(value, headers=headers)
    (span,) = spans_of(lane)
    assert span.parent_id == parent
    assert (span.trace_id == TRACE) == bool(parent)


def test_what_a_hop_raised_is_an_event_of_its_span() -> None:
    lane = LaneInMemory()
    stack = 'Traceback:\n  File "x", line 1\n    boom()\nmine.WrongError: it is wrong\n'
    found = [lane.record(event(id="1", traceparent=EVENTS)), lane.record(event(id="2"))]
    lane.step(*found, verdicts={(topics.SIGNALS_IN, 0): Verdict(Reason.BUG, stack)})
    (span,) = spans_of(lane)
    raised = dict(span.events[-1].attributes)
    assert (span.why, span.error, span.parent_id) == (Why.RAISED, "bug", "b" * 16)
    assert (raised["exception.type"], raised["exception.message"]) == ("mine.WrongError", "it is wrong")
    assert raised["exception.stacktrace"] == stack


def test_a_directive_that_is_refused_or_fails_has_one_though_nobody_sampled_it() -> None:
    lane = LaneInMemory()
    lane.step(lane.record(command("c1", type="hopline.no.such"), topic=topics.COMMANDS))
    (refused,) = spans_of(lane)
    lane.step(lane.record(command("c2", type="hopline.directive.cancel", data={"key": "k"}), topic=topics.COMMANDS))
    (failed,) = spans_of(lane)
    assert (refused.why, failed.why) == (Why.REJECTED, Why.FAILED)
    assert "there is no directive" in refused.error
    assert all(trace.TRACEPARENT not in headers for _, _, headers in lane.outputs(topics.SIGNALS))


def test_what_is_slow_has_one_in_the_trace_that_its_event_says() -> None:
    lane = Timed()
    old = lane.record(event(id="1"))
    fresh = lane.record(event(id="2"))
    lane.now_ms += SLOW_MS
    lane.step(old, fresh)
    assert spans_of(lane) == [], "not older than that"
    again = [lane.record(event(id=str(n)), headers=[]) for n in (3, 4)]
    lane.now_ms += SLOW_MS + 1
    lane.step(*again)
    spans = spans_of(lane)
    assert [(span.why, span.signal_id, span.parent_id) for span in spans] == [(Why.SLOW, "3", "")]
    assert lane.commits[-1].spans_dropped == 1, "one of a batch stands for those that are slow with it"
    written = [json.loads(value or b"")["traceparent"][3:35] for _, value, _ in lane.outputs(topics.SIGNALS)]
    assert [span.trace_id for span in spans] == written[2:3]
    lane.step(lane.record(event(id="5", traceparent=EVENTS)))
    assert spans_of(lane)[0].why is Why.SAMPLED


@pytest.mark.parametrize("many", [trace.NOTED_MAX, trace.NOTED_MAX + 1, 300])
def test_a_flood_of_bad_records_leaves_ten_spans_and_a_count(many: int) -> None:
    lane = LaneInMemory()
    lane.send(*([b"no event"] * many), event(id="1", traceparent=EVENTS))
    commit = lane.commits[-1]
    assert len(commit.spans) == trace.NOTED_MAX + 1, "who is sampled has room all the same"
    assert commit.spans_dropped == many - trace.NOTED_MAX


def test_the_same_record_has_the_same_span_and_another_one_another() -> None:
    one, other = LaneInMemory(), LaneInMemory()
    for lane in (one, other):
        lane.send(event(id="1", traceparent=EVENTS), event(id="2", traceparent=EVENTS), b"no event")
        # Sent again: a duplicate leaves no span; what came later under the same id in another tenant does.
        lane.send(event("bolt", id="1", traceparent=EVENTS))
    found = [[span for commit in lane.commits for span in commit.spans] for lane in (one, other)]
    assert found[0] == found[1]
    assert len({span.span_id for span in found[0]}) == len(found[0]) == 4


def test_commands_that_are_redriven_have_one() -> None:
    lane = LaneInMemory()
    lane.step(lane.record(command(), topic=topics.COMMANDS, headers=[(names.REDRIVEN, b"3-14")]))
    (span,) = spans_of(lane)
    assert (span.why, dict(span.more)["hopline.replay"]) == (Why.REPLAYED, "3-14")


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_whatever_headers_hold_is_a_context_or_none(one: bytes, other: bytes) -> None:
    record = PlainRecord(
        topics.SIGNALS_IN, 0, 0, 0, None, event(), [(trace.TRACEPARENT, one), ("ce_traceparent", other)]
    )
    signal = envelope.decode(record)
    found = trace.of_record(record)
    assert found is None or trace.valid(found)
    assert isinstance(signal, Rejected) or trace.sampled(signal) in {None, one}


@given(st.from_regex(rb"\A00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\Z"))
def test_the_flag_is_what_w3c_says(traceparent: bytes) -> None:
    signal = envelope.decode(PlainRecord(topics.SIGNALS_IN, 0, 0, 0, None, event(traceparent=traceparent.decode())))
    assert not isinstance(signal, Rejected)
    told = int(traceparent[-2:], 16) & 1 == 1 and trace.valid(traceparent)
    assert (trace.sampled(signal) is not None) == told
    assert trace.flagged(traceparent) == bool(int(traceparent[-2:], 16) & 1)


def test_what_is_replayed_has_one_in_the_trace_that_it_had_and_its_own_id() -> None:
    lane = LaneInMemory()
    lane.send(event(id="1"), event(id="2", traceparent=EVENTS))
    (first,) = spans_of(lane)
    written = [json.loads(value or b"") for _, value, _ in lane.outputs(topics.SIGNALS)]
    start = command("s", type="hopline.replay.start", data={"replay": "r"}, idempotencykey="s")
    lane.step(lane.record(start, topic=topics.COMMANDS))
    assert spans_of(lane) == []
    # As the replay reads them from `signals`: enriched, with what the hop before has left in the header.
    again = [json.dumps({**one, "replayid": "r"}).encode() for one in written]
    carried = lane.outputs(topics.SIGNALS)[1][2][trace.TRACEPARENT]
    lane.step(lane.record(again[0]), lane.record(again[1], headers=[(trace.TRACEPARENT, carried)]))
    own, sampled = spans_of(lane)
    assert (own.why, own.trace_id, own.parent_id) == (Why.REPLAYED, written[0]["traceparent"][3:35], "")
    assert (sampled.why, sampled.trace_id, sampled.parent_id) == (Why.SAMPLED, TRACE, first.span_id)
    assert sampled.span_id != first.span_id
    assert {dict(span.more)["hopline.replay"] for span in (own, sampled)} == {"r"}


def test_an_ordinary_signal_costs_one_look() -> None:
    lane = Timed()
    lane.send(event(id="0"))
    records = [lane.record(event(id=str(n))) for n in range(1, 101)]
    calls: dict[str, int] = {}

    def count(frame: Any, what: str, _: object) -> None:
        home = frame.f_code.co_filename.rpartition("/")[2]
        if what == "call" and (home in {"trace.py", "spans.py"} or frame.f_code.co_name in {"may_note", "_note"}):
            calls[frame.f_code.co_name] = calls.get(frame.f_code.co_name, 0) + 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        lane.step(*records)
    finally:
        sys.setprofile(before)
    assert len(lane.ids()) == 101
    assert calls == {"sampled": 100}
