"""Records become signals, or refusals that say what to send."""

import json
import sys
import time
from typing import Any

import pytest

from processors.vocabulary.envelope import decode, decode_batch
from processors.vocabulary.limits import ATTRIBUTE_COUNT_MAX, DEPTH_MAX, PROBLEMS_MAX, SIGNAL_BYTES_MAX
from processors.vocabulary.reasons import Reason, Rejected
from processors.vocabulary.signal import Absent, Mode, Signal
from tests.processors.vocabulary.records import FULL, LEFT_OUT, STRUCTURED, accepted, binary, event, record, refused

ALL_ABSENT = Absent.ID | Absent.TIME | Absent.CORRELATIONID | Absent.TRACEPARENT


def test_a_structured_event() -> None:
    value = event(**FULL)
    signal = accepted(record(value, [STRUCTURED], b"acme"))
    assert signal == Signal("acme", "/s", "1", "a.b", Mode.STRUCTURED, value, (STRUCTURED,), 0, "", FULL["traceparent"])


def test_a_binary_event() -> None:
    made = binary(b"anything", **FULL)
    assert accepted(made) == Signal(
        "acme", "/s", "1", "a.b", Mode.BINARY, b"anything", made.headers, 0, "", FULL["traceparent"]
    )


def test_what_is_absent() -> None:
    assert accepted(event(id=LEFT_OUT)).absent == ALL_ABSENT | Absent.CONTENT_TYPE
    assert accepted(record(event(id=LEFT_OUT), [STRUCTURED])).absent == ALL_ABSENT
    assert accepted(binary(id=LEFT_OUT)).absent == ALL_ABSENT


@pytest.mark.parametrize("name", ["id", "time", "correlationid", "traceparent"])
def test_null_is_absent_and_must_be_replaced(name: str) -> None:
    absent = accepted(record(event(**{**FULL, name: None}), [STRUCTURED])).absent
    assert absent == getattr(Absent, name.upper()) | Absent.UNUSABLE


def test_a_signal_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        accepted(event()).tenant = "other"  # type: ignore[misc]


@pytest.mark.parametrize("style", [{"separators": (",", ":")}, {}, {"indent": 2}, {"indent": "\t"}])
@pytest.mark.parametrize("extension", [{}, {"myext": "x y", "ext2": -5, "ext3": True, "ext4": None}])
@pytest.mark.parametrize("subject", ["lead/1", "a b  c", "München", 'a"b\\c', "\U0001f600"])
@pytest.mark.parametrize("escaped", [True, False])
def test_every_style_of_writing_is_read_alike(
    style: dict[str, object], extension: dict[str, object], subject: str, escaped: bool
) -> None:
    data = {"a": [1, 2, {"b": 'x "y" z'}], "c d": None}
    members = {**FULL, "subject": subject, **extension, "data": data}
    value = json.dumps(members, ensure_ascii=escaped, **style).encode()  # type: ignore[arg-type]
    signal = accepted(record(value, [STRUCTURED]))
    assert (signal.id, signal.type, signal.absent) == ("1", "a.b", 0)
    assert signal.value is value


@pytest.mark.parametrize("blank", ["", " ", "  ", "\n", "\t\r\n"])
def test_a_second_member_is_found_however_many_blanks_could_hide_it(blank: str) -> None:
    # A value whose length is that of one with blanks must not pass for it.
    for more in range(40):
        text = event().decode().replace(",", "," + " " * more)[:-1] + f',{blank}"id":"{"2" * more}"{blank}}}'
        assert refused(text.encode()).reason is Reason.DUPLICATE_ATTRIBUTE


def test_the_last_of_two_members_never_wins_by_being_right() -> None:
    value = event(**FULL)[:-1] + b',"tenantid":"other"}'
    assert refused(value) == refused(value)
    assert refused(value).reason is Reason.DUPLICATE_ATTRIBUTE
    assert [problem.field for problem in refused(value).problems] == ["tenantid"]


def test_every_problem_is_named_and_the_rest_is_counted() -> None:
    problems = refused(event(**{f"Wrong{number}": "x" for number in range(30)})).problems
    assert len(problems) == PROBLEMS_MAX
    assert problems[0].field == "Wrong0"
    assert problems[-1].message == "and 11 problems more"


def test_a_wrong_type_is_not_missing_as_well() -> None:
    problems = refused(event(source=1.5, tenantid=[], type={})).problems
    assert sorted(problem.field for problem in problems) == ["source", "tenantid", "type"]


def test_names_are_cut_and_escaped_where_they_are_shown() -> None:
    (problem,) = refused(event(**{"\x1b[31m" + "x" * 500: "1"})).problems
    assert problem.field.isprintable()
    assert len(problem.field) < 80


def test_not_json_says_where() -> None:
    (problem,) = refused(b'{"id":1,}').problems
    assert "byte 8" in problem.message
    (problem,) = refused(b'{"data":{"a":-Infinity}}').problems
    assert problem.message == "NaN and Infinity are not JSON; send null or a string (byte 14)"


def test_depth_is_counted_exactly() -> None:
    inner = DEPTH_MAX - 1
    accepted(event()[:-1] + b',"data":' + b"[" * inner + b"]" * inner + b"}")
    assert refused(event()[:-1] + b',"data":' + b"[" * DEPTH_MAX + b"]" * DEPTH_MAX + b"}").reason is Reason.TOO_DEEP
    quoted = b'{"\\\\":"\\"[[{","[":[]}'
    accepted(event()[:-1] + b',"data":[' + b",".join([quoted] * 100) + b"]}")


def test_nesting_without_end_is_refused_before_a_parser_sees_it() -> None:
    limit = sys.getrecursionlimit()
    for opening in (b"[", b'{"a":', b'[{"":'):
        assert refused(opening * (limit * 100)).reason in {Reason.TOO_DEEP, Reason.TOO_LARGE}


def test_size_limits() -> None:
    padding = SIGNAL_BYTES_MAX - len(event(data=""))
    accepted(event(data="x" * padding))
    assert refused(event(data="x" * (padding + 1))).reason is Reason.TOO_LARGE
    assert refused(binary(b"x" * (SIGNAL_BYTES_MAX + 1))).reason is Reason.TOO_LARGE


def test_header_limits_count_values_that_are_null() -> None:
    assert refused(record(event(), [("x", None)] * 65)).reason is Reason.TOO_LARGE
    accepted(record(event(), [("x", None)] * 64))
    assert refused(record(event(), [("x" * 40_000, b"y" * 30_000)])).reason is Reason.TOO_LARGE


def test_attribute_limit_in_both_modes() -> None:
    extensions: dict[str, Any] = {f"x{number}": "1" for number in range(ATTRIBUTE_COUNT_MAX - 5)}
    accepted(event(**extensions))
    assert refused(event(**extensions, onemore="1")).problems[0].field == "attributes"
    accepted(binary(**extensions))


def test_data_in_binary_mode_is_never_looked_at() -> None:
    for data in (b"{NaN", b"\xff", b"", b"[" * 10_000):
        made = binary(data, ("content-type", b"application/json"))
        assert accepted(made).value is data


def test_a_tombstone_in_binary_mode_is_an_event_without_data() -> None:
    assert accepted(binary(None)).value is None
    assert refused(record(None)).reason is Reason.NULL_VALUE


def test_key_and_default_in_the_place_of_a_tenant() -> None:
    without = event(tenantid=LEFT_OUT)
    assert accepted(record(without, (), b"acme")).tenant == "acme"
    found = decode(record(without, (), b"order 7"), tenant_default="bound")
    assert isinstance(found, Signal)
    assert found.tenant == "bound"
    assert found.absent & Absent.TENANTID


def test_a_key_that_differs_is_refused_even_where_there_is_a_default() -> None:
    found = decode(record(event(), (), b"order-7"), tenant_default="acme")
    assert isinstance(found, Rejected)
    assert found.reason is Reason.WRONG_KEY


def test_reserved_names_are_for_hopline_alone() -> None:
    for tenant in ("_catalogue", "pool:gpu"):
        made = record(event(tenantid=tenant), (), tenant.encode())
        assert refused(made).problems[0].field == "tenantid"
        found = decode(made, reserved_ok=True)
        assert isinstance(found, Signal)
        assert found.tenant == tenant


def test_batch() -> None:
    good, bad = event(id="1", data={"a": 1.10}), event(type=LEFT_OUT)
    found = decode_batch(b" [ " + good + b" ,\n" + bad + b"]\n", count_max=2)
    assert isinstance(found, list)
    first, second = found
    assert isinstance(first, Signal)
    assert (first.value, first.headers) == (good, (STRUCTURED,))
    assert isinstance(second, Rejected)
    assert [problem.field for problem in second.problems] == ["type"]


def test_an_empty_batch_is_right() -> None:
    assert decode_batch(b"[]", count_max=2) == []


@pytest.mark.parametrize(
    "body, reason",
    [
        (b"[{},{},{}]", Reason.TOO_LARGE),
        (b"{}", Reason.INVALID_ENVELOPE),
        (b"null", Reason.INVALID_ENVELOPE),
        (b"[{}", Reason.NOT_JSON),
        (b"{]", Reason.NOT_JSON),
        (b"[NaN]", Reason.NOT_JSON),
        (b"\xef\xbb\xbf[]", Reason.NOT_UTF8),
        (b'["\xff"]', Reason.NOT_UTF8),
        (b"[" * 70 + b"]" * 70, Reason.TOO_DEEP),
    ],
)
def test_batches_that_are_none(body: bytes, reason: Reason) -> None:
    found = decode_batch(body, count_max=2)
    assert isinstance(found, Rejected)
    assert found.reason is reason


def test_what_is_no_event_in_a_batch_is_refused_alone() -> None:
    found = decode_batch(b'[1,"x",null,[],' + event() + b"]", count_max=10)
    assert isinstance(found, list)
    assert [isinstance(one, Rejected) for one in found] == [True, True, True, True, False]


def test_an_event_in_a_batch_may_be_as_deep_as_a_single_one() -> None:
    inner = DEPTH_MAX - 1
    value = event()[:-1] + b',"data":' + b"[" * inner + b"]" * inner + b"}"
    assert decode_batch(b"[" + value + b"]", count_max=1) == [accepted(record(value, [STRUCTURED]))]


def test_an_event_in_a_batch_has_the_limit_of_a_single_one() -> None:
    found = decode_batch(b"[" + event(data="x" * SIGNAL_BYTES_MAX) + b"," + event() + b"]", count_max=2)
    assert isinstance(found, list)
    assert isinstance(found[0], Rejected)
    assert found[0].reason is Reason.TOO_LARGE
    assert isinstance(found[1], Signal)


def test_long_header_names_are_read_like_others() -> None:
    made = binary(b"x", ("x" * 3_000, b"1"))
    assert accepted(made).value == b"x"


MEMBER = event()[:-1] + b","


@pytest.mark.parametrize(
    "value",
    [
        MEMBER + b",".join(b'"%d":1' % number for number in range(80_000)) + b"}",
        MEMBER + b",".join(b'"%d":1,"%d":1' % (number, number) for number in range(40_000)) + b"}",
        MEMBER + b",".join([b'"id":"2"'] * 100_000) + b"}",
        MEMBER + b'"datacontenttype":"a/b' + b" " * 1_000_000 + b'x"}',
        MEMBER + b'"datacontenttype":"a/b' + b";a=" * 300_000 + b'x"}',
        MEMBER + b'"datacontenttype":"a/b;c=\\"' + b"\\\\" * 200_000 + b'"}',
        MEMBER + b'"time":"2026-11-21T10:11:12.' + b"1" * 1_000_000 + b'"}',
        MEMBER + b'"subject":"' + b"\\u00e4" * 170_000 + b'"}',
        MEMBER + b'"traceparent":"01-' + b"a" * 1_000_000 + b'"}',
        event(type=".".join("a" * 500_000)),
        event(source="%41" * 300_000),
        event(tenantid="a" * 1_000_000),
        MEMBER + b'"' + b"x" * 1_000_000 + b'":1}',
        MEMBER + b'"data":[' + b",".join([b"[]"] * 340_000) + b"]}",
        MEMBER + b'"data":[' + b",".join([b'{"":"\\"["}'] * 90_000) + b"]}",
        b"]" * 1_000_000,
        b"[]" * 500_000 + b"[",
        b'"' * 1_000_000,
        b"\\" * 1_000_000,
        MEMBER + b" " * 1_000_000 + b'"myext":"\\u00e4"}',
    ],
    ids=lambda value: f"{value[:10]!r}...{value[-90:-70]!r}",
)
def test_no_value_takes_long(value: bytes) -> None:
    started = time.process_time()
    decode(record(value))
    assert time.process_time() - started < 0.5
