"""The door: what is admitted, once, enriched, and what is set aside with a reason."""

import json

import pytest

from processors.ingest import IngestSettings, Over, Policy, Status
from processors.lane import ledger_mismatches
from processors.vocabulary import topics
from tests.processors.lanes import NOW_MS, LaneInMemory, event, tenant_of_lane


def test_a_signal_comes_out_enriched_in_its_tenants_lane() -> None:
    lane = LaneInMemory()
    lane.send(event(id="a"))
    (key, value, headers), *_ = lane.outputs(topics.SIGNALS)
    assert key == b"acme"
    assert headers["hopline"] == b"2"
    out = json.loads(value or b"")
    assert out["correlationid"] == "a"
    assert out["time"].startswith("2027-01-15T")
    assert out["traceparent"].startswith("00-")
    assert out["data"] == {"total": 12}


def test_data_is_carried_byte_for_byte() -> None:
    lane = LaneInMemory()
    raw = event(id="a")[:-1] + b', "extra": "x"}'
    raw = raw.replace(b'{"total": 12}', b'{"n":12345678901234567890123, "p" :1.10}')
    lane.send(raw)
    ((_, value, _),) = lane.outputs(topics.SIGNALS)
    assert b'{"n":12345678901234567890123, "p" :1.10}' in (value or b"")


def test_an_id_counts_once_within_the_window_and_again_after_it() -> None:
    lane = LaneInMemory(ingest=IngestSettings(Policy(dedupe_window_ms=60_000)))
    lane.send(event(id="a"), event(id="a"))
    lane.now_ms += 59_999
    lane.send(event(id="a"))
    assert lane.ids() == ["a"]
    lane.now_ms += 1
    lane.send(event(id="a"))
    assert lane.ids() == ["a", "a"]
    assert lane.account().duplicates == 2
    assert lane.account().handled == 2


def test_the_same_id_of_another_tenant_or_source_is_another_signal() -> None:
    lane = LaneInMemory()
    lane.send(event(id="a"), event("other", id="a"), event(id="a", source="/else"))
    assert lane.ids() == ["a", "a", "a"]


def test_a_window_of_nothing_means_no_dedupe_and_no_memory() -> None:
    lane = LaneInMemory(ingest=IngestSettings(Policy(dedupe_window_ms=0)))
    lane.send(event(id="a"), event(id="a"))
    assert lane.ids() == ["a", "a"]
    assert not [key for key in lane.store.values if key.startswith(b"S")]


def test_segments_are_forgotten_when_their_time_has_come() -> None:
    lane = LaneInMemory(ingest=IngestSettings(Policy(dedupe_window_ms=1_000)))
    lane.send(event(id="a"))
    lane.now_ms += 2_000
    lane.send(event(id="b"))
    segments = [key for key in lane.store.values if key.startswith(b"S")]
    assert len(segments) == 1
    assert lane.store.seen_many("ingest", []) == []


def test_a_command_and_a_signal_of_one_batch_are_both_remembered() -> None:
    """Both topics of a batch seal into the same segment; the second must not replace the first."""
    lane = LaneInMemory()
    command = lane.record(event(id="c", type="hopline.tenant.set", data={"burst": 7}), topic=topics.COMMANDS)
    lane.step(command, lane.record(event(id="a")))
    again = lane.record(event(id="c", type="hopline.tenant.set", data={"burst": 9}), topic=topics.COMMANDS)
    lane.step(again, lane.record(event(id="a")))
    assert lane.account().policy.burst == 7
    assert lane.ids() == ["a"]


def test_a_record_of_another_lane_is_moved_once_and_stepped_there_only() -> None:
    tenant = tenant_of_lane(1, 2)
    lane = LaneInMemory(lanes=2)
    lane.send(event(tenant, id="a"))
    assert lane.ids() == []
    ((key, value, headers),) = lane.outputs(topics.SIGNALS_IN, lane=1)
    assert (key, value) == (tenant.encode(), event(tenant, id="a"))
    assert headers["moved"] == b"0/0"


def test_a_moved_record_in_a_wrong_lane_is_set_aside() -> None:
    tenant = tenant_of_lane(1, 2)
    lane = LaneInMemory(lanes=2)
    lane.send(event(tenant), headers=[("moved", b"3/4")])
    assert lane.reasons() == ["moved_twice"]


@pytest.mark.parametrize(
    "status, reason",
    [(Status.SUSPENDED, "tenant_suspended"), (Status.DELETED, "tenant_deleted")],
)
def test_signals_of_a_tenant_that_is_not_active_are_set_aside(status: Status, reason: str) -> None:
    lane = LaneInMemory()
    lane.command(status=status.value)
    lane.send(event(id="a"))
    assert lane.reasons() == [reason]
    lane.command(id="c2", status="active")
    lane.send(event(id="b"))
    assert lane.ids() == ["b"]


def test_strict_refuses_tenants_that_nobody_created() -> None:
    lane = LaneInMemory(ingest=IngestSettings(strict=True))
    lane.send(event(id="a"))
    assert lane.reasons() == ["unknown_tenant"]
    assert lane.account().known is False
    lane.command()
    lane.send(event(id="b"))
    assert lane.ids() == ["b"]


def test_a_dead_letter_is_whole_and_says_why() -> None:
    lane = LaneInMemory()
    lane.send(b'{"broken', key=b"k", headers=[("x", b"y")])
    ((key, value, headers),) = lane.outputs(topics.DEAD_LETTERS)
    assert (key, value, headers["x"]) == (b"k", b'{"broken', b"y")
    assert headers["dl_reason"] == b"not_json"
    assert headers["dl_topic"] == b"signals.in"
    assert (headers["dl_partition"], headers["dl_offset"]) == (b"0", b"0")
    assert headers["dl_at"] == str(NOW_MS).encode()
    assert json.loads(headers["dl_problems"] or b"")[0]["message"]


def test_field_level_reasons_name_each_wrong_field() -> None:
    lane = LaneInMemory()
    lane.send(event(specversion="0.3", type="", time="yesterday"))
    ((_, _, headers),) = lane.outputs(topics.DEAD_LETTERS)
    fields = {problem["field"] for problem in json.loads(headers["dl_problems"] or b"")}
    assert {"specversion", "type", "time"} <= fields


def test_headers_that_mean_something_between_hops_are_not_taken_from_a_sender() -> None:
    lane = LaneInMemory()
    lane.send(event(id="a"), headers=[("stepped", b"1"), ("moved", b"1/1"), ("hopline", b"9"), ("mine", b"m")])
    ((_, _, headers),) = lane.outputs(topics.SIGNALS)
    assert "stepped" not in headers
    assert "moved" not in headers
    assert (headers["hopline"], headers["mine"]) == (b"2", b"m")


def test_a_command_sent_again_does_nothing() -> None:
    lane = LaneInMemory()
    lane.command(burst=7)
    lane.command(burst=9)
    assert lane.account().policy.burst == 7
    lane.command(id="c2", burst=9)
    assert lane.account().policy.burst == 9


def test_the_ledger_balances_whatever_came() -> None:
    lane = LaneInMemory(lanes=2, ingest=IngestSettings(Policy(rate_per_second=1, burst=2, over=Over.DEFER)))
    mine, other = tenant_of_lane(0, 2), tenant_of_lane(1, 2)
    lane.send(*(event(mine, id=str(n)) for n in range(5)), event(mine, id="0"), event(other), None, b"{")
    lane.now_ms += 2_000
    lane.step()
    ledger = lane.position.ledger
    assert ledger_mismatches(ledger) == {}
    assert ledger["ingest/in"] == 9
    assert ledger["ingest/moved"] == 1
    assert ledger["ingest/dead_lettered"] == 2
    assert ledger["ingest/handled"] + ledger["ingest/deferred"] == 6
