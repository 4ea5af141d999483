"""The real console part on a server of its own, beside canned answers that a test can change while a page looks."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from aiohttp import web

from streams.gateway.console import Console
from streams.gateway.security import HEADERS
from tests.console import answers

SECONDS_MAX: Final = 20.0
BLANK: Final = "/blank"
"""A document without a policy, for tests that call single modules by code of their own."""
EVENTS_PATH: Final = "/v1/alerts/events"
BEAT_SECONDS: Final = 0.5
Answer = tuple[int, Any]


def now_ms() -> int:
    """Return the time."""
    return time.time_ns() // 1_000_000


def problem(status: int, kind: str, detail: str, *fields: tuple[str, str], **more: Any) -> Answer:
    """Return an answer as the gateway gives it when something is wrong."""
    listed = [{"field": field, "message": message} for field, message in fields]
    return status, {"type": f"urn:hopline:problem:{kind}", "title": kind, "status": status, "detail": detail,
                    "problems": listed, **more}  # fmt: skip


class Canned:
    """What is answered, and what was asked. Each path's answer can be put in place of the usual one."""

    def __init__(self) -> None:
        self.listeners: set[asyncio.Queue[bytes]] = set()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.flying = 0
        self.reset()

    def reset(self) -> None:
        """Answer as usual again, and forget what was asked."""
        self.instead: dict[str, Callable[[], Answer]] = {}
        self.key = ""
        """If set, requests need it."""
        self.limited = False
        self.delay_seconds = 0.0
        self.asked: list[str] = []
        self.times: list[float] = []
        self.keys_seen: list[str] = []
        self.directives: list[dict[str, Any]] = []
        self.directive_answer: Callable[[], Answer] = lambda: (200, {"status": "succeeded", "error": ""})
        self.flying_most = 0

    def register(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get(EVENTS_PATH, self._events)
        app.router.add_post("/v1/directives", self._directive)
        app.router.add_get("/v1/charts/{id}", self._chart)
        for path in ("/v1/map", "/v1/charts", "/v1/alerts", "/v1/alerts/history", "/v1/alerts/rules", "/api/metrics"):
            app.router.add_get(path, self._plain)

    def tell(self, event: dict[str, Any]) -> None:
        """Send an event to all who listen, from any thread."""
        assert self.loop is not None
        text = f"event: alert\ndata: {json.dumps(event)}\n\n".encode()

        def put() -> None:
            for queue in self.listeners:
                queue.put_nowait(text)

        self.loop.call_soon_threadsafe(put)

    def _refusal(self, request: web.Request) -> Answer | None:
        sent = request.headers.get("Authorization", "")
        self.keys_seen.append(sent)
        if not self.key or sent == f"Bearer {self.key}":
            return None
        if not sent:
            return problem(401, "missing", "Send a key as `Authorization: Bearer hop_...`.")
        return problem(401, "revoked", "This key was revoked. Ask whoever gave it to you for another one.")

    async def _answer(self, request: web.Request, usual: Callable[[], Answer]) -> web.Response:
        self.asked.append(request.path_qs)
        self.times.append(time.monotonic())
        self.flying += 1
        self.flying_most = max(self.flying_most, self.flying)
        try:
            if self.delay_seconds:
                await asyncio.sleep(self.delay_seconds)
            status, content = self._refusal(request) or self.instead.get(request.path, usual)()
        finally:
            self.flying -= 1
        # As a gateway tells a caller of the tier `normal` that has little left.
        headers = {"RateLimit-Policy": '"reads";q=60;w=60', "RateLimit": '"reads";r=5;t=50'} if self.limited else {}
        return web.json_response(content, status=status, headers=headers)

    async def _plain(self, request: web.Request) -> web.Response:
        usual: dict[str, Callable[[], Any]] = {
            "/v1/map": lambda: answers.pipeline(now_ms()),
            "/v1/charts": answers.charts,
            "/v1/alerts": lambda: answers.alerts(now_ms()),
            "/v1/alerts/history": lambda: answers.history(now_ms()),
            "/v1/alerts/rules": answers.rules,
            "/api/metrics": lambda: answers.metrics(now_ms()),
        }
        return await self._answer(request, lambda: (200, usual[request.path]()))

    async def _chart(self, request: web.Request) -> web.Response:
        found = answers.chart(request.match_info["id"], int(request.query["minutes"]), now_ms())
        return await self._answer(
            request, lambda: (200, found) if found else problem(404, "not_found", "No such chart.")
        )

    async def _directive(self, request: web.Request) -> web.Response:
        content = await request.json()
        self.directives.append(
            {
                "body": content,
                "key": request.headers.get("Idempotency-Key", ""),
                "prefer": request.headers.get("Prefer", ""),
                "type": request.content_type,
            }
        )
        return await self._answer(request, self.directive_answer)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        instead = self.instead.get(EVENTS_PATH)
        refused = self._refusal(request) or (instead and instead())
        if refused:
            return web.json_response(refused[1], status=refused[0])
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        queue: asyncio.Queue[bytes] = asyncio.Queue(1_000)
        self.listeners.add(queue)
        try:
            while True:
                try:
                    async with asyncio.timeout(BEAT_SECONDS):
                        text = await queue.get()
                except TimeoutError:
                    text = b": alive\n\n"
                await response.write(text)
        except ConnectionResetError:
            return response
        finally:
            self.listeners.discard(queue)


def application(canned: Canned) -> web.Application:
    """Return the page and the canned API, with the headers that the gateway has."""

    @web.middleware
    async def headers(request: web.Request, handler: Any) -> web.StreamResponse:
        try:
            response: web.StreamResponse = await handler(request)
        except web.HTTPNotFound:
            response = web.json_response({"detail": "There is no such path."}, status=404)
        for name, value in HEADERS.items():
            if request.path != BLANK:
                response.headers.setdefault(name, value)
        return response

    async def blank(_: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><link rel=icon href=data:,>", content_type="text/html")

    app = web.Application(middlewares=[headers])
    Console().register(app)
    app.router.add_get(BLANK, blank)
    canned.register(app)
    return app


@contextmanager
def serving() -> Iterator[tuple[str, Canned]]:
    """Give the page's address and what it is answered. The server runs in a thread: Selenium blocks."""
    canned = Canned()
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(application(canned), handle_signals=False, shutdown_timeout=1.0)

    async def begin() -> int:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port: int = runner.addresses[0][1]
        return port

    canned.loop = loop
    thread = threading.Thread(target=loop.run_forever, name="canned API", daemon=True)
    thread.start()
    try:
        port = asyncio.run_coroutine_threadsafe(begin(), loop).result(SECONDS_MAX)
        yield f"http://127.0.0.1:{port}/console/", canned
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(SECONDS_MAX)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(SECONDS_MAX)
        loop.close()
