"""HTTP requests become records as the HTTP binding of CloudEvents says."""

import pytest

from processors.vocabulary.envelope import from_http, is_batch
from processors.vocabulary.reasons import Reason, Rejected
from processors.vocabulary.signal import Mode, attributes
from tests.processors.vocabulary.records import BASE, accepted, event, record, refused

CE = {f"ce-{name}": text for name, text in BASE.items()}


def test_structured() -> None:
    body = event()
    made = from_http("application/cloudevents+json; charset=UTF-8", {"ce-id": "other", "host": "h"}, body)
    assert made == (body, [("content-type", b"application/cloudevents+json; charset=UTF-8")])


def test_structured_without_a_content_type() -> None:
    made = from_http(None, {"host": "h"}, event())
    assert made == (event(), [])


def test_binary() -> None:
    made = from_http("application/json", {"Host": "h", "CE-Subject": "x", **CE}, b'{"a":1}')
    assert not isinstance(made, Rejected)
    signal = accepted(record(*made))
    assert signal.mode is Mode.BINARY
    assert signal.value == b'{"a":1}'
    assert attributes(signal) == {**BASE, "subject": "x", "datacontenttype": "application/json"}


@pytest.mark.parametrize(
    "written, text",
    [
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        ("Euro%20%e2%82%ac", "Euro €"),
        ("%61bc", "abc"),
        ('"a \\"b\\" \\\\ c"', 'a "b" \\ c'),
        ('"a%20b"', "a b"),
        ("100%", "100%"),
        ("%2520", "%20"),
        ("  a  ", "a"),
        ('"', '"'),
    ],
)
def test_header_values_are_unquoted_and_decoded_once(written: str, text: str) -> None:
    made = from_http(None, {**CE, "ce-subject": written}, b"")
    assert not isinstance(made, Rejected)
    assert dict(made[1])["ce_subject"] == text.encode()


@pytest.mark.parametrize("written", ["%C0%A0", "%FF", "%ED%A0%80", "\udcff"])
def test_bytes_that_are_no_utf8_are_refused(written: str) -> None:
    made = from_http(None, {**CE, "ce-subject": written}, b"")
    assert isinstance(made, Rejected)
    assert made.reason is Reason.NOT_UTF8
    assert [problem.field for problem in made.problems] == ["ce-subject"]


def test_control_characters_that_percent_encoding_hides_are_refused() -> None:
    made = from_http(None, {**CE, "ce-subject": "a%0D%0Ab"}, b"")
    assert not isinstance(made, Rejected)
    assert [problem.field for problem in refused(record(*made)).problems] == ["subject"]


def test_no_body_and_no_content_type_is_no_data() -> None:
    assert from_http(None, CE, b"")[0] is None  # type: ignore[index]
    assert from_http("text/plain", CE, b"")[0] == b""  # type: ignore[index]


def test_datacontenttype_beside_content_type_is_ambiguous() -> None:
    made = from_http("text/plain", {**CE, "ce-datacontenttype": "text/xml"}, b"x")
    assert not isinstance(made, Rejected)
    assert refused(record(*made)).reason is Reason.DUPLICATE_ATTRIBUTE


def test_plain_json_is_told_what_to_send() -> None:
    made = from_http("application/json", {"host": "h"}, event())
    assert not isinstance(made, Rejected)
    (problem,) = refused(record(*made)).problems
    assert "application/cloudevents+json" in problem.message


def test_batch_is_recognised() -> None:
    assert is_batch("application/cloudevents-batch+json; charset=utf-8")
    assert is_batch(" Application/CloudEvents-Batch+JSON")
    assert not is_batch("application/cloudevents+json")
    assert not is_batch(None)
