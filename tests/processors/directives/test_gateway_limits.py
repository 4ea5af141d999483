"""`hopline.gateway.limit.set`: for the system's tenant only, told to all gateways, audited with what was before."""

import json
from typing import Any

from processors.admission import Channel, Limit, Tier
from processors.admission.table import Table, key_of
from processors.directives import audit
from processors.vocabulary import topics
from tests.processors.directives.test_directives import balanced, lines, send, statuses
from tests.processors.lanes import LaneInMemory

SET = "hopline.gateway.limit.set"
WANTED = {"channel": "signals", "tier": "heavy", "rate_per_second": 2.5, "burst": 7}

WRONG: list[dict[str, Any]] = [
    {"burst": 0},
    {"rate_per_second": 0},
    {"rate_per_second": 1e99},
    {"tier": "unlimited"},
    {"tier": "none"},
    {"channel": "nonsense"},
    {"burst": "many"},
    {"more": 1},
]


def test_a_limit_reaches_the_gateways_and_the_audit_says_what_was_before() -> None:
    lane, table = LaneInMemory(), Table()
    send(lane, SET, "k1", WANTED, tenantid="_system")
    send(lane, SET, "k2", {**WANTED, "burst": 9}, tenantid="_system")
    assert statuses(lane) == ["succeeded", "succeeded"]
    for key, value, _ in lane.outputs(topics.ACCESS):
        assert table.set((key or b"").decode(), value) == ""
    assert table.of(Channel.SIGNALS, Tier.HEAVY) == Limit(2.5, 9)
    assert [key for key, _, _ in lane.outputs(topics.ACCESS)] == [key_of(Channel.SIGNALS, Tier.HEAVY).encode()] * 2
    first, second = (audit.read(line) for line in lines(lane))
    assert (first.tenant, first.before["burst"], first.after["burst"]) == ("_system", 100, 7)
    assert (second.before["burst"], second.after["burst"]) == (7, 9)
    assert balanced(lane)


def test_what_is_out_of_bounds_is_rejected_by_field_and_reaches_nobody() -> None:
    lane = LaneInMemory()
    for number, wrong in enumerate(WRONG):
        send(lane, SET, f"k{number}", {**WANTED, **wrong}, tenantid="_system")
        error = lane.told()[-1]["data"]["error"]
        assert error.startswith(f"data.{next(iter(wrong))} "), error
    assert set(statuses(lane)) == {"rejected"}
    assert not lane.outputs(topics.ACCESS)
    assert balanced(lane)


def test_it_is_not_for_tenants_and_what_is_for_tenants_is_not_for_the_system() -> None:
    lane = LaneInMemory()
    send(lane, SET, "k1", WANTED)
    send(lane, "hopline.tenant.suspend", "k2", {}, tenantid="_system")
    send(lane, "hopline.tenant.create", "k3", {}, tenantid="pool:a")
    # Of the reserved names one takes directives: the door lets commands for the others not in at all.
    assert statuses(lane) == ["rejected"] * 2
    assert lane.reasons() == ["invalid_envelope"]
    assert "_system" in lane.told()[0]["data"]["error"]
    assert not lane.outputs(topics.ACCESS)
    assert balanced(lane)


def test_a_signal_of_the_system_still_does_not_pass_the_door() -> None:
    lane = LaneInMemory()
    lane.send(
        json.dumps({"specversion": "1.0", "id": "1", "source": "/s", "type": "a.b", "tenantid": "_system"}).encode()
    )
    assert lane.reasons() == ["invalid_envelope"]


def test_the_permission_is_asked_for() -> None:
    lane = LaneInMemory(permissions=frozenset({"tenant:write"}))
    send(lane, SET, "k1", WANTED, tenantid="_system")
    assert "limit:write" in lane.told()[0]["data"]["error"]


def test_one_that_waits_for_its_time_can_be_taken_back() -> None:
    lane = LaneInMemory()
    send(lane, SET, "k1", WANTED, tenantid="_system", notbefore="2099-01-01T00:00:00Z")
    send(lane, "hopline.directive.cancel", "k2", {"key": "k1"}, tenantid="_system")
    assert statuses(lane) == ["requested", "cancelled", "succeeded"]
    assert not lane.outputs(topics.ACCESS)
