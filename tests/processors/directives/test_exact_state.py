"""Work over several commits, clearing and exports to the letter."""

import json
from typing import Final

import pytest

from processors.directives import audit, export
from processors.directives.record import Directive, directive_key, head_key, unpack_head
from processors.formats import NEWEST
from processors.ingest import tenant
from processors.step import Outcome
from processors.vocabulary import headers as names
from processors.vocabulary import topics
from processors.vocabulary.timestamps import rfc3339
from tests.processors.directives.test_directives import lines, send, statuses
from tests.processors.lanes import NOW_MS, LaneInMemory, event

SET: Final = "hopline.tenant.set"
CANCEL: Final = "hopline.directive.cancel"


def errors(lane: LaneInMemory) -> list[str]:
    return [told["data"]["error"] for told in lane.told()]


def _running(monkeypatch: pytest.MonkeyPatch) -> LaneInMemory:
    monkeypatch.setattr("processors.directives.kinds.state.CLEARED_MAX", 1)
    lane = LaneInMemory()
    for number in range(3):
        send(lane, SET, str(number), {"burst": number + 1})
    send(lane, "hopline.state.clear", "clear", {"hops": ["directives"]})
    assert lane.told()[-1]["type"] == "hopline.directive.running"
    assert lane.commits[-1].tally["directives", Outcome.DEFERRED] == {"acme": 1}
    return lane


def test_one_that_runs_and_whose_kind_is_gone_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    lane = _running(monkeypatch)
    monkeypatch.setattr("processors.directives.kinds.BY_NAME", {})
    lane.step()
    assert (statuses(lane)[-1], errors(lane)[-1]) == ("failed", "its kind is gone")
    assert lane.commits[-1].tally["directives", Outcome.DEFERRED] == {"acme": -1}
    lane.step()
    assert statuses(lane)[-1] == "failed"
    assert statuses(lane).count("failed") == 1


def test_one_that_runs_and_is_not_there_is_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    lane = _running(monkeypatch)
    lane.store.apply({directive_key("acme", "clear"): None})
    with pytest.raises(LookupError, match="directive 'clear' of acme runs and is not there: its state is damaged"):
        lane.step()


def test_what_waits_for_a_tenant_has_a_mark_while_it_waits() -> None:
    lane = LaneInMemory()
    send(lane, SET, "k", {"burst": 8}, notbefore=rfc3339(NOW_MS + 10))
    assert lane.store.values[b"Kacme\x00directives\x00waits/k"] == b""
    send(lane, CANCEL, "c", {"key": "k"})
    assert b"Kacme\x00directives\x00waits/k" not in lane.store.values


def test_clearing_says_what_is_wrong_with_what_was_asked() -> None:
    lane = LaneInMemory()
    send(lane, "hopline.state.clear", "1", {"hops": ["ingest", "skills"]})
    send(lane, "hopline.state.clear", "2", {"hops": ["directives"], "policy": True})
    send(lane, "hopline.state.export", "3")
    assert errors(lane) == [
        "data.hops must be of ingest, directives",
        "data.policy is kept by the hop ingest; name that as well",
        "there is no tenant 'acme'; create it first",
    ]


def test_an_export_to_the_letter() -> None:
    lane = LaneInMemory()
    send(lane, SET, "set", {"held": True})
    lane.send(event(id="a"))
    lane.store.apply({b"Kacme\x00other\x00thing": b"\x00\x01"})
    head = unpack_head(lane.store.values[head_key("acme")])
    send(lane, "hopline.state.export", "export")
    ((key, value, headers),) = lane.outputs(topics.EXPORTS)
    assert (key, headers) == (b"acme", {names.FORMAT: b"%d" % NEWEST})
    part = export.read_part(value or b"")
    lined = [bytes(one) for one in part.values]
    found = {(one["hop"], one["name"]): one["value"] for one in map(json.loads, lined)}
    summary = {"values": 5, "bytes": sum(map(len, lined)), "digest": part.digest}
    assert audit.read(lines(lane)[-1]).after == summary
    assert found.pop(("other", "thing")) == {"raw": "AAE="}
    assert found.pop(("directives", "head")) == {"sequence": 1, "digest": head.digest.hex(), "scheduled": 0}
    directive = found.pop(("directives", "d/set"))
    assert directive.keys() == {*Directive.__struct_fields__} - {"payload", "progress"}
    assert (directive["key"], directive["status"]) == ("set", "succeeded")
    account = found.pop(("ingest", "account"))
    hidden = {"own_policy", "key", "known", "changed", "batch_handled", "batch_duplicates"}
    assert account.keys() == {*tenant.Account.__struct_fields__} - hidden
    assert (account["commands"], account["policy"]["held"]) == (1, True)
    ((place, queued),) = found.items()
    assert place[0] == "ingest"
    assert queued == {"topic": topics.SIGNALS_IN, "offset": 0, "bytes": len(event(id="a"))}


def test_an_account_without_a_policy_of_its_own_is_exported_without_one() -> None:
    lane = LaneInMemory()
    lane.send(event(id="a"))
    send(lane, "hopline.state.export", "export")
    values = [json.loads(bytes(one)) for one in export.read_part(lane.outputs(topics.EXPORTS)[0][1] or b"").values]
    assert [one["value"]["policy"] for one in values if one["name"] == "account"] == [None]


def test_an_export_fits_to_the_last_value_and_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    lane = LaneInMemory()
    send(lane, SET, "set", {"burst": 3})
    monkeypatch.setattr(export, "KEYS_MAX", 3)
    send(lane, "hopline.state.export", "fits")
    assert statuses(lane)[-1] == "succeeded"
    size = audit.read(lines(lane)[-1]).after["bytes"]
    again = LaneInMemory()
    send(again, SET, "set", {"burst": 3})
    monkeypatch.setattr(export, "BYTES_MAX", size)
    send(again, "hopline.state.export", "fits")
    assert statuses(again)[-1] == "succeeded"
    more = LaneInMemory()
    send(more, SET, "set", {"burst": 3})
    monkeypatch.setattr(export, "BYTES_MAX", size - 1)
    send(more, "hopline.state.export", "not")
    assert errors(more)[-1] == (
        f"the state is more than 3 values or {size - 1} bytes; clear what is not needed, or read the changelog"
    )
