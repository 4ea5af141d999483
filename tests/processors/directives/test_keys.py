"""Keys in the lane: who may make which, how many there may be, and what of them is told."""

import json
from typing import Any

import pytest

from processors.directives import audit, keys
from processors.vocabulary import topics
from processors.vocabulary.access import AccessKey, unpack
from processors.vocabulary.rules import SYSTEM
from tests.processors.lanes import LaneInMemory, event

HASH = "0a1b2c3d:" + "ab" * 32
OTHER_HASH = "0a1b2c3d:" + "cd" * 32


def ask(lane: LaneInMemory, verb: str, tenant: str = "acme", /, **data: Any) -> dict[str, Any]:
    """Ask for a change of a key; return what is told of it."""
    value = event(tenant, id=f"c{lane.offsets.get(topics.COMMANDS, 0)}", type=f"hopline.key.{verb}", data=data)
    lane.step(lane.record(value, topic=topics.COMMANDS))
    told: dict[str, Any] = lane.told()[-1]["data"]
    return told


def create(lane: LaneInMemory, number: int = 0, tenant: str = "acme", /, **more: Any) -> dict[str, Any]:
    wanted = {"prefix": f"key{number:07d}", "hash": HASH, "permissions": ["signal:write"], **more}
    return ask(lane, "create", tenant, **wanted)


def written(lane: LaneInMemory) -> list[AccessKey | None]:
    """Return what the gateways were told, in its order."""
    return [None if value is None else unpack(value) for _, value, _ in lane.outputs(topics.ACCESS)]


def test_a_key_is_written_for_the_gateways_by_its_tenant_and_its_prefix() -> None:
    lane = LaneInMemory()
    assert create(lane, label="the shop")["status"] == "succeeded"
    ((name, _, _),) = lane.outputs(topics.ACCESS)
    (key,) = written(lane)
    assert key is not None
    assert name == b"key/acme\0key0000000" == key.name
    assert (key.tenant, key.permissions, key.label, key.number) == ("acme", ("signal:write",), "the shop", 1)


def test_neither_the_audit_nor_a_signal_shows_a_hash() -> None:
    lane = LaneInMemory()
    create(lane)
    ask(lane, "rotate", prefix="key0000000", hash=OTHER_HASH)
    for topic in (topics.AUDIT, topics.SIGNALS):
        for _, value, _ in lane.outputs(topic):
            assert b"abab" not in (value or b"")
            assert b"cdcd" not in (value or b"")
    after = audit.read(lane.outputs(topics.AUDIT)[-1][1] or b"").after
    assert after["prefix"] == "key0000000"


@pytest.mark.parametrize(
    "field, wrong",
    [
        ("prefix", "short"),
        ("prefix", "not/letters"),
        ("hash", "hop_key0000000_secret"),
        ("permissions", []),
        ("permissions", ["signal:drink"]),
        ("tier", "Gold!"),
        ("label", "x" * 101),
        ("label", "a\x07b"),
        ("expires", "tomorrow"),
    ],
)
def test_what_is_no_key_is_rejected_by_field(field: str, wrong: Any) -> None:
    lane = LaneInMemory()
    told = create(lane, **{field: wrong})
    assert told["status"] == "rejected"
    assert f"data.{field}" in told["error"]
    assert not written(lane)


def test_a_prefix_is_used_once_even_when_its_key_is_dead() -> None:
    lane = LaneInMemory()
    create(lane)
    ask(lane, "revoke", prefix="key0000000")
    assert create(lane, hash=OTHER_HASH)["status"] == "failed"
    assert [key.revoked_ms > 0 for key in written(lane) if key] == [False, True]


def test_a_key_that_would_be_dead_at_once_is_not_made() -> None:
    lane = LaneInMemory()
    assert create(lane, expires="2001-01-01T00:00:00Z")["status"] == "failed"
    assert not written(lane)


def test_a_rotation_to_a_secret_that_it_had_is_refused() -> None:
    lane = LaneInMemory()
    create(lane)
    assert ask(lane, "rotate", prefix="key0000000", hash=HASH)["status"] == "failed"
    assert ask(lane, "rotate", prefix="key0000000", hash=OTHER_HASH)["status"] == "succeeded"
    assert ask(lane, "rotate", prefix="key0000000", hash=HASH)["status"] == "failed"


def test_what_is_revoked_once_more_stays_revoked_since_then() -> None:
    lane = LaneInMemory()
    create(lane)
    ask(lane, "revoke", prefix="key0000000")
    lane.now_ms += 5_000
    assert ask(lane, "revoke", prefix="key0000000")["status"] == "succeeded"
    first, again = [key for key in written(lane) if key][-2:]
    assert first.revoked_ms == again.revoked_ms


@pytest.mark.parametrize("verb", ["rotate", "revoke"])
def test_nobody_changes_a_key_of_another_tenant(verb: str) -> None:
    lane = LaneInMemory()
    create(lane)
    more = {"hash": OTHER_HASH} if verb == "rotate" else {}
    assert ask(lane, verb, "bolt", prefix="key0000000", **more)["status"] == "failed"
    assert len(written(lane)) == 1


@pytest.mark.parametrize("wanted", [["*"], ["tenant:write"], ["signal:write", "limit:write"]])
def test_nobody_hands_out_what_he_has_not_got(wanted: list[str]) -> None:
    lane = LaneInMemory()
    create(lane, 0, permissions=wanted)
    lane.permissions = frozenset({"key:write", "signal:write"})
    assert "requester may not" in create(lane, 1, permissions=wanted)["error"]
    assert "requester may not" in ask(lane, "rotate", prefix="key0000000", hash=OTHER_HASH)["error"]
    assert create(lane, 2, permissions=["signal:write"])["status"] == "succeeded"
    # To take a key away needs no more than to be let near keys.
    assert ask(lane, "revoke", prefix="key0000000")["status"] == "succeeded"


def test_living_keys_are_bounded_and_the_first_to_die_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "LIVING_MAX", 3)
    monkeypatch.setattr(keys, "KEPT_MAX", 5)
    lane = LaneInMemory()
    for number in range(3):
        create(lane, number)
    assert "which is the limit" in create(lane, 3)["error"]
    for number in (1, 0, 2):
        lane.now_ms += 1
        ask(lane, "revoke", prefix=f"key{number:07d}")
    for number in (4, 5):
        assert create(lane, number)["status"] == "succeeded"
    assert None not in written(lane)
    assert create(lane, 6)["status"] == "succeeded"
    gone = [name for name, value, _ in lane.outputs(topics.ACCESS) if value is None]
    assert gone == [b"key/acme\0key0000001"]
    kept = [key for key in lane.store.values if key.startswith(keys.state_key("acme", ""))]
    assert len(kept) == 5


def test_of_the_names_that_hopline_keeps_for_itself_one_has_keys_and_nothing_else() -> None:
    lane = LaneInMemory()
    assert create(lane, 0, SYSTEM)["status"] == "succeeded"
    value = event(SYSTEM, id="x", type="hopline.tenant.suspend", data={})
    lane.step(lane.record(value, topic=topics.COMMANDS))
    assert "is reserved" in lane.told()[-1]["data"]["error"]
    before = len(lane.told())
    for tenant in ("_catalogue", "pool:gpu"):
        lane.step(lane.record(event(tenant, type="hopline.key.create", data={}), topic=topics.COMMANDS))
    lane.step(lane.record(event(SYSTEM, id="s")))
    assert lane.reasons() == ["invalid_envelope"] * 3
    assert len(lane.told()) == before


def test_a_scheduled_change_may_what_its_requester_might_when_asking() -> None:
    lane = LaneInMemory(permissions=frozenset({"key:write", "signal:write"}))
    value = event(
        id="later",
        type="hopline.key.create",
        data={"prefix": "key0000009", "hash": HASH, "permissions": ["*"]},
        notbefore="2999-01-01T00:00:00Z",
    )
    lane.step(lane.record(value, topic=topics.COMMANDS))
    lane.permissions = frozenset({"*"})
    lane.now_ms = 33_000_000_000_000
    lane.step()
    assert json.dumps(lane.told()[-1]["data"]).count("requester may not") == 1
    assert not written(lane)
