"""A gateway that asks for keys, with a played outlet; what it knows is put into its hands."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from processors.directives import audit
from processors.directives.audit import Told
from processors.directives.record import Directive, Head, Status
from processors.vocabulary.access import AccessKey, pack
from streams.gateway.access import Access, KeyTable
from streams.gateway.directives import Directives
from streams.gateway.ends import Ends
from streams.gateway.history import Signals
from streams.gateway.limits import Load
from streams.gateway.outlet import Outlet
from streams.gateway.recent import Recent
from streams.gateway.server import Gateway
from streams.gateway.tail import Tail
from streams.gateway.watching import Watching
from streams.history.reading import History
from streams.history.sqlite import SqliteHome
from streams.keys import Pepper, new_key
from streams.live.feed import Feed
from streams.live.reader import LiveReader
from streams.metrics import Metrics
from streams.settings import Settings
from tests.streams.gateway.played import PlayedOutlet
from tests.streams.gateway.test_tail import PlayedReader

NOWHERE = Path("/there/is/no/history")
NO_WATCH = "http://127.0.0.1:1"
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
    feed: Feed
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
        if path.startswith(DIRECTIVES):
            sent = {"Content-Type": "application/json", **sent}
        sent |= {"Authorization": f"Bearer {key}"} if key else {}
        body = None if content is None else json.dumps(content).encode()
        async with self.client.request(method, path, data=body, headers=sent) as answer:
            assert (answer.status == 401) == ("WWW-Authenticate" in answer.headers)
            return answer.status, json.loads(await answer.read())


@asynccontextmanager
async def listening(*, read: bool = True, history: Path = NOWHERE, **settings: Any) -> AsyncIterator[Site]:
    outlet, table, ends, feed = PlayedOutlet(), KeyTable(PEPPER), Ends(), Feed()
    known = Settings(**{"require_keys": True, "watch_url": NO_WATCH, **settings})
    metrics = Metrics()
    access = Access(known, metrics, table)
    parts = (
        Directives(cast("Outlet", outlet), access, ends, Load(10), SIGNING),
        Tail(feed, cast("LiveReader", PlayedReader()), access.still_good),
        Signals(History(SqliteHome(history)), access, recent := Recent()),
        Watching(known, access),
    )
    app = Gateway(known, cast("Outlet", outlet), metrics, parts, access, recent).application()
    if read:
        for view in (table, ends):
            view.begin()
            view.complete()
    async with TestClient(TestServer(app)) as client:
        yield Site(client, outlet, table, ends, app, feed)


def kind(said: dict[str, Any]) -> str:
    return str(said["type"]).rpartition(":")[2]
