"""A signal is marked with its replay; its bytes, its id and its time stay."""

import json

from hypothesis import given
from hypothesis import strategies as st

from processors.vocabulary import envelope
from processors.vocabulary import headers as names
from processors.vocabulary.ids import coordinate_id
from processors.vocabulary.marking import marked
from processors.vocabulary.record import PlainRecord
from processors.vocabulary.signal import Signal, attributes, data_of

DATA = b'{ "n":1.10, "big":12345678901234567890123, "n":2 }'
WHOLE = (
    b'{"specversion":"1.0","id":"1","source":"/s","type":"a.b","tenantid":"acme","time":"2026-01-01T00:00:00Z",'
    b'"correlationid":"c","odd":"\\u00e4","data":%b} ' % DATA
)


def record(value: bytes | None, headers: tuple[tuple[str, bytes | None], ...] = ()) -> PlainRecord:
    return PlainRecord("signals.in", 3, 17, 1_800_000_000_000, b"acme", value, headers)


def again(came: PlainRecord, replay: str = "r") -> tuple[Signal, PlainRecord]:
    signal = envelope.decode(came)
    assert isinstance(signal, Signal)
    value, headers = marked(signal, came.topic, came, replay)
    written = PlainRecord("signals.in", 0, 0, 0, came.key, value, tuple(headers))
    found = envelope.decode(written)
    assert isinstance(found, Signal), found
    return found, written


def test_structured_the_mark_is_all_that_is_added() -> None:
    found, written = again(record(WHOLE))
    assert written.value == WHOLE.replace(b"} ", b'"replayid":"r"} ', 0).rstrip()[:-1] + b',"replayid":"r"} '
    assert (found.replayid, data_of(found)) == ("r", DATA)
    assert attributes(found)["odd"] == "ä"


def test_a_mark_that_is_there_is_replaced_also_one_of_nothing() -> None:
    for before in (b'"other"', b"null"):
        found, written = again(record(WHOLE.replace(b'"odd"', b'"replayid":%b,"odd"' % before)))
        assert found.replayid == "r"
        assert (written.value or b"").count(b'"replayid"') == 1
        assert data_of(found) == DATA


def test_a_word_in_the_data_is_no_mark() -> None:
    found, _ = again(record(WHOLE.replace(DATA, b'{"replayid":"x"}')))
    assert (found.replayid, data_of(found)) == ("r", b'{"replayid":"x"}')


def test_binary_the_data_is_untouched_and_headers_survive() -> None:
    plain = {"specversion": "1.0", "id": "1", "source": "/s", "type": "a.b", "tenantid": "acme", "replayid": "old"}
    headers = [(f"ce_{name}", text.encode()) for name, text in plain.items()]
    ours = [(name, b"x") for name in sorted(names.OURS)]
    found, written = again(record(b"\xff\x00", (*headers, ("x-own", b"1"), *ours)))
    assert written.value == b"\xff\x00"
    assert found.replayid == "r"
    assert ("x-own", b"1") in written.headers
    assert not {name for name, _ in written.headers} & names.OURS


def test_what_the_door_derived_from_its_place_is_written_down() -> None:
    came = record(b'{"specversion":"1.0","source":"/s","type":"a.b"}')
    found, _ = again(came)
    assert found.id == coordinate_id("signals.in", 3, 17)
    assert attributes(found)["time"] == "2027-01-15T08:00:00.000Z"
    assert attributes(found)["correlationid"] == found.id
    assert found.tenant == "acme"


def test_a_trace_that_cannot_be_read_is_left_to_the_door() -> None:
    found, _ = again(record(WHOLE.replace(b'"odd"', b'"tracestate":"a=b","odd"')))
    assert data_of(found) == DATA


@given(st.dictionaries(st.from_regex(r"[a-c]{1,4}", fullmatch=True), st.text(max_size=5), max_size=4), st.booleans())
def test_marked_again_it_is_as_marked_once(extensions: dict[str, str], spaced: bool) -> None:
    plain = {"specversion": "1.0", "id": "1", "source": "/s", "type": "a.b", "tenantid": "acme", "data": [1]}
    separators = (", ", ": ") if spaced else (",", ":")
    came = record(json.dumps({**extensions, **plain}, separators=separators).encode())
    if not isinstance(envelope.decode(came), Signal):
        return
    once, written = again(came)
    twice, _ = again(written, "s")
    assert attributes(twice) == attributes(once) | {"replayid": "s"}
    assert data_of(twice) == data_of(once) == b"[1]"
