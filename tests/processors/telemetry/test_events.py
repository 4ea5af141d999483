"""Events are told as they are declared, and no otherwise."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.telemetry import event, events
from processors.telemetry.event import Event, Told, UndeclaredError, Unit, UnreadableEventError, told

FAMILIES = {
    "package", "skill", "workflow", "effect", "agent", "task", "user", "billing", "cache", "rate_limit", "marketplace",
    "system", "hop", "signal", "directive",
}  # fmt: skip
VALUES: dict[type, st.SearchStrategy[Any]] = {
    str: st.text(max_size=2_000),
    int: st.integers(0, 2**50),
    float: st.floats(0, 1e9),
    bool: st.booleans(),
}


def test_there_are_more_than_fifty_of_all_families_each_with_its_own_name() -> None:
    assert len(events.EVENTS) >= 50
    assert len(events.BY_NAME) == len(events.EVENTS)
    assert {one.family for one in events.EVENTS} >= FAMILIES


@pytest.mark.parametrize("one", events.EVENTS, ids=lambda one: one.name)
def test_each_is_declared_in_full(one: Event) -> None:
    assert one.text.endswith(".")
    assert all(part.isidentifier() for part in one.name.split("."))
    assert all(isinstance(unit, Unit) for unit in one.measurements.values())
    assert set(one.metadata.values()) <= {str, int, float, bool}
    assert one.measurements.keys().isdisjoint(one.metadata)


@given(st.data())
def test_whatever_is_declared_can_be_told_and_read_back(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(events.EVENTS))
    measured = {name: data.draw(st.floats(0, 1e12)) for name in kind.measurements}
    said: dict[str, Any] = {name: data.draw(VALUES[wanted]) for name, wanted in kind.metadata.items()}
    one = told(kind, 1, measured, said, hop="ingest", lane=3, tenant="acme", id="x")
    assert event.unpack(event.pack(one)) == one
    assert all(len(value) <= event.TEXT_CHARACTERS_MAX for value in one.metadata.values() if isinstance(value, str))


def test_what_is_not_declared_is_not_told() -> None:
    with pytest.raises(UndeclaredError, match="size"):
        told(events.CACHE_HIT, 1, {"size": 1})
    with pytest.raises(UndeclaredError, match="cache"):
        told(events.CACHE_HIT, 1, {"count": 1}, {"cache": 7})
    with pytest.raises(UndeclaredError, match="first_offset"):
        told(events.SIGNAL_DEAD, 1, {}, {"first_offset": True})


@given(st.binary(max_size=200))
def test_what_cannot_be_read_is_an_error_that_says_so(packed: bytes) -> None:
    found: Told | str
    try:
        found = event.unpack(packed)
    except UnreadableEventError as error:
        found = str(error)
    assert found


def test_a_newer_format_says_what_to_do() -> None:
    newer = event.pack(Told(event.VERSION + 1, "x.y", 1))
    with pytest.raises(UnreadableEventError, match="upgrade"):
        event.unpack(newer)
    with pytest.raises(UnreadableEventError, match="longer"):
        event.unpack(b" " * (event.EVENT_BYTES_MAX + 1))
