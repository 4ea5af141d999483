"""What is told of directives, to the letter: signals, audit, errors, and what lands among the dead letters."""

import json
import re
from functools import partial
from typing import Any, Final

import msgspec
import pytest

from processors.directives import audit, kinds
from processors.directives.audit import DIGEST_BYTES
from processors.directives.definition import Definition, judged
from processors.directives.hop import RUNS_MAX
from processors.directives.kinds import hold, tenant_status
from processors.directives.record import (
    ENDED,
    KEPT_MS,
    Directive,
    Head,
    Status,
    directive_key,
    head_key,
    pack,
    prefix,
    timed,
    timed_name,
    unpack_head,
)
from processors.formats import NEWEST
from processors.ingest import tenant
from processors.state import Overlay
from processors.step import Outcome, Verdict
from processors.vocabulary import headers as names
from processors.vocabulary import topics
from processors.vocabulary.ids import derived_id
from processors.vocabulary.reasons import Reason
from processors.vocabulary.timestamps import rfc3339
from tests.processors.directives.test_directives import balanced, lines, send, statuses, stored
from tests.processors.lanes import NOW_MS, LaneInMemory, event

SET: Final = "hopline.tenant.set"
CANCEL: Final = "hopline.directive.cancel"
PERMISSIONS: Final = {
    "hopline.tenant.create": "tenant:write",
    "hopline.tenant.suspend": "tenant:write",
    "hopline.tenant.resume": "tenant:write",
    "hopline.tenant.delete": "tenant:write",
    "hopline.tenant.set": "tenant:write",
    "hopline.limit.set": "limit:write",
    "hopline.agent.pause": "agent:write",
    "hopline.agent.resume": "agent:write",
    "hopline.integration.set": "integration:write",
    "hopline.integration.delete": "integration:write",
    "hopline.secrets.erase": "integration:write",
    "hopline.state.clear": "state:write",
    "hopline.state.export": "state:read",
    "hopline.directive.cancel": "directive:write",
    "hopline.gateway.limit.set": "limit:write",
    "hopline.type.register": "type:write",
    "hopline.type.forget": "type:write",
    "hopline.replay.start": "replay:write",
    "hopline.replay.finish": "replay:write",
    "hopline.key.create": "key:write",
    "hopline.key.rotate": "key:write",
    "hopline.key.revoke": "key:write",
    "hopline.alert.threshold.set": "alert:write",
    "hopline.alert.silence": "alert:write",
    "hopline.alert.unsilence": "alert:write",
}


def errors(lane: LaneInMemory) -> list[str]:
    return [told["data"]["error"] for told in lane.told()]


def test_the_kinds_their_permissions_and_what_is_said_of_them() -> None:
    assert {definition.name: definition.permission for definition in kinds.ALL} == PERMISSIONS
    assert kinds.BY_NAME.keys() == PERMISSIONS.keys()
    for definition in kinds.ALL:
        assert re.fullmatch(r"[a-z][a-z',;: -]+", definition.summary), definition.name


def test_the_kinds_of_a_pair_differ_in_name_and_in_what_they_set() -> None:
    made = hold._kind("pause", "what it does", held=True)
    assert (made.name, made.summary, made.permission) == ("hopline.agent.pause", "what it does", "agent:write")
    assert (made.payload, made.judge) == (hold.Hold, hold._judge)
    assert isinstance(made.apply, partial)
    assert (made.apply.func, made.apply.args) == (hold._hold, (True,))
    other = tenant_status._status("suspend", "what it does", tenant.Status.SUSPENDED)
    assert (other.name, other.summary, other.permission) == ("hopline.tenant.suspend", "what it does", "tenant:write")
    assert other.payload is tenant_status.Why
    assert isinstance(other.apply, partial)
    assert (other.apply.func, other.apply.args) == (tenant_status._to, (tenant.Status.SUSPENDED,))
    assert (made.go_on, other.go_on) == (None, None)


@pytest.mark.parametrize("name", PERMISSIONS)
def test_each_kind_asks_for_its_own_permission(name: str) -> None:
    lane = LaneInMemory(permissions=frozenset({"other:write"}))
    send(lane, name, "k", tenantid="acme" if kinds.BY_NAME[name].for_tenants else "_system")
    assert errors(lane) == [f"kafka lacks the permission {PERMISSIONS[name]}"]


def test_a_signal_tells_everything_and_stands_where_its_tenant_is() -> None:
    lane = LaneInMemory(lanes=1)
    send(lane, SET, "k", {"burst": 7}, requester="ann", correlationid="corr", notbefore=rfc3339(NOW_MS + 1_000))
    lane.now_ms += 1_500
    lane.step()
    (key, _, headers), _ = [one for one in lane.outputs(topics.SIGNALS) if names.BY in one[2]]
    assert key == b"acme"
    assert headers == {
        "content-type": b"application/cloudevents+json",
        names.BY: b"directives",
        names.FORMAT: b"%d" % NEWEST,
    }
    first, second = lane.told()
    assert second == {
        "specversion": "1.0",
        "id": derived_id("c0", "succeeded"),
        "source": "/hopline/directives",
        "type": "hopline.directive.succeeded",
        "subject": "k",
        "time": rfc3339(NOW_MS + 1_500),
        "tenantid": "acme",
        "correlationid": "corr",
        "causationid": "c0",
        "datacontenttype": "application/json",
        "data": {
            "directive": SET,
            "key": "k",
            "requester": "kafka:ann",
            "status": "succeeded",
            "attempts": 1,
            "due_ms": NOW_MS + 1_000,
            "error": "",
        },
    }
    assert (first["type"], first["data"]["attempts"]) == ("hopline.directive.requested", 0)
    assert first["id"] != second["id"]


def test_a_line_of_the_audit_says_everything() -> None:
    lane = LaneInMemory()
    send(lane, SET, "k", {"burst": 7}, requester="ann")
    lane.now_ms += 3
    send(lane, SET, "l", {"burst": 8})
    send(lane, SET, "l", {"burst": 9})
    (key, value, headers), (_, second, _), (_, third, _) = lane.outputs(topics.AUDIT)
    assert (key, headers) == (b"acme", {names.FORMAT: b"%d" % NEWEST})
    first = json.loads(value or b"")
    policy = first["after"]
    assert first == {
        "sequence": 1,
        "previous": "",
        "at_ms": NOW_MS,
        "tenant": "acme",
        "directive": SET,
        "key": "k",
        "requester": "kafka:ann",
        "outcome": "succeeded",
        "before": None,
        "after": policy,
        "error": "",
        "version": 1,
        "event": "c0",
        "due_ms": 0,
        "mark": "",
        "kept": True,
    }
    assert policy["burst"] == 7
    told = json.loads(second or b"")
    assert told["previous"] == audit.digest_of(value or b"").hex()
    assert len(told["previous"]) == 2 * DIGEST_BYTES
    assert (told["before"]["burst"], told["after"]["burst"], told["at_ms"]) == (7, 8, NOW_MS + 3)
    refused = json.loads(third or b"")
    assert (refused["outcome"], refused["before"], refused["after"]) == ("rejected", None, None)
    assert not refused["kept"]
    assert refused["error"] == "the idempotency key was used for another directive; take a new one"
    assert unpack_head(lane.store.values[head_key("acme")]) == Head(3, audit.digest_of(third or b""), 0)


def test_what_is_wrong_with_a_chain_is_said() -> None:
    lane = LaneInMemory()
    for number in range(4):
        send(lane, SET, str(number), {"burst": number + 1})
    good = lines(lane)
    head = unpack_head(lane.store.values[head_key("acme")])
    assert audit.broken(good, head) == []
    assert audit.broken([], Head()) == []
    assert audit.broken([good[0], good[2], good[3]]) == ["entry 1 is followed by 3"]
    changed = good[1].replace(b'"succeeded"', b'"failed"')
    assert audit.broken([good[0], changed, *good[2:]]) == [
        "entry 3 does not follow from the one before it: one of them was changed"
    ]
    assert audit.broken(good[:3], head) == ["the chain ends with entry 3, and state says 4"]
    assert audit.broken(good, Head(4, b"other")) == ["the chain ends with entry 4, and state says 4"]
    unreadable = audit.broken([good[0], b"{", good[1], good[3]])
    assert unreadable[0].startswith("line 1 cannot be read: ")
    assert unreadable[1:] == ["entry 2 is followed by 4"], "the rest is looked at all the same"


def test_what_cannot_be_says_why_in_words() -> None:
    lane = LaneInMemory()
    send(lane, "hopline.limit.set", "1", {"burst": 1})
    send(lane, "hopline.tenant.create", "2")
    send(lane, "hopline.tenant.create", "3")
    send(lane, CANCEL, "4", {"key": "none"})
    send(lane, CANCEL, "5", {"key": "2"})
    send(lane, "hopline.tenant.delete", "6")
    send(lane, "hopline.tenant.resume", "7")
    send(lane, "hopline.tenant.suspend", "8")
    send(lane, "hopline.tenant.delete", "9")
    send(lane, "hopline.nothing", "10")
    send(lane, "hopline.agent.pause", "11", {"hop": "skills"})
    send(lane, SET, "12", {"burst": 0, "queue_records": -1})
    send(lane, "hopline.limit.set", "13", {"rate_per_second": 1e-9})
    assert errors(lane) == [
        "there is no tenant 'acme'; create it first",
        "",
        "tenant 'acme' is there already; set what should change with hopline.tenant.set",
        "tenant 'acme' has no directive 'none'",
        "directive '2' has succeeded already",
        "",
        "tenant 'acme' is deleted; hopline.tenant.create makes it anew",
        "tenant 'acme' is deleted; hopline.tenant.create makes it anew",
        "",
        "there is no directive 'hopline.nothing'; `hopline directives kinds` lists them",
        "data.hop must be 'ingest': signals are held there",
        "data.burst must be from 1 to 1000000; data.queue_records must be from 0 to 10000",
        "data.rate_per_second must be 0 (no limit) or at least 0.001",
    ]


def test_cancelling_says_what_it_was() -> None:
    lane = LaneInMemory()
    send(lane, SET, "k", {"burst": 7}, notbefore=rfc3339(NOW_MS + 1_000))
    send(lane, CANCEL, "c", {"key": "k"})
    entry = audit.read(lines(lane)[-1])
    assert entry.before == {"key": "k", "status": "requested"}
    assert entry.after == {"key": "k", "status": "cancelled"}
    assert lane.position.ledger["directives/deferred"] == 0


def test_a_create_may_name_limits_and_a_status() -> None:
    lane = LaneInMemory()
    send(lane, "hopline.tenant.create", "1", {"burst": 3, "status": "suspended"})
    assert (lane.account().policy.burst, lane.account().policy.status) == (3, "suspended")
    send(lane, "hopline.tenant.delete", "2")
    send(lane, "hopline.tenant.create", "3")
    assert (lane.account().policy.burst, lane.account().policy.status) == (3, "active")


def test_a_rate_limit_changes_what_it_names_and_nothing_else() -> None:
    lane = LaneInMemory()
    send(lane, SET, "1", {"burst": 3, "dedupe_window_ms": 5, "queue_records": 6})
    send(lane, "hopline.limit.set", "2", {"rate_per_second": 4, "over": "refuse", "queue_records": 9})
    policy = lane.account().policy
    assert (policy.burst, policy.dedupe_window_ms, policy.queue_records) == (3, 5, 9)
    assert (policy.rate_per_second, policy.over) == (4, "refuse")


def test_holding_and_letting_go_say_so() -> None:
    lane = LaneInMemory()
    send(lane, "hopline.tenant.create", "1")
    send(lane, "hopline.agent.pause", "2", {"hop": "ingest"})
    assert lane.account().policy.held
    send(lane, "hopline.agent.resume", "3")
    assert not lane.account().policy.held


def test_at_its_very_time_it_is_carried_out_at_once_and_expires_at_its_very_end() -> None:
    lane = LaneInMemory()
    send(lane, SET, "now", {"burst": 7}, notbefore=rfc3339(NOW_MS))
    assert statuses(lane) == ["succeeded"]
    send(lane, SET, "k", {"burst": 8}, notbefore=rfc3339(NOW_MS + 10), expires=rfc3339(NOW_MS + 20))
    send(lane, SET, "l", {"burst": 9}, notbefore=rfc3339(NOW_MS + 10), expires=rfc3339(NOW_MS + 21))
    lane.now_ms += 20
    lane.step()
    assert statuses(lane)[-2:] == ["failed", "succeeded"]
    assert errors(lane)[-2] == "it expired before it could be carried out"


def test_a_kind_that_is_gone_meanwhile_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    lane = LaneInMemory()
    send(lane, SET, "k", {"burst": 8}, notbefore=rfc3339(NOW_MS + 10))
    monkeypatch.setattr("processors.directives.kinds.BY_NAME", {})
    lane.now_ms += 10
    lane.step()
    assert errors(lane)[-1] == "its kind is gone"
    assert statuses(lane)[-1] == "failed"


def test_a_bug_is_named_and_its_stack_is_not_told() -> None:
    lane = LaneInMemory()
    send(lane, SET, "k", {"burst": 8}, notbefore=rfc3339(NOW_MS + 10))
    lane.now_ms += 10
    lane.step(verdicts={("acme/k", NOW_MS + 10): Verdict(Reason.BUG, "the stack")})
    assert errors(lane)[-1] == "it failed with a bug; see the worker's log"
    assert not lane.account().known


def test_a_key_that_has_not_been_forgotten_in_time_is_new_at_its_very_end(monkeypatch: pytest.MonkeyPatch) -> None:
    lane = LaneInMemory()
    send(lane, SET, "k", {"burst": 7})
    monkeypatch.setattr("processors.directives.hop.RUNS_MAX", 0)
    lane.now_ms += KEPT_MS - 1
    send(lane, SET, "k", {"burst": 9})
    assert statuses(lane)[-1] == "rejected"
    lane.now_ms += 1
    send(lane, SET, "k", {"burst": 9})
    assert statuses(lane)[-1] == "succeeded"
    overlay = Overlay(lane.store)
    assert [at for at, _ in ENDED.due(overlay, 1 << 60, 10)] == [lane.now_ms + KEPT_MS], "its old reminder is gone"
    monkeypatch.undo()
    assert RUNS_MAX > 100


def test_what_is_due_and_not_there_is_damage() -> None:
    lane = LaneInMemory()
    send(lane, SET, "k", {"burst": 8}, notbefore=rfc3339(NOW_MS + 10))
    lane.store.apply({directive_key("acme", "k"): None})
    lane.now_ms += 10
    with pytest.raises(LookupError, match="directive 'k' of acme is due and not there: its state is damaged"):
        lane.step()


def test_the_tally_is_by_tenant() -> None:
    lane = LaneInMemory()
    send(lane, SET, "k", {"burst": 8}, notbefore=rfc3339(NOW_MS + 10))
    assert lane.commits[-1].tally["directives", Outcome.DEFERRED] == {"acme": 1}
    send(lane, SET, "k", {"burst": 8})
    assert lane.commits[-1].tally["directives", Outcome.DUPLICATE] == {"acme": 1}
    send(lane, SET, "x", {"burst": 0})
    assert lane.commits[-1].tally["directives", Outcome.REJECTED] == {"acme": 1}
    lane.now_ms += 10
    lane.step()
    assert lane.commits[-1].tally["directives", Outcome.DEFERRED] == {"acme": -1}
    assert lane.commits[-1].tally["directives", Outcome.HANDLED] == {"acme": 1}


def test_records_that_no_longer_decode_or_are_condemned_are_set_aside_one_by_one() -> None:
    lane = LaneInMemory()
    good, bad = event(id="c1", type=SET, data={"burst": 7}), b"{"
    records = [lane.record(value, topic=topics.DIRECTIVES, key=b"acme") for value in (bad, good, good, good)]
    lane.step(*records, verdicts={(topics.DIRECTIVES, 1): Verdict(Reason.TIMED_OUT, "the stack")})
    assert lane.reasons() == ["not_json", "timed_out"]
    letters = lane.outputs(topics.DEAD_LETTERS)
    assert [value for _, value, _ in letters] == [bad, good]
    for (_, _, headers), offset in zip(letters, (0, 1), strict=True):
        assert headers[names.DEAD_HOP] == b"directives"
        assert headers[names.DEAD_TOPIC] == topics.DIRECTIVES.encode()
        assert headers[names.DEAD_OFFSET] == b"%d" % offset
    assert letters[1][2][names.DEAD_STACK] == b"the stack"
    assert statuses(lane) == ["succeeded"], "the third is carried out, and the fourth is the same"
    assert lane.position.ledger["directives/duplicate"] == 1
    assert balanced(lane)


def test_reserved_extensions_that_the_door_has_let_through_are_read() -> None:
    lane = LaneInMemory()
    value = event(id="c1", type=SET, data={"burst": 7}, replayid="r")
    lane.step(lane.record(value, topic=topics.DIRECTIVES, key=b"acme"))
    assert statuses(lane) == ["succeeded"]


def test_a_payload_that_is_no_object_is_judged_and_nothing_is_an_empty_one() -> None:
    definition: Definition[Any] = kinds.BY_NAME["hopline.tenant.suspend"]
    found, problems = judged(definition, b"")
    assert (msgspec.to_builtins(found), problems) == ({"reason": ""}, ())
    found, (problem,) = judged(definition, b"[]")
    assert (found, problem.field) == (None, "data")
    assert problem.message == "is wrong: Expected `object`, got `array`"
    found, (problem,) = judged(definition, b"[" * 100_000)
    assert (found, problem.field) == (None, "data")


def test_keys_of_state_are_as_documented() -> None:
    assert prefix("acme") == b"Kacme\x00directives\x00d/"
    assert head_key("acme") == b"Kacme\x00directives\x00head"
    assert timed(timed_name("acme", "a\0b")) == ("acme", "a\0b")


def test_a_directive_is_packed_as_older_workers_read_it() -> None:
    one = Directive("k", SET, "c0", "corr", "kafka", b"f", b"{}", 1, 2, 3)
    plain = msgspec.msgpack.decode(pack(one))
    assert plain[:14] == ["k", SET, "c0", "corr", "kafka", b"f", b"{}", 1, 2, 3, "requested", 0, 0, ""]
    older = msgspec.msgpack.encode(plain[:15])
    assert msgspec.msgpack.decode(older, type=Directive).progress == b""
    assert stored(LaneInMemory(), "k") is None
    assert Status.RUNNING.value == "running"
