"""What a sender left out is added; all else stays byte for byte."""

import json

import pytest

from processors.vocabulary.envelope import enrich
from processors.vocabulary.signal import Absent, attributes, data_of
from tests.processors.vocabulary.records import FULL, LEFT_OUT, STRUCTURED, accepted, binary, event, record

ADDITIONS = {"id": "i", "time": "2026-11-21T10:11:12.123Z", "correlationid": "c", "traceparent": FULL["traceparent"]}
DATA = b'{ "n":1.10, "big":12345678901234567890123, "n":2 }'
ORIGINAL = b'{ "specversion":"1.0" , "source":"/s","type":"a.b","tenantid":"acme","e":"\\u00e4","data": %b }' % DATA


def test_nothing_absent_nothing_changed() -> None:
    made = record(event(**FULL), [("x", b"1"), STRUCTURED])
    value, headers = enrich(accepted(made), ADDITIONS)
    assert value is made.value
    assert headers == list(made.headers)


def test_added_before_the_last_brace() -> None:
    value, headers = enrich(accepted(ORIGINAL), ADDITIONS)
    assert value == ORIGINAL[:-1] + b"," + json.dumps(ADDITIONS, separators=(",", ":")).encode()[1:]
    assert headers == [STRUCTURED]


def test_blanks_behind_the_object_stay_behind_it() -> None:
    value, _ = enrich(accepted(ORIGINAL + b"\r\n "), ADDITIONS)
    assert value is not None
    assert value.endswith(b'-01"}\r\n ')
    assert accepted(value).absent == Absent.CONTENT_TYPE


def test_numbers_and_repeated_names_in_data_survive() -> None:
    value, headers = enrich(accepted(ORIGINAL), ADDITIONS)
    again = accepted(record(value, headers))
    assert data_of(again) == DATA
    assert attributes(again)["e"] == "ä"


def test_what_is_there_is_not_added_again() -> None:
    value, _ = enrich(accepted(event(id="mine")), ADDITIONS)
    assert value is not None
    assert value.count(b'"id":') == 1
    assert accepted(value).id == "mine"


def test_added_texts_are_escaped() -> None:
    signal = accepted(event(id=LEFT_OUT))
    value, _ = enrich(signal, {**ADDITIONS, "id": 'a"b\\c ä'})
    assert value is not None
    assert accepted(value).id == 'a"b\\c ä'


def test_the_tenant_is_added_where_the_key_told_it() -> None:
    signal = accepted(record(event(tenantid=LEFT_OUT), (), b"acme"))
    value, _ = enrich(signal, ADDITIONS)
    assert value is not None
    assert accepted(value).tenant == "acme"
    assert json.loads(value)["tenantid"] == "acme"


@pytest.mark.parametrize(
    "name, written", [("id", b"null"), ("time", b"null"), ("traceparent", b'"none"'), ("traceparent", b"7")]
)
def test_what_cannot_be_used_is_replaced_and_not_doubled(name: str, written: bytes) -> None:
    more = b',"%b":%b,"data": 1.10}' % (name.encode(), written)
    original = event(**{**FULL, name: LEFT_OUT})[:-1] + more
    value, _ = enrich(accepted(original), ADDITIONS)
    assert value is not None
    pairs = json.loads(value, object_pairs_hook=list)
    assert [text for member, text in pairs if member == name] == [ADDITIONS[name]]
    assert data_of(accepted(value)) == b"1.10"


@pytest.mark.parametrize("traceparent", [LEFT_OUT, "none"])
def test_a_tracestate_does_not_join_another_trace(traceparent: object) -> None:
    members = {**FULL, "traceparent": traceparent, "tracestate": "rojo=1"}
    value, _ = enrich(accepted(event(**members)), ADDITIONS)
    assert value is not None
    assert "tracestate" not in json.loads(value)
    _, headers = enrich(accepted(binary(**members)), ADDITIONS)
    assert "ce_tracestate" not in dict(headers)


def test_a_tracestate_stays_with_its_traceparent() -> None:
    value, _ = enrich(accepted(event(traceparent=FULL["traceparent"], tracestate="rojo=1")), ADDITIONS)
    assert value is not None
    assert json.loads(value)["tracestate"] == "rojo=1"


def test_binary_mode_gets_headers() -> None:
    made = binary(b"\xff", ("x", b"1"), ("content-type", b"text/plain"), id=LEFT_OUT, tenantid=LEFT_OUT)
    made = record(made.value, made.headers, b"acme")
    value, headers = enrich(accepted(made), ADDITIONS)
    assert value == b"\xff"
    assert headers[: len(made.headers)] == list(made.headers)
    assert dict(headers[len(made.headers) :]) == {
        "ce_id": b"i",
        "ce_time": b"2026-11-21T10:11:12.123Z",
        "ce_correlationid": b"c",
        "ce_traceparent": FULL["traceparent"].encode(),
        "ce_tenantid": b"acme",
    }


def test_a_header_without_a_value_is_replaced() -> None:
    made = binary(None, ("ce_time", None))
    _, headers = enrich(accepted(made), ADDITIONS)
    assert [value for name, value in headers if name == "ce_time"] == [b"2026-11-21T10:11:12.123Z"]


def test_a_content_type_without_a_value_is_replaced() -> None:
    _, headers = enrich(accepted(record(event(**FULL), [("content-type", None)])), {})
    assert headers == [STRUCTURED]


def test_only_what_the_pipeline_adds_can_be_added() -> None:
    with pytest.raises(KeyError):
        enrich(accepted(event()), {"subject": "x"})
