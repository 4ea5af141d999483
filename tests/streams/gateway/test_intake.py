"""A request becomes records of `signals.in`, judged as the lane will judge them."""

import itertools
import json
from collections.abc import Mapping
from typing import Any

import pytest

from processors.vocabulary import envelope, topics
from processors.vocabulary.limits import SIGNAL_BYTES_MAX
from processors.vocabulary.reasons import Reason, Rejected
from processors.vocabulary.record import PlainRecord
from processors.vocabulary.signal import Signal, attributes, data_of
from streams.gateway import intake
from streams.gateway.intake import Entry, NewId

STRUCTURED = "application/cloudevents+json"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def new_id() -> NewId:
    numbers = itertools.count(1)
    return lambda _tenant, _index: f"ours-{next(numbers)}"


def event(**attributes_: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": "e1", "source": "/s", "type": "a.b", "tenantid": "t", **attributes_}


def signal_of(entry: Entry | Rejected) -> Signal:
    """Decode an entry as the lane does: keyed by its tenant."""
    assert isinstance(entry, Entry), entry
    record = PlainRecord(topics.SIGNALS_IN, 0, 0, 0, entry.tenant.encode(), entry.value, entry.headers)
    found = envelope.decode(record)
    assert isinstance(found, Signal), found
    return found


@pytest.mark.parametrize(
    "content_type, headers, mode",
    [
        (STRUCTURED, {}, "structured"),
        ("Application/CloudEvents+JSON; charset=utf-8", {}, "structured"),
        ("application/cloudevents-batch+json", {}, "batch"),
        ("application/cloudevents-batch+json; charset=utf-8", {"ce-id": "1"}, "batch"),
        ("text/plain", {"CE-Specversion": "1.0"}, "binary"),
        (None, {"ce-id": "1"}, "binary"),
    ],
)
def test_the_mode_is_told_by_the_content_type_and_the_headers(
    content_type: str | None, headers: Mapping[str, str], mode: str
) -> None:
    assert intake.mode_of(content_type, headers) == mode


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/json", "application/cloudevents-batch+avro"])
def test_what_is_no_event_by_its_content_type_is_refused(content_type: str | None) -> None:
    found = intake.mode_of(content_type, {})
    assert isinstance(found, Rejected)
    assert found.reason is Reason.UNSUPPORTED_MODE


def test_a_structured_event_is_carried_byte_for_byte(new_id: NewId) -> None:
    body = json.dumps(event(data={"x": [1, 2]}, colour="red"), indent=2).encode()
    found = intake.single(STRUCTURED, {}, body, new_id)
    assert isinstance(found, Entry)
    assert (found.id, found.tenant, found.value) == ("e1", "t", body)


def test_a_binary_event_becomes_a_binary_record(new_id: NewId) -> None:
    headers = {f"ce-{name}": value for name, value in event(subject="Z%C3%BCrich").items()}
    found = signal_of(intake.single("text/plain", headers, b"hello", new_id))
    assert data_of(found) == b"hello"
    assert attributes(found)["subject"] == "Zürich"
    assert attributes(found)["datacontenttype"] == "text/plain"


@pytest.mark.parametrize("missing", [{}, {"id": None}], ids=["absent", "null"])
def test_an_event_without_an_id_gets_one(new_id: NewId, missing: dict[str, Any]) -> None:
    given = event()
    del given["id"]
    found = intake.single(STRUCTURED, {}, json.dumps(given | missing).encode(), new_id)
    assert isinstance(found, Entry)
    assert found.id == "ours-1"
    assert signal_of(found).id == "ours-1"


def test_a_binary_event_without_an_id_gets_one(new_id: NewId) -> None:
    headers = {f"ce-{name}": value for name, value in event().items() if name != "id"}
    found = intake.single("text/plain", headers, b"", new_id)
    assert signal_of(found).id == "ours-1"


def test_an_event_that_our_id_makes_too_large_is_refused_here_and_not_by_the_lane(
    new_id: NewId,
) -> None:
    given = event(data="")
    del given["id"]
    room = SIGNAL_BYTES_MAX - len(json.dumps(given))
    given["data"] = "x" * (room - 3)
    body = json.dumps(given).encode()
    assert len(body) < SIGNAL_BYTES_MAX
    found = intake.single(STRUCTURED, {}, body, new_id)
    assert isinstance(found, Rejected)
    assert found.reason is Reason.TOO_LARGE


def test_what_is_wrong_is_said_field_by_field(new_id: NewId) -> None:
    found = intake.single(STRUCTURED, {}, json.dumps(event(type="a..b", tenantid="_x", time="noon")).encode(), new_id)
    assert isinstance(found, Rejected)
    assert {problem.field for problem in found.problems} == {"type", "tenantid", "time"}


def test_an_attribute_sent_twice_as_headers_is_refused(new_id: NewId) -> None:
    from multidict import CIMultiDict  # noqa: PLC0415  # what aiohttp gives

    headers = CIMultiDict([(f"ce-{name}", value) for name, value in event().items()] + [("ce-source", "/other")])
    found = intake.single("text/plain", headers, b"", new_id)
    assert isinstance(found, Rejected)
    assert found.reason is Reason.DUPLICATE_ATTRIBUTE


def test_the_trace_context_of_the_request_becomes_headers_of_the_record(new_id: NewId) -> None:
    body = json.dumps(event()).encode()
    found = intake.single(STRUCTURED, {"traceparent": TRACE, "tracestate": "a=b"}, body, new_id)
    assert isinstance(found, Entry)
    assert found.headers[-2:] == [("traceparent", TRACE.encode()), ("tracestate", b"a=b")]
    signal_of(found)


@pytest.mark.parametrize(
    "headers",
    [
        {"traceparent": "nonsense", "tracestate": "a=b"},
        {"tracestate": "a=b"},
        {"traceparent": TRACE.replace("0af7", "xxxx")},
    ],
)
def test_what_is_no_trace_context_is_left_out(new_id: NewId, headers: dict[str, str]) -> None:
    found = intake.single(STRUCTURED, headers, json.dumps(event()).encode(), new_id)
    assert isinstance(found, Entry)
    assert not [name for name, _ in found.headers if name.startswith("trace")]


def test_a_batch_is_judged_event_by_event(new_id: NewId) -> None:
    first, third = event(id="one"), event(tenantid="u")
    del third["id"]
    body = json.dumps([first, event(type=""), third, 7]).encode()
    found = intake.batch({"traceparent": TRACE}, body, 10, new_id)
    assert isinstance(found, list)
    assert isinstance(found[1], Rejected)
    assert isinstance(found[3], Rejected)
    assert (signal_of(found[0]).id, signal_of(found[2]).id) == ("one", "ours-1")
    assert isinstance(found[2], Entry)
    assert (found[2].tenant, found[2].headers[-1]) == ("u", ("traceparent", TRACE.encode()))


@pytest.mark.parametrize(
    "body, reason", [(b"{}", Reason.INVALID_ENVELOPE), (b"[", Reason.NOT_JSON), (b"[1,2,3]", Reason.TOO_LARGE)]
)
def test_what_is_no_batch_is_refused_as_a_whole(new_id: NewId, body: bytes, reason: Reason) -> None:
    found = intake.batch({}, body, 2, new_id)
    assert isinstance(found, Rejected)
    assert found.reason is reason
