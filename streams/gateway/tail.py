"""`GET /v1/tail`: what happens now, as server-sent events or over a WebSocket.

A client that reads slowly holds nobody up: what waits for it is bounded, the oldest makes room, and the client is told
how many it missed. One that does not read at all is cut off. For what happened before there is the history.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from aiohttp import WSCloseCode, WSMsgType, web

from processors.vocabulary import rules
from processors.vocabulary.pattern import Pattern, parse_pattern
from processors.vocabulary.permissions import SIGNAL_READ
from processors.vocabulary.reasons import Problem
from streams.admin import KafkaAwayError
from streams.gateway import problems
from streams.gateway.caller import KEY as CALLER
from streams.gateway.limits import RefusedError
from streams.gateway.problems import Failure
from streams.gateway.security import HEADERS
from streams.live.feed import ALL_TENANTS, Feed, FullError, Listener, Wanted
from streams.live.reader import TOPICS, LiveReader

PATH: Final = "/v1/tail"
BEAT_SECONDS: Final = 15.0
"""How soon a client that has gone is noticed while nothing happens."""
SLOW_SECONDS_MAX: Final = 10.0
"""A client that takes nothing for so long is cut off."""
RETRY_AFTER_MS: Final = 2_000
MESSAGE_BYTES_MAX: Final = 1_024
_PARAMETERS: Final = frozenset({"tenant", "type", "topic"})
_EVENTS: Final = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}

_Write: TypeAlias = Callable[[str, bytes], Awaitable[None]]
"""Given a kind and a JSON object; an empty kind is a sign of life."""


class Tail:
    """Those who listen to this gateway."""

    def __init__(
        self,
        feed: Feed,
        reader: LiveReader,
        still_good: Callable[[web.Request], bool] = lambda _: True,
        headers: Mapping[str, str] = HEADERS,
    ) -> None:
        self._feed = feed
        self._headers = {**headers, **_EVENTS}
        self._still_good = still_good
        self._reader = reader
        self._wakers: set[asyncio.Event] = set()
        self._closing = False

    def register(self, app: web.Application) -> None:
        """Add the route; let everybody go when the gateway stops."""
        app.router.add_get(PATH, self._listen, allow_head=False)
        app.on_shutdown.append(self._shut)

    async def _shut(self, _: web.Application) -> None:
        self._closing = True
        for waker in self._wakers:
            waker.set()
        await self._reader.close()

    async def _listen(self, request: web.Request) -> web.StreamResponse:
        is_socket = request.headers.get("Upgrade", "").lower() == "websocket"
        if is_socket:
            _require_same_origin(request)
        waker = asyncio.Event()
        listener = Listener(_wanted(request), waker.set)
        try:
            self._feed.join(listener)
        except FullError as error:
            raise RefusedError(_full(str(error))) from error
        self._wakers.add(waker)
        try:
            await self._reader.ready()
            if is_socket:
                return await self._over_socket(request, listener, waker)
            return await self._over_events(request, listener, waker)
        except KafkaAwayError as error:
            raise RefusedError(problems.away(f"{error}.", RETRY_AFTER_MS)) from error
        finally:
            self._wakers.discard(waker)
            self._feed.leave(listener)

    async def _over_events(self, request: web.Request, listener: Listener, waker: asyncio.Event) -> web.StreamResponse:
        response = web.StreamResponse(headers=self._headers)
        await response.prepare(request)

        async def write(kind: str, text: bytes) -> None:
            await response.write(b"event: %b\ndata: %b\n\n" % (kind.encode(), text) if kind else b": alive\n\n")

        await self._tell(request, listener, waker, write)
        return response

    async def _over_socket(self, request: web.Request, listener: Listener, waker: asyncio.Event) -> web.StreamResponse:
        socket = web.WebSocketResponse(
            heartbeat=BEAT_SECONDS, max_msg_size=MESSAGE_BYTES_MAX, compress=False, timeout=SLOW_SECONDS_MAX
        )
        await socket.prepare(request)

        async def write(kind: str, text: bytes) -> None:
            if kind:
                await socket.send_str(f'{{"kind":"{kind}","what":{text.decode()}}}')

        telling = asyncio.create_task(self._tell(request, listener, waker, write))
        hearing = asyncio.create_task(socket.receive())
        try:
            await asyncio.wait((telling, hearing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (telling, hearing):
                task.cancel()
            await asyncio.wait((telling, hearing))
        said = hearing.result().type if not hearing.cancelled() and hearing.exception() is None else None
        if said in {WSMsgType.TEXT, WSMsgType.BINARY}:
            await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"this connection only tells")
        else:
            await socket.close(code=WSCloseCode.GOING_AWAY)
        return socket

    async def _tell(self, request: web.Request, listener: Listener, waker: asyncio.Event, write: _Write) -> None:
        """Send what comes, until the client has gone, is too slow, or the gateway stops."""
        try:
            await _in_time(write("hello", b"{}"))
            while not self._closing:
                try:
                    async with asyncio.timeout(BEAT_SECONDS):
                        await waker.wait()
                except TimeoutError:
                    if not self._still_good(request):
                        return
                    await _in_time(write("", b""))
                    continue
                waker.clear()
                if not self._still_good(request):
                    return
                for kind, text in listener.take():
                    await _in_time(write(kind, text))
        except ConnectionResetError:
            return
        except _SlowError:
            if request.transport is not None:
                request.transport.abort()


class _SlowError(Exception):
    """The client does not take what it is sent."""


async def _in_time(writing: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(SLOW_SECONDS_MAX):
            await writing
    except TimeoutError as error:
        raise _SlowError from error


def _wanted(request: web.Request) -> Wanted:
    """Return what a request asks to hear, judged. Raises `RefusedError`."""
    caller = request[CALLER]
    query = request.query
    wrong = [Problem(name, "is unknown; there are tenant, type and topic") for name in query if name not in _PARAMETERS]
    tenant = query.get("tenant", caller.tenant)
    if tenant and not rules.is_tenant(tenant, reserved_ok=True):
        wrong.append(Problem("tenant", "is no tenant's name"))
    pattern = parse_pattern(query.get("type", "**"))
    if not isinstance(pattern, Pattern):
        wrong.append(Problem("type", pattern.message))
    named = query.getall("topic", list(TOPICS))
    wrong += [Problem("topic", f"is not one of {', '.join(TOPICS)}") for name in named if name not in TOPICS]
    if wrong or not isinstance(pattern, Pattern):
        raise RefusedError(_invalid(wrong))
    if not caller.may(SIGNAL_READ):
        raise RefusedError(_forbidden(f"This key lacks the permission {SIGNAL_READ}."))
    if caller.tenant not in {ALL_TENANTS, tenant}:
        raise RefusedError(_forbidden("This key speaks for another tenant."))
    return Wanted(caller.name, tenant, pattern, frozenset(named))


def _require_same_origin(request: web.Request) -> None:
    """Refuse a page of another site: browsers let each one open a WebSocket to anywhere."""
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != request.host:
        raise RefusedError(_forbidden("A page of another site cannot listen here."))


def _invalid(wrong: list[Problem]) -> Failure:
    return Failure(
        HTTPStatus.BAD_REQUEST, "invalid_query", "Invalid query", "Mend the parameters that are named.", wrong
    )


def _forbidden(detail: str) -> Failure:
    return Failure(HTTPStatus.FORBIDDEN, "forbidden", "Forbidden", detail)


def _full(detail: str) -> Failure:
    return Failure(
        HTTPStatus.TOO_MANY_REQUESTS,
        "too_many_listeners",
        "Too many listeners",
        f"{detail}. End another one first, or listen later.",
        retry_after_ms=RETRY_AFTER_MS,
    )
