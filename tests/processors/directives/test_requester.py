"""Who asks through a gateway: believed if it is signed and untouched, else answered and forgotten."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.directives import audit, requester
from processors.directives.record import directive_key
from processors.directives.requester import AGE_MS_MAX, Event
from processors.vocabulary import topics
from tests.processors.lanes import NOW_MS, LaneInMemory, event

KEY = b"k" * 32
SET = "hopline.tenant.set"
BURST = b'{"burst": 7}'


def signed(
    data: bytes = BURST, *, granted: tuple[str, ...] = ("tenant:write",), at_ms: int = NOW_MS, **steering: str
) -> dict[str, Any]:
    """Return an event as a gateway asks."""
    asking = Event("acme", "/gw", "g1", SET, data)
    steering = {"idempotencykey": "k", **steering}
    plain = json.loads(event(source="/gw", id="g1", type=SET, data=json.loads(data), **steering))
    return {**plain, **requester.extensions(KEY, asking, steering, "key:abc", granted, at_ms)}


def lane_of(**more: Any) -> LaneInMemory:
    return LaneInMemory(**{"permissions": frozenset[str](), "requester_key": KEY, **more})


def step(lane: LaneInMemory, asking: dict[str, Any]) -> str:
    """Step it; return how it ended, and leave nothing of it out of the ledger."""
    data = json.dumps(asking.pop("data")).encode()
    # The data as it was signed, byte for byte.
    value = json.dumps(asking)[:-1].encode() + b', "data": ' + data + b"}"
    before = len(lane.told())
    lane.step(lane.record(value, topic=topics.COMMANDS))
    told = lane.told()[before:]
    return str(told[0]["data"]["status"]) if told else "duplicate"


def test_a_signed_requester_is_believed_and_has_its_own_permissions() -> None:
    lane = lane_of()
    assert step(lane, signed()) == "succeeded"
    assert audit.read(lane.outputs(topics.AUDIT)[0][1] or b"").requester == "key:abc"
    assert step(lane, signed(granted=("limit:write",), idempotencykey="k2")) == "rejected"
    assert "key:abc lacks the permission tenant:write" in lane.told()[-1]["data"]["error"]


def test_an_unsigned_one_has_kafkas_permissions_whatever_it_claims() -> None:
    lane = lane_of()
    asking = {**signed(), "signature": None}
    assert step(lane, asking) == "rejected"
    assert lane.told()[-1]["data"]["requester"] == "kafka:key:abc"


CHANGES = {
    "tenantid": "bolt",
    "source": "/other",
    "id": "g2",
    "type": "hopline.tenant.create",
    "data": {"burst": 8},
    "idempotencykey": "other",
    "notbefore": "2999-01-01T00:00:00Z",
    "expires": "2999-01-01T00:00:00Z",
    "requester": "key:other",
    "granted": "*",
    "signedat": str(NOW_MS + 1),
    "signature": "0" * 64,
}


@pytest.mark.parametrize("name", CHANGES)
def test_whatever_is_changed_is_not_carried_out_and_audited(name: str) -> None:
    lane = lane_of(permissions=frozenset({"*"}))
    assert step(lane, {**signed(), name: CHANGES[name]}) == "rejected"
    assert not lane.account(CHANGES["tenantid"] if name == "tenantid" else "acme").known  # type: ignore[arg-type]
    entry = audit.read(lane.outputs(topics.AUDIT)[0][1] or b"")
    assert "signature does not hold" in entry.error
    assert entry.requester.startswith("kafka:")
    assert not entry.kept


@given(st.sampled_from(sorted(CHANGES)), st.text(min_size=1, max_size=20), st.binary(min_size=32, max_size=32))
def test_nothing_but_what_was_signed_with_this_key_holds(name: str, text: str, key: bytes) -> None:
    found = signed()
    payload = found.pop("data")
    asking = Event("acme", "/gw", "g1", SET, BURST)
    assert payload
    assert requester.verified(KEY, asking, found, NOW_MS) is not None
    assert key == KEY or requester.verified(key, asking, found, NOW_MS) is None
    if name in found and name not in {"tenantid", "source", "id", "type"} and found[name] != text:
        assert requester.verified(KEY, asking, {**found, name: text}, NOW_MS) is None


def test_a_forgery_does_not_use_the_key_up() -> None:
    lane = lane_of()
    assert step(lane, {**signed(), "granted": "*"}) == "rejected"
    assert directive_key("acme", "k") not in lane.store.values
    assert step(lane, signed()) == "succeeded"


def test_a_replay_does_nothing() -> None:
    lane = lane_of()
    assert step(lane, signed()) == "succeeded"
    assert step(lane, signed()) == "duplicate"
    lane.now_ms += AGE_MS_MAX + 1
    assert step(lane, signed()) == "duplicate", "too old as well, but known"
    assert lane.account().commands == 1


@pytest.mark.parametrize("late_ms, ends", [(AGE_MS_MAX, "succeeded"), (AGE_MS_MAX + 1, "rejected")])
@pytest.mark.parametrize("sign", [1, -1])
def test_what_was_signed_too_long_ago_is_to_be_asked_anew(late_ms: int, ends: str, sign: int) -> None:
    lane = lane_of()
    assert step(lane, signed(at_ms=NOW_MS - sign * late_ms)) == ends
    if ends == "rejected":
        assert "ask again" in lane.told()[-1]["data"]["error"]
        assert step(lane, signed()) == "succeeded", "under the same key"


def test_a_worker_without_the_secret_believes_nobody_and_says_why() -> None:
    lane = lane_of(requester_key=b"", permissions=frozenset({"*"}))
    assert step(lane, signed()) == "rejected"
    assert "no secret_key" in lane.told()[-1]["data"]["error"]


def test_the_mark_tells_two_directives_apart_and_nothing_else() -> None:
    assert requester.mark_of(KEY, b"a") == requester.mark_of(KEY, b"a") != requester.mark_of(KEY, b"b")
    assert requester.mark_of(b"j" * 32, b"a") != requester.mark_of(KEY, b"a")
    assert not requester.mark_of(b"", b"a")
