"""The door to the letter: what each record becomes, what is counted for whom, what stays ready, what is damage."""

import json
from typing import Any, Final

import pytest

from processors.directives.record import HOP as DIRECTIVES
from processors.formats import NEWEST
from processors.ingest import IngestSettings, Over, Policy, queue
from processors.ingest.tenant import Status
from processors.lane import ledger_mismatches
from processors.step import CulpritError, Outcome, Verdict
from processors.telemetry import trace
from processors.vocabulary import headers as names
from processors.vocabulary import topics
from processors.vocabulary.ids import coordinate_id, digest
from processors.vocabulary.reasons import Reason
from processors.vocabulary.timestamps import rfc3339
from tests.processors.lanes import NOW_MS, LaneInMemory, event, tenant_of_lane

SAMPLED: Final = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
PLAIN: Final = "00-" + "a" * 32 + "-" + "b" * 16 + "-00"
FORMAT: Final = b"%d" % NEWEST
CAME: Final = b"0/%d" % NOW_MS
JSON: Final = {"content-type": b"application/cloudevents+json"}


def lane_with(**policy: Any) -> LaneInMemory:
    return LaneInMemory(ingest=IngestSettings(Policy(**policy)))


def member(identity: str, name: str = "acme", source: str = "/shop") -> bytes:
    return digest(f"{name}\0{source}\0{identity}".encode())


def test_a_signal_without_anything_gets_all_of_it_from_its_place() -> None:
    lane = LaneInMemory()
    plain = json.loads(event())
    del plain["id"]
    lane.send(json.dumps(plain).encode())
    ((key, value, headers),) = lane.outputs(topics.SIGNALS)
    identity = coordinate_id(topics.SIGNALS_IN, 0, 0)
    own = member(identity).hex()
    assert key == b"acme"
    assert json.loads(value or b"") == {
        **plain,
        "id": identity,
        "time": rfc3339(NOW_MS),
        "correlationid": identity,
        "traceparent": f"00-{own}-{own[:16]}-00",
    }
    assert headers == {**JSON, names.CAME: CAME, names.FORMAT: FORMAT}
    assert lane.commits[-1].spans == []
    assert lane.commits[-1].handled_ms == [NOW_MS]


def test_what_a_signal_has_stays_as_it_is() -> None:
    lane = LaneInMemory()
    given = {"id": "a", "time": "2020-01-01T00:00:00Z", "correlationid": "c", "traceparent": PLAIN}
    lane.send(event(**given))
    ((_, value, _),) = lane.outputs(topics.SIGNALS)
    assert value == event(**given)


def test_in_binary_mode_as_well() -> None:
    lane = LaneInMemory()
    attributes = {"specversion": "1.0", "id": "a", "source": "/shop", "type": "t"}
    headers = [(f"ce_{name}", text.encode()) for name, text in attributes.items()]
    lane.send(b"data", key=b"acme", headers=[*headers, ("mine", b"m"), (names.BY, b"x"), (names.FORMAT, b"7")])
    ((key, value, out),) = lane.outputs(topics.SIGNALS)
    own = member("a").hex()
    assert (key, value) == (b"acme", b"data")
    assert out["mine"] == b"m"
    assert names.BY not in out
    assert out[names.FORMAT] == FORMAT
    assert out["ce_correlationid"] == b"a"
    assert out["ce_traceparent"] == f"00-{own}-{own[:16]}-00".encode()


def test_the_trace_of_kafkas_header_goes_into_a_signal_that_has_none() -> None:
    lane = LaneInMemory()
    lane.send(event(id="a"), headers=[(trace.TRACEPARENT, PLAIN.encode())])
    ((_, value, _),) = lane.outputs(topics.SIGNALS)
    assert json.loads(value or b"")["traceparent"] == PLAIN


def test_a_sampled_signal_leaves_a_span_and_hands_its_trace_on() -> None:
    lane = LaneInMemory()
    lane.send(event(id="a", traceparent=SAMPLED), headers=[(trace.TRACEPARENT, b"old"), ("mine", b"m")])
    span_id = digest(b"ingest", SAMPLED.encode(), topics.SIGNALS_IN.encode(), b"0/0")[:8].hex()
    assert lane.commits[-1].spans == [
        trace.Span(
            "a" * 32,
            "b" * 16,
            span_id,
            topics.SIGNALS_IN,
            0,
            0,
            "acme",
            "a",
            NOW_MS,
            events=(trace.Event("stepped", NOW_MS),),
            links=(SAMPLED,),
            more=(("hopline.hop", "ingest"),),
        )
    ]
    ((_, value, headers),) = lane.outputs(topics.SIGNALS)
    assert headers == {
        **JSON,
        "mine": b"m",
        trace.TRACEPARENT: f"00-{'a' * 32}-{span_id}-01".encode(),
        names.CAME: CAME,
        names.FORMAT: FORMAT,
    }
    assert json.loads(value or b"")["traceparent"] == SAMPLED, "the sender's own stays"


def test_spans_are_bounded_and_traces_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "SPANS_MAX", 2)
    lane = LaneInMemory()
    lane.send(*(event(id=str(n), traceparent=SAMPLED) for n in range(4)))
    assert [span.signal_id for span in lane.commits[-1].spans] == ["0", "1"]
    assert lane.commits[-1].spans_dropped == 2
    assert all(trace.TRACEPARENT in headers for _, _, headers in lane.outputs(topics.SIGNALS))


def test_a_command_passes_enriched_without_our_headers() -> None:
    lane = LaneInMemory()
    value = event(type="hopline.tenant.set", data={"burst": 7}, id="c1")
    headers = [(names.BY, b"x"), ("mine", b"m"), (names.STEPPED, b"1"), (names.FORMAT, b"9")]
    lane.step(lane.record(value, topic=topics.COMMANDS, key=b"acme", headers=headers))
    ((key, passed, out),) = lane.outputs(topics.DIRECTIVES)
    assert key == b"acme"
    assert out == {**JSON, "mine": b"m", names.FORMAT: FORMAT, names.STEPPED: b"1"}
    assert json.loads(passed or b"")["correlationid"] == "c1"
    assert json.loads(passed or b"")["time"] == rfc3339(NOW_MS)
    assert lane.commits[-1].tally["ingest", Outcome.HANDLED] == {"acme": 1}
    assert lane.position.ledger[f"{DIRECTIVES}/in"] == 1


def test_commands_and_signals_of_another_lane_are_moved_and_the_rest_goes_on() -> None:
    mine, other = tenant_of_lane(0, 2), tenant_of_lane(1, 2)
    lane = LaneInMemory(lanes=2)
    found = [
        lane.record(event(other, id="x", type="hopline.tenant.set", data={}), topic=topics.COMMANDS),
        lane.record(event(mine, id="y", type="hopline.tenant.set", data={"burst": 2}), topic=topics.COMMANDS),
        lane.record(event(other, id="a")),
        lane.record(event(mine, id="b"), headers=[("mine", b"m")]),
        lane.record(event(other, id="c"), headers=[("theirs", b"t"), (names.MOVED, b"1/1")]),
        lane.record(event(mine, id="d")),
    ]
    lane.step(*found)
    ((key, value, headers),) = lane.outputs(topics.COMMANDS, lane=1)
    assert (key, headers) == (other.encode(), {names.MOVED: b"0/0"})
    assert json.loads(value or b"")["id"] == "x"
    ((key, value, headers),) = lane.outputs(topics.SIGNALS_IN, lane=1)
    assert (key, value, headers) == (other.encode(), event(other, id="a"), {names.MOVED: b"0/0"})
    assert lane.ids() == ["b", "d"]
    assert lane.reasons() == ["moved_twice"]
    ((_, _, letter),) = lane.outputs(topics.DEAD_LETTERS)
    assert (letter[names.DEAD_TENANT], letter[names.DEAD_HOP], letter["theirs"]) == (other.encode(), b"ingest", b"t")
    assert lane.commits[-1].tally["ingest", Outcome.MOVED] == {other: 2}
    assert lane.account(mine).policy.burst == 2
    assert not lane.account(other).known


def test_each_tenant_is_counted_for_itself() -> None:
    lane = LaneInMemory()
    lane.command("b", status="suspended")
    lane.send(
        *(event("a", id=each) for each in ("1", "1", "2", "1")),
        *(event("b", id=each) for each in ("1", "2")),
        event("c", id="1"),
    )
    lane.send(event("a", id="1"), event("c", id="1"), event("b", id="1"))
    first, second = lane.commits[-2:]
    assert first.tally["ingest", Outcome.HANDLED] == {"a": 2, "c": 1}
    assert first.tally["ingest", Outcome.DUPLICATE] == {"a": 2}
    assert first.tally["ingest", Outcome.DEAD] == {"b": 2}
    assert second.tally["ingest", Outcome.DUPLICATE] == {"a": 1, "c": 1}
    assert second.tally["ingest", Outcome.HANDLED] == {}
    a, b, c = (lane.account(name) for name in "abc")
    assert (a.handled, a.duplicates, a.dead) == (2, 3, 0)
    assert (b.handled, b.duplicates, b.dead, b.commands) == (0, 0, 3, 1)
    assert (c.handled, c.duplicates, c.dead) == (1, 1, 0)
    dead = {(hop, tenant, reason): count for (hop, tenant, reason, _), (count, *_) in first.dead.items()}
    assert dead == {("ingest", "b", Reason.TENANT_SUSPENDED): 2}
    letters = [headers for _, _, headers in lane.outputs(topics.DEAD_LETTERS)]
    assert {letter[names.DEAD_TENANT] for letter in letters} == {b"b"}


def test_a_queue_is_bounded_by_bytes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(event(id="0"))
    monkeypatch.setattr(queue, "QUEUE_BYTES_MAX", 2 * size)
    lane = lane_with(rate_per_second=1, burst=1)
    lane.send(*(event(id=str(n)) for n in range(4)))
    assert (lane.account().queued, lane.account().queue_bytes) == (2, 2 * size)
    assert lane.reasons() == ["rate_limited"]
    assert lane.account().dead == 1
    lane.now_ms += 1_000
    lane.step()
    assert (lane.account().queued, lane.account().queue_bytes) == (1, size)
    assert lane.commits[-1].tally["ingest", Outcome.DEFERRED] == {"acme": -1}
    lane.now_ms += 1_000
    lane.step()
    assert (lane.account().queued, lane.account().queue_bytes, lane.account().due_ms) == (0, 0, 0)
    assert not [key for key in lane.store.values if b"queue/" in key or b"due/" in key]


def test_what_waited_comes_out_as_it_came_in() -> None:
    lane = lane_with(rate_per_second=1, burst=1)
    lane.send(event(id="0"))
    lane.send(event(id="1"), key=b"acme", headers=[("mine", b"m"), ("none", None)])
    lane.now_ms += 1_000
    lane.step()
    _, (key, value, headers) = lane.outputs(topics.SIGNALS)
    assert (key, headers) == (
        b"acme",
        {**JSON, "mine": b"m", "none": None, names.CAME: b"1/%d" % NOW_MS, names.FORMAT: FORMAT},
    )
    assert json.loads(value or b"")["time"] == rfc3339(NOW_MS), "when it came, not when it was let go"
    assert lane.commits[-1].handled_ms == [NOW_MS]


def test_many_that_wait_are_let_go_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "RELEASES_MAX", 3)
    lane = LaneInMemory()
    for name in ("a", "b"):
        lane.command(name, held=True)
        lane.send(*(event(name, id=str(n)) for n in range(4)))
    for name in ("a", "b"):
        lane.command(name, id="c2", held=False)
    released = []
    while any(lane.account(name).queued for name in ("a", "b")):
        assert lane.commits[-1].due_ms is not None
        lane.step()
        released.append(-sum(lane.commits[-1].tally["ingest", Outcome.DEFERRED].values()))
    assert max(released) == 3
    assert sum(released) + 3 >= 8
    assert lane.ids().count("3") == 2
    assert ledger_mismatches(lane.position.ledger) == {}


def _waiting() -> LaneInMemory:
    lane = lane_with(rate_per_second=1, burst=1)
    lane.send(*(event(id=str(n)) for n in range(4)))
    assert lane.account().queued == 3
    return lane


def test_one_that_is_condemned_while_it_waits_is_set_aside_and_the_next_goes_on() -> None:
    lane = _waiting()
    lane.now_ms += 2_000
    lane.step(verdicts={(topics.SIGNALS_IN, 1): Verdict(Reason.BUG, "the stack")})
    assert lane.reasons() == ["bug"]
    ((_, value, headers),) = lane.outputs(topics.DEAD_LETTERS)
    assert value == event(id="1")
    assert (headers[names.DEAD_OFFSET], headers[names.DEAD_HOP]) == (b"1", b"ingest")
    assert headers[names.DEAD_STACK] == b"the stack"
    assert headers[names.DEAD_TOPIC] == topics.SIGNALS_IN.encode()
    assert lane.ids() == ["0"], "its token was taken, and one is earned a second, up to one"
    lane.now_ms += 1_000
    lane.step()
    assert lane.ids() == ["0", "2"]
    assert ledger_mismatches(lane.position.ledger) == {}


def test_one_that_fails_while_it_is_let_go_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    lane = _waiting()

    def buggy(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("processors.ingest.hop._once", buggy)
    lane.now_ms += 1_000
    with pytest.raises(CulpritError, match=r"the record signals\.in/1 that waited fails") as raised:
        lane.step()
    assert (raised.value.topic, raised.value.offset) == (topics.SIGNALS_IN, 1)


def test_what_is_no_longer_valid_when_it_is_let_go_is_set_aside_and_says_so() -> None:
    lane = _waiting()
    key = next(key for key in lane.store.values if b"queue/" in key)
    lane.store.apply({key: lane.store.values[key].replace(b'"specversion": "1.0"', b'"specversion": "9.9"')})
    lane.now_ms += 1_000
    lane.step()
    ((_, _, headers),) = lane.outputs(topics.DEAD_LETTERS)
    assert headers[names.DEAD_REASON] == b"invalid_envelope"
    assert headers[names.DEAD_TENANT] == b"acme"
    assert headers[names.DEAD_TOPIC] == topics.SIGNALS_IN.encode()
    problems = json.loads(headers[names.DEAD_PROBLEMS] or b"")
    assert problems[0]["field"] == "specversion"
    assert problems[-1] == {"field": "", "message": "no longer valid under this version's rules"}
    assert lane.account().dead == 1


@pytest.mark.parametrize("status", [Status.SUSPENDED, Status.DELETED])
def test_what_waits_for_a_tenant_that_is_not_active_is_set_aside_without_a_token(status: Status) -> None:
    lane = _waiting()
    lane.command(status=status.value)
    lane.now_ms += 1_000
    lane.step()
    assert lane.reasons() == [f"tenant_{status.value}"] * 3
    assert (lane.account().queued, lane.account().dead, lane.account().handled) == (0, 3, 1)
    letter = lane.outputs(topics.DEAD_LETTERS)[0][2]
    assert (letter[names.DEAD_TENANT], letter[names.DEAD_TOPIC]) == (b"acme", topics.SIGNALS_IN.encode())


def test_a_record_that_is_missing_from_its_queue_is_damage() -> None:
    lane = _waiting()
    key = next(key for key in lane.store.values if b"queue/" in key)
    assert key == queue.queue_prefix("acme") + (0).to_bytes(8, "big") == b"Kacme\x00ingest\x00queue/" + bytes(8)
    lane.store.apply({key: None})
    lane.now_ms += 1_000
    with pytest.raises(LookupError, match="queue of 'acme' has no record 0: its state is damaged"):
        lane.step()


def test_a_held_tenant_that_refuses_what_is_too_much_keeps_what_comes_while_it_is_held() -> None:
    lane = lane_with(rate_per_second=1, burst=1, over=Over.REFUSE, queue_records=1)
    lane.command(held=True)
    lane.send(event(id="0"), event(id="1"))
    assert (lane.account().queued, lane.reasons()) == (1, ["rate_limited"])
    assert lane.commits[-1].due_ms is None, "nothing falls due while it is held"
    assert lane.commits[-1].tally["ingest", Outcome.DEFERRED] == {"acme": 1}


def test_a_condemned_record_is_set_aside_and_the_others_are_stepped() -> None:
    lane = LaneInMemory()
    found = [lane.record(event(id=str(n))) for n in range(3)]
    lane.step(*found, verdicts={(topics.SIGNALS_IN, 1): Verdict(Reason.STUCK, "the stack")})
    assert lane.ids() == ["0", "2"]
    assert lane.reasons() == ["stuck"]
    ((_, value, headers),) = lane.outputs(topics.DEAD_LETTERS)
    assert (value, headers[names.DEAD_HOP], headers[names.DEAD_TOPIC]) == (event(id="1"), b"ingest", b"signals.in")
    assert (headers[names.DEAD_TENANT], headers[names.DEAD_STACK]) == (b"", b"the stack")
    lane.send(None)
    assert lane.reasons() == ["stuck", "null_value"]
