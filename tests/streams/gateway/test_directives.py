"""Directives over HTTP: judged at once, signed, waited for, listed; from what the audit has told."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from processors.directives import audit, requester
from processors.directives.audit import Told
from processors.directives.intake import asked_of
from processors.directives.record import Directive, Head, Status
from processors.vocabulary import envelope, topics
from processors.vocabulary.record import PlainRecord
from processors.vocabulary.rules import SYSTEM
from processors.vocabulary.signal import Signal
from streams.gateway.outlet import OutletError, Written
from tests.streams.gateway.keyed import DIRECTIVES, LIMIT_SET, NOW_MS, SIGNING, Site, kind, listening


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with listening() as made:
        yield made


async def test_a_directive_is_signed_for_who_asks(site: Site) -> None:
    key = site.give("a", "acme", "limit:write")
    status, said = await site.ask("POST", DIRECTIVES, key, {**LIMIT_SET, "key": "k"})
    assert (status, said["key"], said["status"]) == (202, "k", "accepted")
    (entry,) = site.outlet.taken
    assert entry.topic == topics.COMMANDS
    sent = json.loads(entry.value or b"")
    asking = requester.Event("acme", sent["source"], sent["id"], sent["type"], b'{"burst": 7}')
    found = requester.verified(SIGNING, asking, sent, time.time_ns() // 1_000_000)
    assert found is not None
    assert (found.requester, found.granted, found.stale) == ("key:000000000a", ("limit:write",), False)


@pytest.mark.parametrize(
    "body, fields",
    [
        ({"name": "hopline.nothing"}, ["name"]),
        ({"name": "hopline.limit.set", "data": {"burst": 0}}, ["data.burst"]),
        ({"name": "hopline.limit.set", "data": {"burts": 1}}, ["data.burts"]),
        ({"name": "hopline.limit.set", "data": None}, ["data"]),
        ({"name": "hopline.limit.set", "notbefore": "noon"}, ["notbefore"]),
        ({"name": "hopline.limit.set", "expires": "2001-01-01T00:00:00Z"}, ["expires"]),
        ({"name": "hopline.limit.set", "requester": "me"}, ["body"]),
        ({}, ["body"]),
        ([], ["body"]),
    ],
)
async def test_a_wrong_directive_is_refused_at_once_by_field(site: Site, body: Any, fields: list[str]) -> None:
    key = site.give("a")
    status, said = await site.ask("POST", DIRECTIVES, key, body)
    assert (status, [problem["field"] for problem in said["problems"]]) == (400, fields)
    assert not site.outlet.taken


async def test_hoplines_own_tenant_takes_keys_only(site: Site) -> None:
    key = site.give("op", SYSTEM)
    status, said = await site.ask("POST", DIRECTIVES, key, {**LIMIT_SET, "tenant": SYSTEM})
    assert (status, said["problems"][0]["field"]) == (400, "tenant")


async def test_who_waits_gets_the_end_and_only_its_own(site: Site) -> None:
    key = site.give("a")
    asked = asyncio.create_task(site.ask("POST", DIRECTIVES, key, {**LIMIT_SET, "key": "k"}, Prefer="wait=20"))
    async with asyncio.timeout(10):
        while not site.outlet.taken:  # noqa: ASYNC110  # the outlet tells nobody
            await asyncio.sleep(0)
    # Of another directive under this key, and of another tenant's.
    site.tell("k", Status.SUCCEEDED, mark="another")
    site.tell("k", Status.SUCCEEDED, "bolt")
    assert not asked.done()
    id_ = site.outlet.taken[0].id
    directive = Directive("k", "hopline.limit.set", id_, id_, "key:a", b"f", b"{}", NOW_MS, 0, 0, Status.FAILED)
    directive.error = "there is no tenant"
    line = audit.extend(Head(), "acme", directive, NOW_MS, Told())
    site.ends.take(SimpleNamespace(key=b"acme", value=line, partition=0, offset=0))
    status, said = await asked
    assert (status, said["status"], said["error"]) == (200, "failed", "there is no tenant")


async def test_who_does_not_wait_or_waits_too_short_is_told_where_to_look(site: Site) -> None:
    key = site.give("a")
    for prefer in ("", "wait=1", "respond-async, wait=0", "wait=soon"):
        status, said = await site.ask("POST", DIRECTIVES, key, {**LIMIT_SET, "key": "a/b#c"}, Prefer=prefer)
        assert (status, said["see"]) == (202, "/v1/directives/a%2Fb%23c?tenant=acme")
    assert not site.ends._waiting


async def test_kafka_away_is_told_and_nothing_asked(site: Site) -> None:
    key = site.give("a")
    site.outlet.away = "Kafka is away: it was killed."
    status, said = await site.ask("POST", DIRECTIVES, key, LIMIT_SET)
    assert (status, kind(said)) == (503, "kafka_away")


async def test_a_directive_whose_fate_is_unknown_can_be_asked_for_again(site: Site) -> None:
    key = site.give("a")

    async def lost(entries: Any) -> list[Written | OutletError]:
        return [OutletError("Kafka did not confirm.", known_unwritten=False) for _ in entries]

    site.outlet.send = lost  # type: ignore[method-assign]
    status, said = await site.ask("POST", DIRECTIVES, key, {**LIMIT_SET, "key": "k"})
    assert (status, "same Idempotency-Key" in said["detail"]) == (503, True)


async def test_the_same_key_again_is_answered_from_what_is_known_and_another_directive_refused(site: Site) -> None:
    key = site.give("a")
    await site.ask("POST", DIRECTIVES, key, {**LIMIT_SET, "key": "k"})
    sent = json.loads(site.outlet.taken[0].value or b"")
    record = PlainRecord(topics.COMMANDS, 0, 0, NOW_MS, None, site.outlet.taken[0].value, site.outlet.taken[0].headers)
    signal = envelope.decode(record)
    assert isinstance(signal, Signal)
    mark = requester.mark_of(SIGNING, fingerprint_of(signal))
    site.tell("k", Status.SUCCEEDED, mark=mark)
    assert sent["idempotencykey"] == "k"
    status, said = await site.ask("POST", DIRECTIVES, key, {**LIMIT_SET, "key": "k"})
    assert (status, said["status"]) == (200, "succeeded")
    status, said = await site.ask("POST", DIRECTIVES, key, {**LIMIT_SET, "data": {"burst": 8}, "key": "k"})
    assert (status, kind(said)) == (409, "idempotency_key_used")
    assert len(site.outlet.taken) == 1
    status, _ = await site.ask("POST", DIRECTIVES, key, {**LIMIT_SET, "key": "k"}, Idempotency_Key="other")
    assert status == 400


def fingerprint_of(signal: Signal) -> bytes:
    """Return what the lane tells directives apart by."""
    return asked_of(signal, NOW_MS).directive.fingerprint


async def test_the_kinds_come_with_the_schema_of_their_data(site: Site) -> None:
    status, said = await site.ask("GET", "/v1/directive-kinds", site.give("a", "acme", "signal:write"))
    found = {each["name"]: each for each in said["kinds"]}
    assert status == 200
    assert found["hopline.key.create"]["permission"] == "key:write"
    assert "burst" in json.dumps(found["hopline.limit.set"]["data"])


async def test_a_list_is_bounded_and_newest_first(site: Site) -> None:
    key = site.give("a")
    for number in range(5):
        site.tell(f"k{number}", Status.REQUESTED, at_ms=NOW_MS - 1_000)
        site.tell(f"k{number}", Status.SUCCEEDED, at_ms=NOW_MS)
    _, said = await site.ask("GET", f"{DIRECTIVES}?limit=2", key)
    assert [each["key"] for each in said["directives"]] == ["k4", "k3"]
    assert said["directives"][0]["requested"] < said["directives"][0]["finished"]
    for wrong in ("0", "x", "1001", "9" * 40, "-1", "²"):
        assert (await site.ask("GET", f"{DIRECTIVES}?limit={wrong}", key))[0] == 400
    assert (await site.ask("GET", f"{DIRECTIVES}/none", key))[0] == 404


@pytest.mark.parametrize("sent", ["text/plain", "", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_what_a_page_of_another_site_could_send_is_not_taken(site: Site, sent: str) -> None:
    key = site.give("a")
    status, _ = await site.ask("POST", DIRECTIVES, key, LIMIT_SET, Content_Type=sent)
    assert status == 415
    assert not site.outlet.taken
