"""Whatever the bytes: no exception, the same opinion as an independent judge, and nothing lost by enriching."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from processors.vocabulary.envelope import decode, decode_batch, decode_structured_event, from_http
from processors.vocabulary.json_text import deeper_than
from processors.vocabulary.reasons import Rejected
from processors.vocabulary.record import PlainRecord
from processors.vocabulary.signal import Signal
from tests.processors.vocabulary import hostile, oracle
from tests.processors.vocabulary.compare import disagreement
from tests.processors.vocabulary.records import STRUCTURED, event

HEADERS = st.lists(
    st.tuples(
        st.one_of(st.sampled_from(["content-type", "ce_id", "ce_type", "ce_", "traceparent"]), st.text(max_size=8)),
        st.none() | st.binary(max_size=30) | st.sampled_from(hostile.CONTENT_TYPES),
    ),
    max_size=8,
)

REQUEST_HEADERS = st.dictionaries(
    st.text(max_size=8), st.text(max_size=30) | st.text(st.characters(categories=["Cs", "Ll"]), max_size=9)
)


@settings(max_examples=300)
@given(st.none() | st.binary(max_size=200), HEADERS, st.none() | st.binary(max_size=10), st.booleans())
def test_never_raises_on_any_record(
    value: bytes | None, headers: list[tuple[str, bytes | None]], key: bytes | None, reserved_ok: bool
) -> None:
    found = decode(PlainRecord("t", 0, 0, -1, key, value, headers), reserved_ok=reserved_ok)
    assert isinstance(found, Signal | Rejected)


@settings(max_examples=300)
@given(st.integers(0, 2**64))
def test_agrees_with_the_second_opinion_about_hostile_records(seed: int) -> None:
    assert disagreement(hostile.record(Random(seed))) == ""


@settings(max_examples=200)
@given(st.randoms(use_true_random=False))
def test_right_records_are_accepted_and_enriched_without_loss(draw: Random) -> None:
    made = hostile.right(draw)
    assert isinstance(decode(made), Signal), decode(made)
    assert disagreement(made) == ""


@settings(max_examples=300)
@given(st.integers(0, 2**64), st.integers(0, 400), st.binary(max_size=4))
def test_a_right_event_with_bytes_put_in(seed: int, at: int, more: bytes) -> None:
    value = hostile.right(Random(seed)).value or b""
    assert disagreement(PlainRecord("t", 0, 0, 0, None, value[:at] + more + value[at:])) == ""


@settings(max_examples=200)
@given(st.lists(st.integers(0, 2**64), max_size=4))
def test_a_batch_is_its_events(seeds: list[int]) -> None:
    made = [hostile.right(Random(seed)) for seed in seeds]
    structured = [one for one in made if not any(name.startswith("ce_") for name, _ in one.headers)]
    values = [(one.value or b"").strip() for one in structured]
    singly = [decode(PlainRecord("t", 0, 0, 0, None, value, (STRUCTURED,))) for value in values]
    assert decode_batch(b" [" + b" ,\n".join(values) + b"]", count_max=4) == singly


@settings(max_examples=200)
@given(st.lists(st.integers(0, 2**64), max_size=4), st.binary(max_size=5))
def test_never_raises_on_any_batch(seeds: list[int], more: bytes) -> None:
    values = [hostile.record(Random(seed)).value or event() for seed in seeds]
    assert isinstance(decode_batch(b"[" + b",".join(values) + more + b"]", count_max=3), list | Rejected)


@settings(max_examples=200)
@given(st.none() | st.text(max_size=40), REQUEST_HEADERS, st.binary(max_size=9))
def test_never_raises_on_any_request(content_type: str | None, headers: dict[str, str], body: bytes) -> None:
    made = from_http(content_type, {f"ce-{name}": text for name, text in headers.items()}, body)
    if not isinstance(made, Rejected):
        decode(PlainRecord("t", 0, 0, 0, None, *made))


@settings(max_examples=300)
@given(st.lists(st.sampled_from(["[", "]", "{", "}", '"["', '"\\""', '"\\\\"', "1", ",", '"a\\\\\\"]"']), max_size=60))
def test_depth_of_bracketed_texts(parts: list[str]) -> None:
    text = "".join(parts)
    for depth_max in (1, 2, 5, 60):
        if text.count("[") + text.count("{") == text.count("]") + text.count("}"):
            assert deeper_than(text.encode(), depth_max) == (oracle.depth_of(text) > depth_max)


CLOUDEVENTS = [b"application/cloudevents+json", b"application/cloudevents+json; charset=utf-8"]
CLOUDEVENTS += [b"application/cloudevents", b"application/cloudevents+avro", b"application/cloudevents+json;charset=x"]


@settings(max_examples=500)
@given(st.integers(0, 2**64), st.sampled_from(CLOUDEVENTS), st.booleans())
def test_the_fast_way_for_structured_events_judges_as_the_other_one_does(
    seed: int, content_type: bytes, reserved_ok: bool
) -> None:
    value = hostile.record(Random(seed)).value or b""
    found = decode_structured_event(value, content_type, reserved_ok=reserved_ok)
    record = PlainRecord("t", 0, 0, -1, None, value, [("content-type", content_type)])
    assert found == decode(record, reserved_ok=reserved_ok)
