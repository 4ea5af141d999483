"""A signal of a business type is told as that event, once, with what its data has of it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.telemetry import events
from processors.telemetry.event import Told
from processors.vocabulary import topics
from tests.processors.lanes import LaneInMemory, event

JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.dictionaries(st.sampled_from(["amount", "currency", "x"]), inner) | st.lists(inner, max_size=3),
)


def told_of(data: Any, type_: str = "billing.payment_processed") -> list[Told]:
    lane = LaneInMemory()
    return list(lane.step(lane.record(event(type=type_, data=data))).told)


def test_a_payment_is_told_with_amount_and_currency_and_nothing_else() -> None:
    (one,) = told_of({"amount": 12.5, "currency": "EUR", "card": "4111"})
    assert (one.event, one.tenant, one.measurements) == (events.PAYMENT.name, "acme", {"amount": 12.5})
    assert one.metadata == {"currency": "EUR"}
    assert one.id


def test_the_same_payment_sent_twice_is_told_once() -> None:
    lane = LaneInMemory()
    value = event(type="billing.payment_processed", data={"amount": 1})
    assert len(lane.step(lane.record(value), lane.record(value)).told) == 1
    assert not lane.step(lane.record(value)).told


@pytest.mark.parametrize("data", [None, [], "x", {"amount": "12"}, {"amount": True}, {"amount": -1}, {"amount": 1e300}])
def test_what_does_not_fit_is_left_out(data: Any) -> None:
    (one,) = told_of(data)
    assert one.measurements == {}


@given(JSON)
def test_nothing_that_data_can_be_fails(data: Any) -> None:
    assert len(told_of(data)) == 1


def test_other_types_are_not_told() -> None:
    assert told_of({"amount": 1}, type_="order.created") == []


def test_a_flood_of_bad_records_is_one_event_for_each_reason() -> None:
    lane = LaneInMemory()
    commit = lane.step(*[lane.record(b"no json") for _ in range(50)], lane.record(event(tenant="_forbidden")))
    found = [(one.event, one.measurements["count"], one.metadata["topic"]) for one in commit.told]
    assert sorted(found) == [
        (events.SIGNAL_DEAD.name, 1, topics.SIGNALS_IN),
        (events.SIGNAL_DEAD.name, 50, topics.SIGNALS_IN),
    ]
    many = next(one for one in commit.told if one.measurements["count"] == 50)
    assert (many.metadata["first_offset"], many.metadata["last_offset"]) == (0, 49)
