"""A tenant's account to the letter: what is packed, what is earned, what stays ready between batches."""

from typing import Any

import pytest

from processors.ingest import IngestSettings, Policy, tenant
from processors.ingest.tenant import Account, account_key
from tests.processors.lanes import NOW_MS, LaneInMemory, event


def test_what_stays_ready_changes_nothing() -> None:
    def played(*, warm: bool, ready_max: int) -> LaneInMemory:
        settings = IngestSettings(Policy(rate_per_second=5, burst=3), warm_accounts_max=ready_max)
        lane = LaneInMemory(ingest=settings, stays_warm=warm)
        for number in range(12):
            lane.send(*(event(f"t{number % each}", id=str(number)) for each in (1, 2, 3, 5)))
            if number % 4 == 0:
                lane.command(f"t{number % 3}", id=f"c{number}", burst=number + 2)
            lane.now_ms += 130
        return lane

    cold = played(warm=False, ready_max=100)
    for ready_max in (100, 3, 1, 0):
        ready = played(warm=True, ready_max=ready_max)
        assert ready.store.values == cold.store.values, ready_max
        assert [one.outputs for one in ready.commits] == [one.outputs for one in cold.commits], ready_max
        assert [one.tally for one in ready.commits] == [one.tally for one in cold.commits], ready_max


def test_accounts_stay_ready_up_to_a_number() -> None:
    lane = LaneInMemory(ingest=IngestSettings(warm_accounts_max=2), stays_warm=True)
    lane.send(event("a", id="1"), event("b", id="1"))
    assert lane.commits[-1].warm["ingest"].keys() == {"a", "b"}
    assert lane.commits[-1].warm["ingest"]["a"].handled == 1
    before = lane.commits[-1].warm["ingest"]["a"]
    lane.send(event("a", id="2"))
    assert lane.commits[-1].warm["ingest"]["a"] is before, "not read again"
    assert (before.changed, before.batch_handled, before.batch_duplicates) == (False, 0, 0)
    lane.send(event("c", id="1"))
    assert lane.commits[-1].warm["ingest"].keys() == {"c"}, "more than fit: it begins anew"
    lane.send(event("c", id="1"))
    assert lane.commits[-1].warm["ingest"]["c"].batch_duplicates == 0


def test_a_tenant_that_is_looked_at_and_not_changed_is_not_written() -> None:
    lane = LaneInMemory(ingest=IngestSettings(strict=True))
    lane.send(event("stranger", id="1"), event("other", id="1"))
    assert not [key for key in lane.store.values if b"account" in key]
    lane.command("other")
    lane.now_ms += 5
    lane.send(event("stranger", id="2"), event("other", id="2"))
    assert lane.account("other").handled == 1, "those after it are"
    assert lane.account("other").last_ms == NOW_MS + 5


def test_a_policy_is_read_the_same_however_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenant, "_policies", {})
    monkeypatch.setattr(tenant, "_POLICIES_MAX", 2)
    packed = []
    for burst in (1, 2, 3):
        account = Account(Policy(), b"")
        account.set_policy(Policy(burst=burst), 0)
        packed.append(account.pack())
    for _ in range(3):
        assert [Account.load(one, Policy()).policy.burst for one in packed] == [1, 2, 3]
        assert 0 < len(tenant._policies) <= 2
    first = Account.load(packed[0], Policy()).policy
    assert Account.load(packed[0], Policy()).policy is first


def test_an_account_is_packed_and_loaded_whole() -> None:
    fields = ("handled", "duplicates", "dead", "commands", "micro_tokens", "refilled_ms", "queue_head", "queue_tail")
    more = ("queue_bytes", "due_ms", "created_ms", "last_ms")
    counts: dict[str, Any] = {name: at + 1 for at, name in enumerate((*fields, *more))}
    account = Account(Policy(), b"", **counts)
    found = Account.load(account.pack(), Policy(burst=9), b"key")
    assert [getattr(found, name) for name in (*fields, *more)] == list(range(1, 13))
    assert (found.policy.burst, found.own_policy, found.key, found.known) == (9, b"", b"key", True)
    assert found.queued == 1
    fresh = Account.load(None, Policy(burst=9), b"key")
    assert (fresh.policy.burst, fresh.own_policy, fresh.key, fresh.known) == (9, b"", b"key", False)
    assert account_key("acme") == b"Kacme\x00ingest\x00account"


def test_tokens_are_earned_to_the_millionth() -> None:
    account = Account(Policy(rate_per_second=2, burst=2), b"")
    account.create(1_000)
    assert (account.created_ms, account.refilled_ms, account.micro_tokens) == (1_000, 1_000, 2_000_000)
    assert [account.take_token(1_000) for _ in range(3)] == [True, True, False]
    assert account.token_due_ms(1_000) == 1_500
    assert not account.take_token(1_499)
    assert account.micro_tokens == 998_000
    assert account.token_due_ms(1_499) == 1_500
    assert account.take_token(1_500)
    assert account.micro_tokens == 0
    account.refill(9_000)
    assert (account.micro_tokens, account.refilled_ms) == (2_000_000, 9_000)
    account.refill(8_000)
    assert account.refilled_ms == 9_000
    assert account.token_due_ms(9_000) == 9_000
    slow = Account(Policy(rate_per_second=0.7, burst=1), b"")
    assert slow.token_due_ms(0) == 1_429
    slow.micro_tokens = 999_999
    assert slow.token_due_ms(5) == 6, "never at once, never never"
    free = Account(Policy(rate_per_second=0), b"")
    assert (free.take_token(5), free.token_due_ms(5), free.micro_tokens) == (True, 5, 0)


def test_a_new_policy_takes_tokens_and_gives_none() -> None:
    account = Account(Policy(rate_per_second=1, burst=10), b"")
    account.create(0)
    account.set_policy(Policy(rate_per_second=1, burst=4), 0)
    assert account.micro_tokens == 4_000_000
    account.set_policy(Policy(rate_per_second=1, burst=10), 2_000)
    assert account.micro_tokens == 4_000_000
    account.set_policy(Policy(rate_per_second=1, burst=10), 3_000)
    assert account.micro_tokens == 5_000_000, "earned under the old one"
    account.set_policy(Policy(rate_per_second=0, burst=3), 3_000)
    account.set_policy(Policy(rate_per_second=1, burst=6), 3_000)
    assert account.micro_tokens == 6_000_000, "after no limit it begins full"


def test_bounds_of_a_policy_hold_to_the_last() -> None:
    lane = LaneInMemory()
    most: dict[str, Any] = {
        "rate_per_second": 1_000_000,
        "burst": 1_000_000,
        "queue_records": 10_000,
        "dedupe_window_ms": 7 * 24 * 3_600_000,
    }
    lane.command(id="most", **most)
    lane.command(id="least", rate_per_second=0.001, burst=1, queue_records=0, dedupe_window_ms=0)
    assert [told["data"]["status"] for told in lane.told()] == ["succeeded"] * 2
    assert lane.account().policy.rate_per_second == 0.001
    for name, value in most.items():
        above: dict[str, Any] = {name: value + 1}
        lane.command(id=name, **above)
        least = 1 if name == "burst" else 0
        assert lane.told()[-1]["data"]["error"] == f"data.{name} must be from {least} to {value}"


def test_segments_are_kept_for_the_longest_window_of_those_in_them() -> None:
    lane = LaneInMemory()
    lane.command("short", dedupe_window_ms=10)
    lane.command("long", dedupe_window_ms=1_000)
    lane.send(event("long", id="1"), event("short", id="1"))
    for by_ms, left in ((999, 1), (1, 0)):
        lane.now_ms += by_ms
        lane.step()
        assert len([key for key in lane.store.values if key.startswith(b"S")]) == left
