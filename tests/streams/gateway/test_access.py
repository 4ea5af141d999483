"""Who comes in: 401 and 403 in words, and nobody sees or sends anything of another tenant."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st

from processors.directives import audit, requester
from processors.directives.audit import Told
from processors.directives.intake import asked_of
from processors.directives.record import Directive, Head, Status
from processors.vocabulary import envelope, topics
from processors.vocabulary.access import SYSTEM, AccessKey, pack
from processors.vocabulary.permissions import DIRECTIVE_READ
from processors.vocabulary.record import PlainRecord
from processors.vocabulary.signal import Signal
from streams.gateway import intake
from streams.gateway.access import Access, KeyTable, ids_for
from streams.gateway.caller import Caller
from streams.gateway.directives import Directives
from streams.gateway.ends import Ends
from streams.gateway.intake import Entry
from streams.gateway.limits import Load, RefusedError
from streams.gateway.outlet import Outlet, OutletError, Written
from streams.gateway.server import Gateway
from streams.gateway.tail import Tail
from streams.keys import Pepper, new_key, prefix_of
from streams.live.feed import Feed
from streams.live.reader import LiveReader
from streams.metrics import Metrics
from streams.settings import Settings
from tests.streams.gateway.test_server import BATCH, SIGNALS, STRUCTURED, PlayedOutlet, event
from tests.streams.gateway.test_tail import PlayedReader

PEPPER = Pepper(b"p" * 32)
SIGNING = b"s" * 32
DIRECTIVES = "/v1/directives"
NOW_MS = time.time_ns() // 1_000_000
LIMIT_SET = {"name": "hopline.limit.set", "data": {"burst": 7}}


@dataclass
class Site:
    """A gateway with keys, a played outlet, and a client."""

    client: "TestClient[Any, Any]"
    outlet: PlayedOutlet
    table: KeyTable
    ends: Ends
    app: web.Application
    secrets: dict[str, str] = field(default_factory=dict)

    def give(self, name: str, tenant: str = "acme", *permissions: str, **more: Any) -> str:
        """Make a key that the gateway knows."""
        text = new_key(f"{name:0>10}")
        self.secrets[name] = text
        self.put(AccessKey(tenant, f"{name:0>10}", PEPPER.hash(text), permissions or ("*",), NOW_MS, **more))
        return text

    def put(self, key: AccessKey) -> None:
        self.table.take(SimpleNamespace(key=key.name, value=pack(key)))

    def tell(self, key: str, status: Status, tenant: str = "acme", at_ms: int = NOW_MS, **more: Any) -> None:
        """Write a line of the audit."""
        directive = Directive(key, "hopline.limit.set", "e1", "e1", "kafka", b"f", b"{}", at_ms, 0, 0, status)
        line = audit.extend(Head(), tenant, directive, at_ms, Told(**more))
        self.ends.take(SimpleNamespace(key=tenant.encode(), value=line, partition=0, offset=0))

    async def ask(
        self, method: str, path: str, key: str = "", content: Any = None, **headers: str
    ) -> tuple[int, dict[str, Any]]:
        sent = {name.replace("_", "-"): text for name, text in headers.items()}
        sent |= {"Authorization": f"Bearer {key}"} if key else {}
        body = None if content is None else json.dumps(content).encode()
        async with self.client.request(method, path, data=body, headers=sent) as answer:
            assert (answer.status == 401) == ("WWW-Authenticate" in answer.headers)
            return answer.status, json.loads(await answer.read())


@asynccontextmanager
async def listening(*, read: bool = True, **settings: Any) -> AsyncIterator[Site]:
    outlet, table, ends, feed = PlayedOutlet(), KeyTable(PEPPER), Ends(), Feed()
    known = Settings(**{"require_keys": True, **settings})
    metrics = Metrics()
    access = Access(known, metrics, table)
    parts = (
        Directives(cast("Outlet", outlet), access, ends, Load(10), SIGNING),
        Tail(feed, cast("LiveReader", PlayedReader())),
    )
    app = Gateway(known, cast("Outlet", outlet), metrics, parts, access).application()
    if read:
        for view in (table, ends):
            view.begin()
            view.complete()
    async with TestClient(TestServer(app)) as client:
        yield Site(client, outlet, table, ends, app)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with listening() as made:
        yield made


def kind(said: dict[str, Any]) -> str:
    return str(said["type"]).rpartition(":")[2]


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
    hashes: Any = {"hash": PEPPER.hash(new), "previous": PEPPER.hash(old), "previous_until_ms": NOW_MS + 60_000}
    site.put(AccessKey("acme", "0000000rot", permissions=("*",), created_ms=NOW_MS, **hashes))
    for key in (old, new):
        assert (await site.ask("GET", "/v1/directive-kinds", key))[0] == 200
    monkeypatch.setattr("streams.gateway.access.time.time_ns", lambda: (NOW_MS + 60_000) * 1_000_000)
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


async def test_every_guarded_route_asks_for_a_key_and_shows_nothing_of_another_tenant(site: Site) -> None:
    """Whatever route is added: it must ask, and must refuse to tell a bound key of another tenant."""
    key = site.give("a")
    site.tell("theirs", Status.SUCCEEDED, "bolt")
    found = 0
    for route in site.app.router.routes():
        path = (route.resource.canonical if route.resource else "").replace("{key}", "theirs")
        if not path.startswith("/v1/") or route.method == "HEAD":
            continue
        found += 1
        async with site.client.request(route.method, path) as answer:
            assert answer.status == 401, path
        body = {"tenant": "bolt", **LIMIT_SET} if path == DIRECTIVES else event(tenantid="bolt")
        sent = {} if path == DIRECTIVES else STRUCTURED
        async with site.client.request(
            route.method,
            f"{path}?tenant=bolt",
            headers={"Authorization": f"Bearer {key}", **sent},
            data=json.dumps(body) if route.method == "POST" else None,
        ) as answer:
            if path != "/v1/directive-kinds":
                assert answer.status == 403, (route.method, path)
            assert "theirs" not in (await answer.text()).replace(path, "")
    assert found >= 7
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
        ({"name": "hopline.limit.set", "data": {"burts": 1}}, ["data"]),
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
