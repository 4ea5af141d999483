"""Who comes in: 401 and 403 in words, and nobody sees or sends anything of another tenant."""

import asyncio
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from processors.directives.record import Status
from processors.vocabulary import envelope, topics
from processors.vocabulary.access import AccessKey
from processors.vocabulary.permissions import DIRECTIVE_READ
from processors.vocabulary.record import PlainRecord
from processors.vocabulary.rules import SYSTEM
from processors.vocabulary.signal import Signal
from streams.gateway import intake
from streams.gateway.access import GUARDED, Access, ids_for
from streams.gateway.caller import Caller
from streams.gateway.intake import Entry
from streams.gateway.limits import RefusedError
from streams.keys import new_key, prefix_of
from streams.metrics import Metrics
from streams.settings import Settings
from tests.streams.gateway.keyed import DIRECTIVES, LIMIT_SET, NOW_MS, PEPPER, Site, kind, listening
from tests.streams.gateway.played import BATCH, SIGNALS, STRUCTURED, event


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with listening() as made:
        yield made


async def test_a_key_opens(site: Site) -> None:
    key = site.give("a")
    assert (await site.ask("POST", SIGNALS, key, event(tenantid="acme"), **STRUCTURED))[0] == 202


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_what_machines_look_at_needs_no_key(site: Site, path: str) -> None:
    async with site.client.get(path) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    "sent, why",
    [
        ({}, "missing_key"),
        ({"Authorization": "Basic YTpi"}, "missing_key"),
        ({"Authorization": "Bearer"}, "missing_key"),
        ({"Authorization": "Bearer "}, "missing_key"),
        ({"Authorization": "Bearer x"}, "mistyped_key"),
        ({"Authorization": f"Bearer {new_key('0000000bad')}"}, "unknown_key"),
        ({"Authorization": f"Bearer {new_key('000000000a')}"}, "unknown_key"),
    ],
)
async def test_what_is_no_key_is_told_apart(site: Site, sent: dict[str, str], why: str) -> None:
    site.give("a")
    status, said = await site.ask("POST", SIGNALS, "", event(), **STRUCTURED, **sent)
    assert (status, kind(said)) == (401, why)
    assert not site.outlet.taken


async def test_what_else_stands_in_the_topic_is_left_alone(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.table.take(SimpleNamespace(key=b"limit/signals/normal", value=b"{}"))
    site.table.take(SimpleNamespace(key=None, value=b"{}"))
    assert not caplog.text
    site.table.take(SimpleNamespace(key=b"key/acme\0key0000000", value=b"no key"))
    assert "cannot be read" in caplog.text
    assert not len(site.table.ring)


async def test_two_keys_at_once_are_none(site: Site) -> None:
    key = site.give("a")
    async with site.client.post(SIGNALS, headers=[("Authorization", f"Bearer {key}")] * 2, data=b"") as answer:
        assert answer.status == 401


async def test_every_single_wrong_character_is_called_a_typo(site: Site) -> None:
    key = site.give("a")
    for at in range(4, len(key)):
        wrong = key[:at] + ("a" if key[at] != "a" else "b") + key[at + 1 :]
        assert prefix_of(wrong) is None, at
    assert prefix_of(key) == "000000000a"


@pytest.mark.parametrize(
    "more, why",
    [
        ({"revoked_ms": NOW_MS}, "revoked_key"),
        ({"expires_ms": NOW_MS - 1}, "expired_key"),
        ({"expires_ms": NOW_MS - 1, "revoked_ms": NOW_MS}, "revoked_key"),
    ],
)
async def test_what_is_dead_is_told_to_who_has_the_secret_only(site: Site, more: dict[str, Any], why: str) -> None:
    key = site.give("a", "acme", **more)
    assert kind((await site.ask("GET", "/v1/directive-kinds", key))[1]) == why
    assert kind((await site.ask("GET", "/v1/directive-kinds", new_key("000000000a")))[1]) == "unknown_key"


async def test_a_rotated_secret_is_good_for_its_grace_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = new_key("0000000rot"), new_key("0000000rot")
    hashes: Any = {"hash": PEPPER.hash(new), "previous": PEPPER.hash(old), "previous_until_ms": NOW_MS + 3_600_000}
    site.put(AccessKey("acme", "0000000rot", permissions=("*",), created_ms=NOW_MS, **hashes))
    for key in (old, new):
        assert (await site.ask("GET", "/v1/directive-kinds", key))[0] == 200
    monkeypatch.setattr("streams.gateway.access.wall_ms", lambda: NOW_MS + 3_600_000)
    assert kind((await site.ask("GET", "/v1/directive-kinds", old))[1]) == "rotated_key"
    assert (await site.ask("GET", "/v1/directive-kinds", new))[0] == 200


async def test_a_key_without_the_permission_is_told_which(site: Site) -> None:
    key = site.give("a", "acme", DIRECTIVE_READ)
    status, said = await site.ask("POST", SIGNALS, key, event(tenantid="acme"), **STRUCTURED)
    assert (status, said["problems"][0]["message"]) == (403, "lacks signal:write")
    status, said = await site.ask("POST", DIRECTIVES, key, LIMIT_SET)
    assert (status, said["problems"][0]["message"]) == (403, "lacks limit:write")
    assert not site.outlet.taken


async def test_until_the_keys_are_read_nobody_comes_in_and_the_rest_is_served() -> None:
    async with listening(read=False) as site:
        status, said = await site.ask("POST", SIGNALS, new_key("000000000a"), event(), **STRUCTURED)
        assert (status, kind(said)) == (503, "keys_not_read")
        async with site.client.get("/readyz") as answer:
            assert answer.status == 503
        async with site.client.get("/healthz") as answer:
            assert answer.status == 200


async def test_on_loopback_none_is_needed_but_a_wrong_one_is_refused() -> None:
    async with listening(require_keys=None) as site:
        key = site.give("a")
        assert (await site.ask("POST", SIGNALS, "", event(tenantid="bolt"), **STRUCTURED))[0] == 202
        assert (await site.ask("POST", SIGNALS, key, event(tenantid="bolt"), **STRUCTURED))[0] == 403
        assert (await site.ask("POST", SIGNALS, new_key("0000000bad"), event(), **STRUCTURED))[0] == 401


async def test_an_operators_key_speaks_for_every_tenant_but_not_for_hoplines_own_signals(site: Site) -> None:
    key = site.give("op", SYSTEM)
    for tenant, status in (("acme", 202), ("bolt", 202), ("_system", 400), ("pool:x", 400)):
        assert (await site.ask("POST", SIGNALS, key, event(tenantid=tenant), **STRUCTURED))[0] == status
    assert (await site.ask("GET", f"{DIRECTIVES}?tenant={SYSTEM}", key))[0] == 200


async def test_a_bound_key_may_leave_its_tenant_out(site: Site) -> None:
    key = site.give("a")
    bare = event()
    del bare["tenantid"]
    assert (await site.ask("POST", SIGNALS, key, bare, **STRUCTURED))[1]["tenant"] == "acme"
    status, said = await site.ask("POST", SIGNALS, key, [bare, event(2, tenantid="bolt")], **BATCH)
    assert (status, [item["status"] for item in said["items"]]) == (207, [202, 403])
    status, said = await site.ask("POST", DIRECTIVES, key, LIMIT_SET)
    assert (status, said["tenant"]) == (202, "acme")


ABOUT_HOPLINE = {"/v1/directive-kinds", "/v1/schemas", "/v1/schemas/{name}", "/v1/limits"}
"""These tell of Hopline itself, or of the caller; nothing of any tenant."""


async def test_every_guarded_route_asks_for_a_key_and_shows_nothing_of_another_tenant(site: Site) -> None:
    """Whatever route is added: it must ask, and must refuse to tell a bound key of another tenant."""
    key = site.give("a")
    site.tell("theirs", Status.SUCCEEDED, "bolt")
    found = 0
    for route in site.app.router.routes():
        path = route.resource.canonical if route.resource else ""
        path = path.replace("{key}", "theirs").replace("{ref}", "0" * 32).replace("{id}", "a-chart")
        if not path.startswith(GUARDED) or route.method == "HEAD":
            continue
        found += 1
        async with site.client.request(route.method, path) as answer:
            assert answer.status == 401, path
        body = {"tenant": "bolt", **LIMIT_SET} if path == DIRECTIVES else event(tenantid="bolt")
        sent = {"Content-Type": "application/json"} if path == DIRECTIVES else STRUCTURED
        async with site.client.request(
            route.method,
            f"{path}?tenant=bolt",
            headers={"Authorization": f"Bearer {key}", **sent},
            data=json.dumps(body) if route.method == "POST" else None,
        ) as answer:
            if path not in ABOUT_HOPLINE:
                assert answer.status == 403, (route.method, path)
            assert "theirs" not in (await answer.text()).replace(path, "")
    assert found >= 17
    assert not site.outlet.taken


TENANTS = st.sampled_from(["acme", "bolt", "_system", "pool:x", "", None, "ACME", "acme "])


@given(
    st.lists(st.tuples(TENANTS, st.booleans()), min_size=1, max_size=4), st.sampled_from(["one", "batch", "headers"])
)
def test_whatever_a_bound_key_sends_the_lane_sees_its_own_tenant_only(
    events: list[tuple[str | None, bool]], mode: str
) -> None:
    access = Access(Settings(), Metrics())
    caller = Caller("key:abc", "acme")
    bodies = [
        {**event(number), "tenantid": tenant} if named else {k: v for k, v in event(number).items() if k != "tenantid"}
        for number, (tenant, named) in enumerate(events)
    ]
    ids = ids_for({}, lambda: "own")
    found: Any
    if mode == "batch":
        found = intake.batch({}, json.dumps(bodies).encode(), 10, ids, caller.tenant)
    elif mode == "one":
        found = [intake.single(STRUCTURED["Content-Type"], {}, json.dumps(bodies[0]).encode(), ids, caller.tenant)]
    else:
        headers = {f"ce-{name}": str(text) for name, text in bodies[0].items() if text is not None}
        found = [intake.single("text/plain", headers, b"x", ids, caller.tenant)]
    for item in found:
        if not isinstance(item, Entry) or access.own(caller, item) is not None:
            continue
        record = PlainRecord(topics.SIGNALS_IN, 0, 0, 0, item.tenant.encode(), item.value, item.headers)
        signal = envelope.decode(record)
        assert isinstance(signal, Signal)
        assert signal.tenant == "acme"


async def test_an_idempotency_key_gives_the_same_id_to_the_same_request(site: Site) -> None:
    key = site.give("a")
    bare = event(tenantid="acme")
    del bare["id"]
    asked = [
        await site.ask("POST", SIGNALS, key, bare, **STRUCTURED, Idempotency_Key=sent) for sent in ("k1", '"k1"', "k2")
    ]
    ids = [said["id"] for _, said in asked]
    assert ids[0] == ids[1] != ids[2]
    batch = [await site.ask("POST", SIGNALS, key, [bare, bare], **BATCH, Idempotency_Key="k1") for _ in range(2)]
    first, second = ([item["id"] for item in said["items"]] for _, said in batch)
    assert first == second
    assert len(set(first)) == 2
    assert (await site.ask("POST", SIGNALS, key, event(tenantid="acme"), **STRUCTURED, Idempotency_Key="k1"))[1][
        "id"
    ] == "e1"


@pytest.mark.parametrize("wrong", ["", " ", "a b", "x" * 257, "\x7f"])
def test_what_is_no_idempotency_key_is_refused(wrong: str) -> None:
    with pytest.raises(RefusedError):
        ids_for({"Idempotency-Key": wrong}, lambda: "own")


def test_two_tenants_with_one_idempotency_key_do_not_meet() -> None:
    ids = ids_for({"Idempotency-Key": "k"}, lambda: "own")
    assert len({ids("acme", 0), ids("bolt", 0), ids("acme", 1)}) == 3


CHANGES = [{"revoked_ms": NOW_MS}, {"expires_ms": NOW_MS}, {"hash": PEPPER.hash("another")}]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
async def test_who_listens_hears_nothing_more_once_the_key_is_dead(site: Site, change: dict[str, Any]) -> None:
    text = site.give("a")
    (key,) = site.table.ring
    async with site.client.get("/v1/tail", headers={"Authorization": f"Bearer {text}"}) as answer, asyncio.timeout(20):
        await answer.content.readuntil(b"\n\n")
        site.feed.give(topics.SIGNALS, "acme", "a.b", lambda: {"n": 1})
        assert b'"n":1' in (await answer.content.readuntil(b"\n\n")).replace(b" ", b"")
        site.put(structs.replace(key, number=2, **change))
        site.feed.give(topics.SIGNALS, "acme", "a.b", lambda: {"n": 2})
        assert await answer.content.read() == b""
