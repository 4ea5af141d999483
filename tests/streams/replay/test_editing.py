"""A changed copy is what was asked for and nothing else; one that would be set aside again is not sent."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.vocabulary.record import PlainRecord
from processors.vocabulary.signal import Mode, Signal, attributes, data_of
from streams.replay.editing import EditError, edited
from streams.replay.letters import Letter
from tests.processors.vocabulary.records import BASE, STRUCTURED, binary, event, record

NAMES = st.from_regex(r"[a-z][a-z0-9]{0,5}x", fullmatch=True)
DOCUMENTS = st.recursive(st.none() | st.integers() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=3))


def letter(original: PlainRecord, tenant: str = "acme") -> Letter:
    return Letter(0, 3, original, {"dl_tenant": tenant}, None)


def changed(original: PlainRecord, data: bytes | None = None, **changes: str) -> Signal:
    copy = edited(letter(original), changes, data)
    assert copy.signal is not None
    assert copy.original.value == copy.signal.value
    return copy.signal


@given(NAMES, st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=9), DOCUMENTS)
def test_only_what_is_named_changes_in_both_modes(name: str, text: str, data: object) -> None:
    number = b'{"number": 1.10, "big": 123456789012345678901234567890}'
    whole = event(type="old").replace(b'"type"', b'"data":' + number + b',"type"')
    for original, mode in ((record(whole), Mode.STRUCTURED), (binary(number, type="old"), Mode.BINARY)):
        one = changed(original, None, **{name: text, "type": "new"})
        assert (one.mode, data_of(one)) == (mode, number)
        assert attributes(one) == {**BASE, name: text, "type": "new"}
        other = changed(original, json.dumps(data).encode())
        assert json.loads(data_of(other) or b"") == data
        assert attributes(other) == {**BASE, "type": "old"}


def test_an_empty_text_takes_an_attribute_off() -> None:
    for original in (record(event(subject="s")), binary(b"1", subject="s")):
        assert "subject" not in attributes(changed(original, subject=""))


def test_what_is_no_json_becomes_an_event_from_nothing() -> None:
    one = changed(record(b"{no json", [STRUCTURED]), b"[1]", id="1", source="/s", type="a", tenantid="acme")
    assert data_of(one) == b"[1]"


@pytest.mark.parametrize("data", [b"text", b"\xff\x00", b""])
def test_data_of_another_kind_keeps_its_bytes(data: bytes) -> None:
    assert data_of(changed(record(event()), data, datacontenttype="text/plain")) == data


@pytest.mark.parametrize(
    "changes, data, why",
    [
        ({"type": ""}, None, "so changed it would be set aside again"),
        ({}, b"{", "the data is no JSON"),
        ({"tenantid": "bob"}, None, "it belongs to the tenant acme"),
        ({"data": "1"}, None, "'data' cannot be set"),
        ({"replayid": "r"}, None, "'replayid' cannot be set"),
        ({"Type": "a"}, None, "'Type' cannot be set"),
    ],
)
def test_what_must_not_be_is_refused(changes: dict[str, str], data: bytes | None, why: str) -> None:
    with pytest.raises(EditError, match=why):
        edited(letter(record(event())), changes, data)
