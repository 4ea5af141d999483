"""Replays at the door: once within each, at a rate of their own, and no privilege for an id that nobody started."""

import json
from typing import Any

import pytest

from processors.ingest import IngestSettings, Policy
from processors.ingest.replay import KEPT_MS, REMEMBERED_MAX, RUNNING_MAX, Replay, replays_key, unpack
from processors.lane import ledger_mismatches
from processors.vocabulary import headers as names
from processors.vocabulary import topics
from tests.processors.lanes import LaneInMemory, event

WINDOW_MS = 60_000


def lane_with(**policy: object) -> LaneInMemory:
    lane = LaneInMemory(ingest=IngestSettings(Policy(dedupe_window_ms=WINDOW_MS, **policy)))  # type: ignore[arg-type]
    lane.send(event(id="first"))
    return lane


def direct(lane: LaneInMemory, verb: str, replay_id: str = "r", *, key: str = "", **data: Any) -> dict[str, Any]:
    """Start or finish a replay; return what was told of it."""
    key = key or f"{verb}-{replay_id}-{len(lane.commits)}"
    value = event(
        id=key,
        type=f"hopline.replay.{verb}",
        data={**data, "replay": data.get("replay", replay_id)},
        idempotencykey=key,
    )
    lane.step(lane.record(value, topic=topics.COMMANDS))
    told: dict[str, Any] = lane.told()[-1]["data"]
    return told


def start(lane: LaneInMemory, replay: str = "r", **data: Any) -> None:
    told = direct(lane, "start", replay, **data)
    assert told["status"] == "succeeded", told


def replay_of(lane: LaneInMemory, replay: str = "r") -> Replay:
    return unpack(lane.store.values.get(replays_key("acme")))[replay]


def replayed(lane: LaneInMemory) -> list[str]:
    """Return the ids of the signals that the door let in as replayed, in their order."""
    signals = lane.outputs(topics.SIGNALS)
    return [json.loads(value or b"{}")["id"] for _, value, headers in signals if names.REPLAYED in headers]


def drained(lane: LaneInMemory) -> None:
    while any(r.account.queued for r in unpack(lane.store.values.get(replays_key("acme"))).values()):
        due_ms = lane.commits[-1].due_ms
        assert due_ms is not None
        lane.now_ms = max(lane.now_ms, due_ms)
        lane.step()


def test_what_was_handled_is_handled_once_more_by_each_replay_and_live_dedupe_stays() -> None:
    lane = lane_with()
    start(lane)
    lane.send(*[event(id="first", replayid="r")] * 3, event(id="first"))
    assert lane.ids() == ["first", "first"]
    assert replayed(lane) == ["first"]
    assert (replay_of(lane).account.handled, replay_of(lane).account.duplicates) == (1, 2)
    assert lane.account().duplicates == 3
    start(lane, "s")
    lane.send(event(id="first", replayid="s"))
    assert replayed(lane) == ["first", "first"]


def test_a_resumed_replay_writes_twice_and_is_handled_once_to_its_end() -> None:
    lane = lane_with()
    start(lane, lasts_ms=10 * WINDOW_MS)
    lane.send(event(id="first", replayid="r"))
    lane.now_ms += 9 * WINDOW_MS
    lane.send(event(id="later"))
    lane.send(event(id="first", replayid="r"))
    assert lane.ids() == ["first", "first", "later"]


@pytest.mark.parametrize("binary", [False, True])
def test_a_made_up_id_gives_no_privilege_and_stays_on_the_signal(binary: bool) -> None:
    lane = lane_with(rate_per_second=1, burst=2)
    made_up = {"id": "x", "replayid": "nobody-knows"}
    if binary:
        attributes = {"specversion": "1.0", "source": "/shop", "type": "a.b", "tenantid": "acme", **made_up}
        lane.send(b"1", headers=[(f"ce_{name}", text.encode()) for name, text in attributes.items()])
    else:
        lane.send(event(**made_up))
    lane.send(event(id="first", replayid="another"))
    assert lane.account().queued == 1, "a rate holds for what claims to be replayed, too"
    lane.now_ms += 1_000
    lane.step()
    *_, (_, value, headers) = lane.outputs(topics.SIGNALS)
    assert names.REPLAYED not in headers
    assert not replayed(lane)
    assert lane.account().duplicates == 1
    claimed = headers["ce_replayid"] if binary else json.loads(value or b"{}")["replayid"].encode()
    assert claimed == b"nobody-knows"


def test_a_header_that_says_replayed_is_taken_off() -> None:
    lane = lane_with()
    lane.send(event(id="x"), headers=[(names.REPLAYED, b"r"), (names.REDRIVEN, b"0-0")])
    *_, (_, _, headers) = lane.outputs(topics.SIGNALS)
    assert names.REPLAYED not in headers
    assert names.REDRIVEN not in headers


def test_a_replay_takes_none_of_the_live_tokens_and_has_its_own_rate_and_order() -> None:
    lane = lane_with(rate_per_second=1, burst=3)
    start(lane, rate_per_second=2)
    lane.send(*(event(id=f"old-{n}", replayid="r") for n in range(5)), event(id="a"), event(id="b"))
    assert lane.ids() == ["first", "old-0", "old-1", "a", "b"]
    assert lane.account().queued == 0
    assert replay_of(lane).account.queued == 3
    assert lane.position.ledger["ingest/deferred"] == 3
    lane.now_ms += 500
    lane.step()
    assert replayed(lane) == ["old-0", "old-1", "old-2"]
    drained(lane)
    assert replayed(lane) == [f"old-{n}" for n in range(5)]
    assert not ledger_mismatches(lane.position.ledger)


def test_live_signals_that_wait_are_not_overtaken_by_their_own_and_do_not_hold_a_replay_up() -> None:
    lane = lane_with(rate_per_second=1, burst=1)
    start(lane)
    lane.send(event(id="a"), event(id="old", replayid="r"), event(id="b"))
    assert replayed(lane) == ["old"]
    assert lane.account().queued == 2


def test_a_hold_holds_a_replay_too_and_lets_it_go_on_in_order() -> None:
    lane = lane_with()
    start(lane)
    lane.command(id="h", held=True)
    lane.send(event(id="old-0", replayid="r"), event(id="old-1", replayid="r"))
    lane.now_ms += 60_000
    lane.step()
    assert not replayed(lane)
    lane.command(id="g", held=False)
    drained(lane)
    assert replayed(lane) == ["old-0", "old-1"]


def test_what_comes_after_the_end_is_set_aside_and_what_waits_goes_on() -> None:
    lane = lane_with()
    start(lane, rate_per_second=1)
    lane.send(event(id="a", replayid="r"), event(id="b", replayid="r"))
    told = direct(lane, "finish", read=2, chosen=2, written=2)
    assert told["status"] == "succeeded"
    lane.send(event(id="c", replayid="r"))
    assert lane.reasons() == ["replay_ended"]
    drained(lane)
    assert replayed(lane) == ["a", "b"]
    assert direct(lane, "finish")["error"] == "the replay 'r' is completed already"


def test_it_expires_and_is_forgotten_and_then_its_id_means_nothing() -> None:
    lane = lane_with()
    start(lane, lasts_ms=60_000)
    lane.now_ms += 60_000
    lane.send(event(id="a", replayid="r"))
    assert lane.reasons() == ["replay_ended"]
    assert replay_of(lane).standing.value == "expired"
    lane.now_ms = lane.commits[-1].due_ms or 0
    assert lane.now_ms == replay_of(lane).ends_ms
    lane.step()
    assert replays_key("acme") not in lane.store.values
    lane.send(event(id="a", replayid="r"))
    assert lane.ids() == ["first", "a"]
    assert not replayed(lane)
    assert lane.commits[-1].due_ms is None


def test_the_same_id_later_is_another_replay() -> None:
    lane = lane_with()
    start(lane, lasts_ms=60_000)
    lane.send(event(id="first", replayid="r"))
    assert direct(lane, "start")["status"] == "failed"
    direct(lane, "finish")
    lane.now_ms += KEPT_MS
    lane.step()
    start(lane)
    lane.send(event(id="first", replayid="r"))
    assert replayed(lane) == ["first", "first"]


def test_a_redrive_is_the_first_time_and_counts_as_that() -> None:
    lane = lane_with()
    start(lane, redrive=True)
    lane.send(event(id="first", replayid="r"), event(id="dead", replayid="r"), event(id="dead"))
    assert lane.ids() == ["first", "dead"]
    assert replayed(lane) == ["dead"]
    assert lane.account().duplicates == 2


def test_running_ones_are_bounded_and_old_ones_make_room() -> None:
    lane = lane_with()
    for number in range(RUNNING_MAX):
        start(lane, f"r{number}")
    assert "stop some" in direct(lane, "start", "one-more")["error"]
    for number in range(2 * REMEMBERED_MAX):
        lane.now_ms += 1
        direct(lane, "finish", f"r{number}")
        start(lane, f"r{number + RUNNING_MAX}")
    known = unpack(lane.store.values.get(replays_key("acme")))
    assert len(known) <= REMEMBERED_MAX
    assert sum(replay.runs(lane.now_ms) for replay in known.values()) == RUNNING_MAX


def test_a_full_queue_refuses_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processors.ingest.replay.QUEUE_RECORDS_MAX", 1)
    lane = lane_with()
    start(lane, rate_per_second=1)
    lane.send(*(event(id=f"o{n}", replayid="r") for n in range(3)))
    assert lane.reasons() == ["rate_limited"]
    assert not ledger_mismatches(lane.position.ledger)


def test_a_suspended_tenant_replays_nothing() -> None:
    lane = lane_with()
    start(lane)
    lane.command(id="s", status="suspended")
    lane.send(event(id="a", replayid="r"))
    assert lane.reasons() == ["tenant_suspended"]


@pytest.mark.parametrize(
    "data, said",
    [
        ({"replay": "a b"}, "data.replay"),
        ({"replay": ""}, "data.replay"),
        ({"rate_per_second": 0}, "data.rate_per_second"),
        ({"rate_per_second": 1e9}, "data.rate_per_second"),
        ({"lasts_ms": 1}, "data.lasts_ms"),
        ({"what": "x" * 1_000}, "data.what"),
        ({"more": 1}, "more"),
    ],
)
def test_what_is_wrong_is_rejected_by_field(data: dict[str, Any], said: str) -> None:
    lane = lane_with()
    told = direct(lane, "start", key="k", **{"replay": "r", **data})
    assert told["status"] == "rejected"
    assert said in told["error"]
    assert replays_key("acme") not in lane.store.values


def test_without_the_permission_nothing_is_started() -> None:
    lane = LaneInMemory(permissions=frozenset({"tenant:write"}))
    lane.send(event(id="first"))
    assert "replay:write" in direct(lane, "start")["error"]


def test_while_an_upgrade_rolls_nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processors.directives.kinds.replay.NEWEST", 3)
    lane = lane_with()
    assert "upgrade" in direct(lane, "start")["error"]


def test_the_audit_has_both_ends() -> None:
    lane = lane_with()
    start(lane, what="all of acme")
    direct(lane, "finish", read=7, chosen=3, written=3)
    started, finished = (json.loads(value or b"{}") for _, value, _ in lane.outputs(topics.AUDIT))
    assert (started["directive"], started["after"]["what"]) == ("hopline.replay.start", "all of acme")
    assert (finished["before"]["standing"], finished["after"]["standing"]) == ("running", "completed")
    assert (finished["after"]["read"], finished["after"]["written"]) == (7, 3)
