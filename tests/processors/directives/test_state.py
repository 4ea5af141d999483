"""A tenant's state begun anew, in bounded pieces; and written down, exact at its place in the tenant's order."""

import json
from typing import Any, Final

import pytest

from processors.directives import audit, export
from processors.directives.record import KEPT_MS, RUNNING, Status, directive_key, unpack
from processors.ingest import IngestSettings, Policy
from processors.step import CulpritError, Verdict
from processors.vocabulary import topics
from processors.vocabulary.reasons import Reason
from processors.vocabulary.timestamps import rfc3339
from tests.processors.directives.test_directives import balanced, lines, send, statuses, stored
from tests.processors.lanes import NOW_MS, LaneInMemory, event

SET: Final = "hopline.tenant.set"
CLEAR: Final = "hopline.state.clear"
EXPORT: Final = "hopline.state.export"
CLEARED_MAX: Final = "processors.directives.kinds.state.CLEARED_MAX"


def used() -> LaneInMemory:
    """Return a lane with a tenant that has sent, and that a signal waits for."""
    lane = LaneInMemory()
    send(lane, SET, "set", {"rate_per_second": 0.01, "burst": 3})
    lane.send(event(id="a"), event(id="b"), event(id="a"), event(id="c"))
    assert (lane.account().handled, lane.account().duplicates, lane.account().queued) == (2, 1, 1)
    return lane


def last(lane: LaneInMemory) -> audit.Entry:
    return audit.read(lines(lane)[-1])


def test_clearing_ingest_begins_counters_window_and_bucket_anew_and_keeps_queue_and_policy() -> None:
    lane = used()
    lane.now_ms += 1
    send(lane, CLEAR, "clear", {"hops": ["ingest"]})
    account = lane.account()
    assert (account.handled, account.duplicates, account.dead, account.commands, account.queued) == (0, 0, 0, 0, 1)
    assert account.policy == Policy(rate_per_second=0.01, burst=3, seen_from_ms=lane.now_ms)
    lane.step()
    assert lane.ids() == ["a", "b", "c"], "the bucket is full again, so what waited goes on"
    lane.send(event(id="a"), event(id="a"))
    assert lane.ids() == ["a", "b", "c", "a"], "new once more, and once only"
    entry = last(lane)
    assert entry.before["ingest"]["handled"] == 2
    assert entry.before["ingest"]["queued"] == entry.after["ingest"]["queued"] == 1
    assert entry.after["ingest"]["handled"] == 0
    assert entry.after["ingest"]["policy"]["burst"] == 3
    assert stored(lane, "set") is not None, "answers are another hop's"
    assert balanced(lane)


def test_an_id_of_the_very_moment_stays_seen() -> None:
    lane = LaneInMemory()
    lane.send(event(id="a"))
    send(lane, CLEAR, "clear", {"hops": ["ingest"]})
    lane.send(event(id="a"))
    assert lane.ids() == ["a"]


def test_the_policy_goes_back_to_the_default_when_asked() -> None:
    lane = LaneInMemory(ingest=IngestSettings(Policy(burst=44)))
    send(lane, SET, "set", {"burst": 3, "held": True})
    send(lane, CLEAR, "clear", {"policy": True})
    assert lane.account().policy == Policy(burst=44, seen_from_ms=NOW_MS)
    assert lane.account().known


def test_clearing_directives_forgets_answers_and_keeps_what_waits_and_the_audit() -> None:
    lane = used()
    send(lane, SET, "later", {"burst": 9}, notbefore=rfc3339(NOW_MS + 1_000))
    send(lane, CLEAR, "clear", {"hops": ["directives"]})
    assert stored(lane, "set") is None
    assert stored(lane, "later") is not None
    reminders = [key for key in lane.store.values if b"\x00ended/" in key]
    assert [key[-5:] for key in reminders] == [b"clear"], "of what is gone nothing is to be forgotten any more"
    assert last(lane).before == {"directives": {"answers": 1}}
    assert last(lane).after == {"directives": {"answers": 0}}
    assert lane.account().handled == 2, "counters are another hop's"
    send(lane, SET, "set", {"rate_per_second": 0.01, "burst": 3})
    assert statuses(lane)[-1] == "succeeded", "the key is new"
    lane.now_ms += 1_000
    lane.step()
    assert lane.account().policy.burst == 9
    lane.now_ms += KEPT_MS
    lane.step()
    assert not [key for key in lane.store.values if b"ended/" in key or b"d/" in key]
    assert audit.broken(lines(lane)) == []
    assert balanced(lane)


def test_much_is_cleared_in_pieces_and_meanwhile_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CLEARED_MAX, 2)
    lane = LaneInMemory()
    for number in range(5):
        send(lane, SET, str(number), {"burst": number + 1})
    send(lane, SET, "later", {"burst": 9}, notbefore=rfc3339(NOW_MS + 1_000))
    lane.now_ms += 10
    send(lane, CLEAR, "clear")
    assert statuses(lane)[-1] == "running"
    found = stored(lane, "clear")
    assert found is not None
    assert (found.status, found.finished_ms, found.attempts) == (Status.RUNNING, 0, 1)
    assert lane.commits[-1].due_ms == lane.now_ms, "it goes on at once"
    assert sum(stored(lane, str(number)) is None for number in range(5)) == 2
    assert balanced(lane)
    assert lane.position.ledger["directives/deferred"] == 2
    lane.now_ms += 5
    send(lane, "hopline.directive.cancel", "no", {"key": "clear"})
    assert "runs already" in lane.told()[-1]["data"]["error"]
    assert stored(lane, "clear") is not None
    send(lane, CLEAR, "clear")
    assert statuses(lane)[-1] != "rejected", "the same again is the same"
    lane.step()
    assert statuses(lane)[-1] == "succeeded"
    assert last(lane).before["directives"] == {"answers": 5}, "not the cancelling, which came later"
    assert all(stored(lane, str(number)) is None for number in range(5))
    assert stored(lane, "no") is not None
    done = stored(lane, "clear")
    assert done is not None
    assert (done.progress, done.payload) == (b"", b"")
    assert RUNNING.first_ms(_overlay(lane)) is None
    assert lane.position.ledger["directives/deferred"] == 1
    assert balanced(lane)
    assert audit.broken(lines(lane)) == []


def _overlay(lane: LaneInMemory) -> Any:
    from processors.state import Overlay  # noqa: PLC0415  # only here

    return Overlay(lane.store)


def test_one_that_fails_while_it_runs_is_named_and_ends_once_condemned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CLEARED_MAX, 1)
    lane = LaneInMemory()
    for number in range(3):
        send(lane, SET, str(number), {"burst": number + 1})
    send(lane, CLEAR, "clear")
    found = unpack(lane.store.values[directive_key("acme", "clear")])
    assert found.status is Status.RUNNING

    def buggy(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("processors.directives.kinds.state.unpack", buggy)
    with pytest.raises(CulpritError) as raised:
        lane.step()
    assert (raised.value.topic, raised.value.offset) == ("acme/clear", NOW_MS)
    lane.step(verdicts={("acme/clear", NOW_MS): Verdict(Reason.BUG, "the stack")})
    assert statuses(lane)[-1] == "failed"
    assert "a bug" in lane.told()[-1]["data"]["error"]
    assert balanced(lane)


@pytest.mark.parametrize(
    "data, says", [({"hops": ["skills"]}, "data.hops"), ({"hops": ["directives"], "policy": True}, "data.policy")]
)
def test_a_hop_that_is_none_is_rejected(data: dict[str, Any], says: str) -> None:
    lane = used()
    send(lane, CLEAR, "clear", data)
    assert statuses(lane)[-1] == "rejected"
    assert says in lane.told()[-1]["data"]["error"]


def test_where_there_is_no_tenant_nothing_is_cleared_or_exported() -> None:
    lane = LaneInMemory()
    send(lane, CLEAR, "1")
    send(lane, EXPORT, "2")
    assert statuses(lane) == ["failed", "failed"]
    assert not lane.account().known


def exported(lane: LaneInMemory) -> list[export.Part]:
    return [export.read_part(value or b"") for _, value, _ in lane.outputs(topics.EXPORTS)]


def test_an_export_is_what_state_says_at_its_place_and_the_audit_names_it() -> None:
    lane = used()
    send(lane, SET, "later", {"burst": 9}, notbefore=rfc3339(NOW_MS + 1_000))
    send(lane, "hopline.integration.set", "crm", {"name": "crm", "secrets": {"t": "s1.0123456789abcdef." + "A" * 60}})
    before = dict(lane.store.values)
    send(lane, EXPORT, "export")
    (part,) = exported(lane)
    assert (part.tenant, part.part, part.parts, part.at_ms) == ("acme", 0, 1, NOW_MS)
    assert part.sequence == lane.position.sequence
    values = [json.loads(bytes(value)) for value in part.values]
    mine = [key for key in before if key.startswith(b"Kacme\x00")]
    assert len(values) == len(mine) == last(lane).after["values"]
    assert last(lane).after["digest"] == part.digest
    by_name = {(value["hop"], value["name"]): value["value"] for value in values}
    account = by_name["ingest", "account"]
    assert (account["handled"], account["duplicates"], account["policy"]["burst"]) == (2, 1, 3)
    (waits,) = [value for (hop, name), value in by_name.items() if hop == "ingest" and name.startswith("queue/")]
    assert waits["topic"] == topics.SIGNALS_IN
    assert waits["bytes"] > 0
    assert by_name["directives", "d/later"]["status"] == "requested"
    assert by_name["directives", "head"]["scheduled"] == 1
    assert by_name["directives", "integration/crm"]["secrets"]["t"]["sealed_with"] == "0123456789abcdef"
    assert b"AAAA" not in b"".join(value for part in exported(lane) for value in map(bytes, part.values))
    assert balanced(lane)


def test_an_export_has_nothing_of_others() -> None:
    lane = used()
    send(lane, SET, "x", {"burst": 1}, tenant="acme-2")
    send(lane, SET, "x", {"burst": 1}, tenant="acm")
    send(lane, EXPORT, "export")
    text = b"".join(value for part in exported(lane) for value in map(bytes, part.values)).decode()
    assert '"d/set"' in text
    assert '"d/x"' not in text


def test_a_large_export_comes_in_parts_and_one_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "PART_BYTES_MAX", 300)
    lane = LaneInMemory()
    for number in range(6):
        send(lane, SET, str(number), {"burst": number + 1})
    send(lane, EXPORT, "export")
    parts = exported(lane)
    assert len(parts) > 2
    assert [part.part for part in parts] == list(range(len(parts)))
    assert {part.parts for part in parts} == {len(parts)}
    assert {part.digest for part in parts} == {last(lane).after["digest"]}
    assert sum(len(part.values) for part in parts) == last(lane).after["values"]
    whole = b"\n".join(bytes(value) for part in parts for value in part.values)
    assert audit.digest_of(whole).hex() == parts[0].digest
    count = len([key for key in lane.store.values if key.startswith(b"Kacme\x00")])
    monkeypatch.setattr(export, "KEYS_MAX", count - 1)
    send(lane, EXPORT, "again")
    assert statuses(lane)[-1] == "failed"
    assert "the state is more than" in lane.told()[-1]["data"]["error"]
    monkeypatch.setattr(export, "KEYS_MAX", count + 5)
    monkeypatch.setattr(export, "BYTES_MAX", 600)
    send(lane, EXPORT, "once more")
    assert statuses(lane)[-1] == "failed"
    assert len(exported(lane)) == len(parts)
