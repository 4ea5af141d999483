"""Through the gateway: keys and permissions are judged there, and a tenant's key asks for its own tenant only."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from processors.vocabulary.permissions import ALERT_READ, METRIC_READ, SIGNAL_READ
from processors.vocabulary.rules import SYSTEM
from streams.gateway import watching
from streams.gateway.watching import EVENTS, ROUTES
from tests.streams.gateway.keyed import Site, kind, listening

SECONDS = 20.0


class PlayedWatch:
    """Answers what it is told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.headers: list[dict[str, str]] = []
        self.status = 200
        self.body = b'{"charts":[]}'
        self.events: asyncio.Queue[bytes | None] = asyncio.Queue()

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/v1/alerts/events", self._stream)
        app.router.add_route("*", "/{path:.*}", self._answer)
        return app

    def _note(self, request: web.Request) -> None:
        self.asked.append((request.path, dict(request.query)))
        self.headers.append({name.lower(): value for name, value in request.headers.items()})

    async def _answer(self, request: web.Request) -> web.Response:
        self._note(request)
        return web.Response(status=self.status, body=self.body, headers={"Location": "http://127.0.0.1:1/else"})

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        self._note(request)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        async with asyncio.timeout(SECONDS):
            while (piece := await self.events.get()) is not None:
                await response.write(piece)
        return response


@asynccontextmanager
async def both(**settings: Any) -> AsyncIterator[tuple[Site, PlayedWatch]]:
    played = PlayedWatch()
    async with (
        TestServer(played.application()) as server,
        listening(watch_url=f"http://127.0.0.1:{server.port}", **settings) as site,
    ):
        yield site, played


def url_of(path: str) -> str:
    return path.replace("{id}", "some-chart")


async def test_each_question_needs_its_permission_and_a_bound_key_is_narrowed_to_its_tenant() -> None:
    async with both() as (site, played):
        allowed = site.give("a", "acme", METRIC_READ, ALERT_READ)
        without = site.give("b", "acme", SIGNAL_READ)
        for route in ROUTES:
            status, said = await site.ask("GET", url_of(route.path), without)
            assert (status, kind(said)) == (403, "permission_lacking"), route.path
            status, _ = await site.ask("GET", url_of(route.path), allowed)
            assert status == (403 if route.for_all_only else 200), route.path
        narrowed = [route for route in ROUTES if not route.for_all_only]
        assert played.asked == [(url_of(route.path), {"only": "acme"}) for route in narrowed]


async def test_an_operator_asks_for_all_or_for_one_tenant_and_nothing_of_its_request_is_passed_on() -> None:
    async with both() as (site, played):
        key = site.give("op", SYSTEM)
        for route in ROUTES:
            assert (await site.ask("GET", url_of(route.path), key))[0] == 200
            assert (await site.ask("GET", f"{url_of(route.path)}?tenant=bolt", key))[0] == 200
        assert played.asked[:2] == [("/v1/charts", {}), ("/v1/charts", {"tenant": "bolt"})]
        assert all("authorization" not in headers for headers in played.headers)


async def test_parameters_that_are_not_known_or_not_single_are_refused_before_the_watch_is_asked() -> None:
    async with both() as (site, played):
        key = site.give("a")
        for query in ("only=bolt", "minutes=1&minutes=2", "url=http://x", "tenant=%20"):
            assert (await site.ask("GET", f"/v1/charts/x?{query}", key))[0] == 400, query
        for path in ("/v1/charts/..%2Fmetrics", "/v1/charts/x%3Fonly=bolt"):
            assert (await site.ask("GET", path, key))[0] == 404
        assert not played.asked


async def test_what_the_watch_refuses_is_told_in_its_words() -> None:
    async with both() as (site, played):
        key = site.give("op", SYSTEM)
        played.body = b'{"error": "`minutes` must be a whole number"}'
        for status, answered, told in (
            (400, 400, "invalid_query"),
            (404, 404, "not_found"),
            (429, 429, "too_many_listeners"),
            (503, 503, "watch_away"),
            (500, 503, "watch_away"),
            (302, 503, "watch_away"),
        ):
            played.status = status
            found, said = await site.ask("GET", "/v1/charts/x", key)
            assert (found, kind(said)) == (answered, told)
            assert "whole number" in said["detail"]
        played.status, played.body = 400, b'{"status":"error"}'
        assert await site.ask("GET", "/api/v1/query?query=x", key) == (400, {"status": "error"})


async def test_without_a_watch_it_says_what_to_do_and_signals_are_taken() -> None:
    async with listening() as site:
        key = site.give("a")
        for path in ("/v1/map", "/v1/alerts", "/api/metrics", EVENTS.path):
            status, said = await site.ask("GET", path, key)
            assert (status, kind(said)) == (503, "watch_away")
            assert "python -m streams.watch" in said["detail"]


async def test_an_answer_that_is_too_long_is_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "ANSWER_BYTES_MAX", 10)
    async with both() as (site, _):
        status, said = await site.ask("GET", "/v1/map", site.give("a"))
        assert (status, kind(said)) == (503, "watch_away")


async def test_events_come_as_they_are_written_and_end_with_the_watch() -> None:
    async with both() as (site, played):
        key = site.give("a", "acme", ALERT_READ)
        async with asyncio.timeout(SECONDS):
            await played.events.put(b": hello\n\n")
            async with site.client.get(EVENTS.path, headers={"Authorization": f"Bearer {key}"}) as answer:
                assert answer.headers["Content-Type"] == "text/event-stream"
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert await answer.content.readuntil(b"\n\n") == b": hello\n\n"
                await played.events.put(b'event: alert\ndata: {"id":"1"}\n\n')
                assert b'"id":"1"' in await answer.content.readuntil(b"\n\n")
                await played.events.put(None)
                assert await answer.content.read() == b""
        assert played.asked == [(EVENTS.path, {"only": "acme"})]


async def test_who_listens_too_often_is_refused_and_who_has_gone_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LISTENERS_OF_CALLER_MAX", 1)
    async with both() as (site, played):
        key = site.give("a", "acme", ALERT_READ)
        headers = {"Authorization": f"Bearer {key}"}
        async with asyncio.timeout(SECONDS):
            await played.events.put(b": hello\n\n")
            async with site.client.get(EVENTS.path, headers=headers) as answer:
                await answer.content.readuntil(b"\n\n")
                status, said = await site.ask("GET", EVENTS.path, key)
                assert (status, kind(said)) == (429, "too_many_listeners")
                await played.events.put(None)
                await answer.content.read()
            await played.events.put(b": hello\n\n")
            async with site.client.get(EVENTS.path, headers=headers) as answer:
                assert answer.status == 200
                await played.events.put(None)
                assert json.dumps((await answer.content.read()).decode())
