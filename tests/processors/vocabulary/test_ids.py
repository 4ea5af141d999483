"""Ids derive from their cause, and order in time where they are made of it."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from processors.vocabulary.ids import coordinate_id, derived_id, digest, uuid7


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_uuid7_is_one(now_ms: int, randomness: bytes) -> None:
    text = uuid7(now_ms, randomness)
    made = uuid.UUID(text)
    assert str(made) == text
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == now_ms


def test_uuid7_of_the_standard() -> None:
    # RFC 9562, appendix A.6: 2022-02-22T19:22:22Z, rand_a 0xCC3, rand_b 0x18C4DC0C0C07398F.
    randomness = (0xCC3 << 64 | 0x18C4DC0C0C07398F).to_bytes(10, "big")
    assert uuid7(0x017F22E279B0, randomness) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@given(st.integers(0, 2**47), st.integers(1, 2**20), st.binary(min_size=10, max_size=10))
def test_uuid7_orders_by_time(now_ms: int, later_ms: int, randomness: bytes) -> None:
    assert uuid7(now_ms, randomness) < uuid7(now_ms + later_ms, b"\x00" * 10)


def test_the_same_cause_gives_the_same_id() -> None:
    assert derived_id("p", "steps.a") == derived_id("p", "steps.a")
    assert coordinate_id("signals.in", 3, 17) == coordinate_id("signals.in", 3, 17)


def test_other_causes_give_other_ids() -> None:
    made = {coordinate_id(topic, lane, at) for topic in ("a", "a1") for lane in (1, 11) for at in (1, 11, 111)}
    assert len(made) == 12
    assert derived_id("a", "bc") != derived_id("ab", "c")
    assert digest(b"a", b"b") != digest(b"ab")
