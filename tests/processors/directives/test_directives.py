"""The directives hop: judged, once for each key, at its time, told and audited; a failed one changes nothing."""

import json
from typing import Any

import pytest

import processors.directives.kinds.tenant_status as life
from processors.directives import audit
from processors.directives.definition import Definition
from processors.directives.record import KEPT_MS, SCHEDULED_MAX, Directive, Status, directive_key, unpack
from processors.ingest import Policy
from processors.lane import ledger_mismatches
from processors.step import CulpritError, Verdict
from processors.vocabulary import topics
from processors.vocabulary.reasons import Reason
from processors.vocabulary.timestamps import rfc3339
from tests.processors.lanes import NOW_MS, LaneInMemory, event

SET = "hopline.tenant.set"


def send(
    lane: LaneInMemory, kind: str, key: str = "", /, data: dict[str, Any] | None = None, **attributes: Any
) -> None:
    """Step one directive."""
    count = lane.offsets.get(topics.COMMANDS, 0)
    if key:
        attributes["idempotencykey"] = key
    value = event(id=f"c{count}", type=kind, data=data or {}, **attributes)
    lane.step(lane.record(value, topic=topics.COMMANDS))


def stored(lane: LaneInMemory, key: str, tenant: str = "acme") -> Directive | None:
    """Return a directive as state has it."""
    packed = lane.store.values.get(directive_key(tenant, key))
    return None if packed is None else unpack(packed)


def statuses(lane: LaneInMemory) -> list[str]:
    """Return what was told, in its order."""
    return [str(told["data"]["status"]) for told in lane.told()]


def lines(lane: LaneInMemory) -> list[bytes]:
    """Return the audit, in its order."""
    return [value or b"" for _, value, _ in lane.outputs(topics.AUDIT)]


def balanced(lane: LaneInMemory) -> bool:
    return ledger_mismatches(lane.position.ledger) == {}


def test_a_directive_is_in_force_told_and_audited_in_one_commit() -> None:
    lane = LaneInMemory()
    send(lane, SET, "k", {"burst": 7})
    assert lane.account().policy.burst == 7
    (told,) = lane.told()
    assert told["type"] == "hopline.directive.succeeded"
    assert told["causationid"] == "c0"
    entry = audit.read(lines(lane)[0])
    assert (entry.sequence, entry.outcome, entry.requester) == (1, Status.SUCCEEDED, "kafka")
    assert (entry.before, entry.after["burst"]) == (None, 7)
    assert len(lane.commits) == 1
    assert balanced(lane)


def test_the_same_key_again_does_nothing_and_another_directive_under_it_is_rejected() -> None:
    lane = LaneInMemory()
    send(lane, SET, "k", {"burst": 7})
    send(lane, SET, "k", {"burst": 7})
    assert statuses(lane) == ["succeeded"]
    send(lane, SET, "k", {"burst": 9})
    assert statuses(lane) == ["succeeded", "rejected"]
    assert lane.account().policy.burst == 7
    found = stored(lane, "k")
    assert found is not None
    assert found.status is Status.SUCCEEDED, "the first answer stays"
    assert balanced(lane)


def test_a_key_is_forgotten_after_its_time() -> None:
    lane = LaneInMemory()
    send(lane, SET, "k", {"burst": 7})
    lane.now_ms += KEPT_MS
    lane.step()
    assert stored(lane, "k") is None
    send(lane, SET, "k", {"burst": 9})
    assert lane.account().policy.burst == 9


@pytest.mark.parametrize(
    "kind, data, says",
    [
        ("hopline.tenant.explode", {}, "no directive"),
        (SET, {"burst": 0}, "data.burst"),
        (SET, {"surprise": 1}, "surprise"),
        (SET, {"rate_per_second": 1e-300}, "data.rate_per_second"),
        ("hopline.agent.pause", {"hop": "elsewhere"}, "data.hop"),
    ],
)
def test_what_must_not_be_is_rejected_with_a_reason_and_creates_nothing(
    kind: str, data: dict[str, Any], says: str
) -> None:
    lane = LaneInMemory()
    send(lane, kind, "k", data)
    assert statuses(lane) == ["rejected"]
    assert says in lane.told()[0]["data"]["error"]
    assert not lane.account().known
    assert lane.position.ledger["directives/rejected"] == 1
    assert balanced(lane)


@pytest.mark.parametrize(
    "attributes, says",
    [
        ({"notbefore": "soon"}, "notbefore"),
        ({"expires": "2020-01-01T00:00:00Z"}, "expires"),
        ({"expires": 7}, "expires"),
    ],
)
def test_times_that_cannot_be_are_rejected(attributes: dict[str, Any], says: str) -> None:
    lane = LaneInMemory()
    send(lane, SET, "k", {"burst": 7}, **attributes)
    assert statuses(lane) == ["rejected"]
    assert says in lane.told()[0]["data"]["error"]


def test_who_lacks_the_permission_is_rejected() -> None:
    lane = LaneInMemory(permissions=frozenset({"limit:write"}))
    send(lane, SET, "k", {"burst": 7})
    assert statuses(lane) == ["rejected"]
    assert "tenant:write" in lane.told()[0]["data"]["error"]


def test_what_cannot_be_as_things_are_fails_and_changes_nothing() -> None:
    lane = LaneInMemory()
    for kind in ("hopline.limit.set", "hopline.tenant.suspend", "hopline.agent.pause", "hopline.tenant.resume"):
        send(lane, kind, kind)
    assert statuses(lane) == ["failed"] * 4
    assert not lane.account().known
    assert balanced(lane)


def test_a_tenants_life() -> None:
    lane = LaneInMemory()
    send(lane, "hopline.tenant.create", "1", {"burst": 3})
    send(lane, "hopline.tenant.create", "2")
    send(lane, "hopline.tenant.suspend", "3", {"reason": "unpaid"})
    lane.send(event(id="a"))
    send(lane, "hopline.tenant.resume", "4")
    lane.send(event(id="b"))
    send(lane, "hopline.tenant.delete", "5")
    send(lane, "hopline.tenant.resume", "6")
    send(lane, "hopline.tenant.create", "7")
    lane.send(event(id="c"))
    assert statuses(lane) == ["succeeded", "failed", "succeeded", "succeeded", "succeeded", "failed", "succeeded"]
    assert lane.ids() == ["b", "c"]
    assert lane.account().policy == Policy(burst=3)


def test_a_held_tenants_signals_wait_and_go_on_in_their_order() -> None:
    lane = LaneInMemory()
    lane.send(event(id="0"))
    send(lane, "hopline.agent.pause", "p")
    lane.send(*(event(id=str(n)) for n in range(1, 4)))
    lane.now_ms += 60_000
    lane.step()
    assert lane.ids() == ["0"]
    send(lane, "hopline.agent.resume", "r")
    lane.send(event(id="4"))
    lane.step()
    assert lane.ids() == ["0", "1", "2", "3", "4"]
    assert balanced(lane)


def test_a_directive_waits_for_its_time_neither_early_nor_late() -> None:
    lane = LaneInMemory()
    send(lane, SET, "k", {"burst": 7}, notbefore=rfc3339(NOW_MS + 5_000))
    assert lane.commits[-1].due_ms == NOW_MS + 5_000
    lane.now_ms += 4_999
    lane.step()
    assert not lane.account().known
    lane.now_ms += 1
    lane.step()
    assert lane.account().policy.burst == 7
    assert statuses(lane) == ["requested", "succeeded"]
    assert balanced(lane)


def test_what_expires_while_it_waits_fails() -> None:
    lane = LaneInMemory()
    send(lane, SET, "k", {"burst": 7}, notbefore=rfc3339(NOW_MS + 1_000), expires=rfc3339(NOW_MS + 2_000))
    lane.now_ms += 9_000
    lane.step()
    assert statuses(lane) == ["requested", "failed"]
    assert not lane.account().known
    assert balanced(lane)


def test_what_waits_can_be_cancelled_once() -> None:
    lane = LaneInMemory()
    send(lane, SET, "k", {"burst": 7}, notbefore=rfc3339(NOW_MS + 1_000))
    send(lane, "hopline.directive.cancel", "c", {"key": "k"})
    send(lane, "hopline.directive.cancel", "d", {"key": "k"})
    lane.now_ms += 9_000
    lane.step()
    assert statuses(lane) == ["requested", "cancelled", "succeeded", "failed"]
    assert not lane.account().known
    assert balanced(lane)
    assert audit.broken(lines(lane)) == []


def test_too_many_that_wait_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SCHEDULED_MAX > 2
    monkeypatch.setattr("processors.directives.hop.SCHEDULED_MAX", 2)
    lane = LaneInMemory()
    for n in range(3):
        send(lane, SET, str(n), {"burst": 7}, notbefore=rfc3339(NOW_MS + 1_000))
    assert statuses(lane) == ["requested", "requested", "rejected"]
    lane.now_ms += 1_000
    lane.step()
    send(lane, SET, "later", {"burst": 7}, notbefore=rfc3339(NOW_MS + 9_000))
    assert statuses(lane)[-1] == "requested"


def test_a_due_directive_with_a_bug_is_named_and_fails_once_condemned(monkeypatch: pytest.MonkeyPatch) -> None:
    lane = LaneInMemory()
    send(lane, "hopline.tenant.delete", "k", notbefore=rfc3339(NOW_MS + 1_000))

    def buggy(*_: object) -> None:
        raise ZeroDivisionError

    broken = {name: _with_bug(found, buggy) for name, found in _by_name().items()}
    monkeypatch.setattr("processors.directives.kinds.BY_NAME", broken)
    lane.now_ms += 1_000
    with pytest.raises(CulpritError) as raised:
        lane.step()
    assert (raised.value.topic, raised.value.offset) == ("acme/k", NOW_MS + 1_000)
    lane.step(verdicts={("acme/k", NOW_MS + 1_000): Verdict(Reason.BUG, "the stack")})
    assert statuses(lane) == ["requested", "failed"]
    assert balanced(lane)


def _by_name() -> dict[str, Definition[Any]]:
    return {definition.name: definition for definition in life.DEFINITIONS}


def _with_bug(found: Definition[Any], buggy: Any) -> Definition[Any]:
    return Definition(found.name, found.summary, found.permission, found.payload, buggy)


def test_the_chain_shows_each_change_of_a_line_and_each_line_that_is_gone() -> None:
    lane = LaneInMemory()
    for n in range(4):
        send(lane, SET, str(n), {"burst": n + 1})
    good = lines(lane)
    assert audit.broken(good) == []
    assert audit.broken(good[2:]) == [], "retention takes the oldest"
    for at in range(len(good) - 1):
        changed = [*good]
        changed[at] = good[at].replace(b'"succeeded"', b'"failed"')
        assert audit.broken(changed), at
    assert audit.broken([*good[:1], *good[2:]])
    assert audit.broken([good[0], good[2], good[1], good[3]])


def test_a_payload_is_never_in_what_is_told() -> None:
    lane = LaneInMemory()
    send(lane, "hopline.tenant.suspend", "k", {"reason": "a secret"})
    assert b"a secret" not in json.dumps(lane.told()).encode()


def test_a_tenant_that_is_deleted_takes_what_waits_along() -> None:
    lane = LaneInMemory()
    send(lane, SET, "other", {"burst": 7}, tenant="beta", notbefore=rfc3339(NOW_MS + 1_000))
    send(lane, SET, "a", {"burst": 7}, notbefore=rfc3339(NOW_MS + 1_000))
    send(lane, "hopline.tenant.delete", "d", notbefore=rfc3339(NOW_MS + 1_000))
    send(lane, SET, "z", {"burst": 9}, notbefore=rfc3339(NOW_MS + 2_000))
    send(lane, SET, "y", {"status": "active"}, notbefore=rfc3339(NOW_MS + 1_000))
    lane.now_ms += 1_000
    lane.step()
    lane.now_ms += 1_000
    lane.step()
    ends = [(told["tenantid"], told["data"]["key"], told["data"]["status"]) for told in lane.told()][5:]
    assert ends == [
        ("acme", "a", "succeeded"),
        ("acme", "y", "cancelled"),
        ("acme", "z", "cancelled"),
        ("acme", "d", "succeeded"),
        ("beta", "other", "succeeded"),
    ]
    assert balanced(lane)
    assert not [key for key in lane.store.values if b"waits/" in key]
