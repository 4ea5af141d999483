"""Types that a tenant registers: the door holds signals to those that are enforced, and counts deprecated ones."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.ingest import types
from processors.ingest.types import TYPES_MAX
from processors.lane import ledger_mismatches
from processors.vocabulary import headers as names
from processors.vocabulary import topics
from tests.processors.directives.test_directives import send, statuses
from tests.processors.lanes import LaneInMemory, event

REGISTER, FORGET = "hopline.type.register", "hopline.type.forget"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["total"],
    "properties": {"total": {"type": "number", "minimum": 0}},
}
ORDER: dict[str, Any] = {"name": "order.created", "version": 1, "schema": SCHEMA, "enforce": True}


@pytest.fixture
def lane() -> LaneInMemory:
    made = LaneInMemory()
    send(made, "hopline.tenant.create", "k0")
    return made


def problems(lane: LaneInMemory) -> list[str]:
    return [(headers[names.DEAD_PROBLEMS] or b"").decode() for _, _, headers in lane.outputs(topics.DEAD_LETTERS)]


def test_what_does_not_fit_is_set_aside_with_its_field(lane: LaneInMemory) -> None:
    send(lane, REGISTER, "k1", ORDER)
    lane.send(
        event(id="1"), event(id="2", data={"total": -1}), event(id="3", data={}), event(id="4", type="order.paid")
    )
    assert lane.ids() == ["1", "4"], "other types are not looked at"
    assert lane.reasons() == ["invalid_data"] * 2
    assert "data.total" in problems(lane)[0]
    assert "data.total" in problems(lane)[1]
    assert ledger_mismatches(lane.position.ledger) == {}


@pytest.mark.parametrize("attributes", [{"data": "text", "datacontenttype": "text/plain"}, {"data": None}])
def test_data_that_is_no_json_or_missing_does_not_fit_an_object(lane: LaneInMemory, attributes: dict[str, Any]) -> None:
    send(lane, REGISTER, "k1", ORDER)
    lane.send(event(id="1", **attributes))
    assert lane.reasons() == ["invalid_data"]


def test_another_tenant_is_not_held_to_it(lane: LaneInMemory) -> None:
    send(lane, REGISTER, "k1", ORDER)
    lane.send(event("other", id="1", data={}))
    assert lane.ids() == ["1"]


def test_what_is_not_enforced_passes_and_costs_no_look(lane: LaneInMemory) -> None:
    send(lane, REGISTER, "k1", {**ORDER, "enforce": False})
    assert not lane.account().policy.typed
    lane.send(event(id="1", data={}))
    assert lane.ids() == ["1"]


def test_a_deprecated_type_is_handled_and_counted(lane: LaneInMemory) -> None:
    send(lane, REGISTER, "k1", {**ORDER, "enforce": False, "deprecated": True, "replaced_by": "order.made"})
    lane.send(event(id="1", data={}), event(id="2"))
    lane.send(event(id="3"))
    assert lane.ids() == ["1", "2", "3"]
    assert types.uses(lane.store.values.get(types.used_key("acme", "order.created"))) == 3


def test_a_forgotten_type_is_forgotten(lane: LaneInMemory) -> None:
    send(lane, REGISTER, "k1", ORDER)
    send(lane, FORGET, "k2", {"name": "order.created"})
    assert not lane.account().policy.typed
    lane.send(event(id="1", data={}))
    assert lane.ids() == ["1"]
    send(lane, FORGET, "k3", {"name": "order.created"})
    assert statuses(lane)[-1] == "failed"


def test_versions_only_rise_and_one_version_has_one_schema(lane: LaneInMemory) -> None:
    send(lane, REGISTER, "k1", {**ORDER, "version": 2})
    send(lane, REGISTER, "k2", {**ORDER, "version": 1})
    send(lane, REGISTER, "k3", {**ORDER, "version": 2, "schema": {}})
    send(lane, REGISTER, "k4", {**ORDER, "version": 2, "enforce": False})
    send(lane, REGISTER, "k5", {**ORDER, "version": 3, "schema": {}})
    assert statuses(lane)[1:] == ["succeeded", "failed", "failed", "succeeded", "succeeded"]


def test_types_are_bounded_and_need_a_tenant() -> None:
    lane = LaneInMemory()
    send(lane, REGISTER, "k", ORDER)
    assert statuses(lane) == ["failed"], "nobody created the tenant"
    send(lane, "hopline.tenant.create", "k0")
    for number in range(TYPES_MAX + 1):
        send(lane, REGISTER, f"k{number}-", {**ORDER, "name": f"a.t{number}"})
    assert statuses(lane).count("succeeded") == TYPES_MAX + 1
    assert statuses(lane)[-1] == "failed"


@pytest.mark.parametrize(
    "wrong, field",
    [
        ({"name": "hopline.mine"}, "data.name"),
        ({"name": "a..b"}, "data.name"),
        ({"version": 0}, "data.version"),
        ({"replaced_by": "*"}, "data.replaced_by"),
        ({"schema": {"pattern": "a"}}, "data.schema.pattern"),
        ({"schema": []}, "data.schema"),
    ],
)
def test_what_is_wrong_is_rejected_by_field(lane: LaneInMemory, wrong: dict[str, Any], field: str) -> None:
    send(lane, REGISTER, "k1", {**ORDER, **wrong})
    told = lane.told()[-1]["data"]
    assert told["status"] == "rejected"
    assert told["error"].startswith(field)


def test_a_signal_that_was_held_is_not_judged_by_a_later_type(lane: LaneInMemory) -> None:
    send(lane, "hopline.agent.pause", "k1")
    lane.send(event(id="1", data={}))
    send(lane, REGISTER, "k2", ORDER)
    send(lane, "hopline.agent.resume", "k3")
    lane.now_ms += 1_000
    lane.step()
    assert lane.ids() == ["1"]


@given(st.lists(st.sampled_from(["enforce", "allow", "forget", "good", "bad"]), max_size=20))
def test_at_any_time_the_last_word_holds(moves: list[str]) -> None:
    lane, enforced, expected = LaneInMemory(), False, list[str]()
    send(lane, "hopline.tenant.create", "k0")
    for number, move in enumerate(moves, start=1):
        if move in {"enforce", "allow"}:
            enforced = move == "enforce"
            send(lane, REGISTER, f"k{number}", {**ORDER, "enforce": enforced})
        elif move == "forget":
            enforced = False
            send(lane, FORGET, f"k{number}", {"name": "order.created"})
        else:
            lane.send(event(id=str(number), data={"total": 1 if move == "good" else "x"}))
            if move == "good" or not enforced:
                expected.append(str(number))
    assert lane.ids() == expected
    assert lane.reasons() == ["invalid_data"] * (sum(move in {"good", "bad"} for move in moves) - len(expected))
    assert ledger_mismatches(lane.position.ledger) == {}
