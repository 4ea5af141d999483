"""What the watch knows, through the gateway: charts, the map, alerts. Keys and permissions are judged here.

A tenant's key sees its tenant's own figures and alerts only: the watch is told so with each question. Which questions
there are stands here; no path, host or header of a client is passed on.
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import aiohttp
import msgspec
from aiohttp import web

from processors.vocabulary.permissions import ALERT_READ, METRIC_READ
from processors.vocabulary.reasons import Problem
from streams.gateway import problems
from streams.gateway.access import Access
from streams.gateway.limits import RefusedError
from streams.gateway.problems import Failure
from streams.gateway.security import headers_for
from streams.settings import Settings, SettingsError
from streams.watch.asked import BEAT_SECONDS, EVENTS_TYPE, ONLY, address_of

log = logging.getLogger(__name__)

ANSWER_BYTES_MAX: Final = 16 * 1_048_576
ASK_SECONDS_MAX: Final = 15.0
CONNECT_SECONDS_MAX: Final = 2.0
SLOW_SECONDS_MAX: Final = 10.0
"""A client that takes nothing for so long is cut off."""
CONNECTIONS_MAX: Final = 64
LISTENERS_MAX: Final = 200
LISTENERS_OF_CALLER_MAX: Final = 20
TEXT_CHARACTERS_MAX: Final = 8_192
"""Of one parameter."""
RETRY_AFTER_MS: Final = 2_000
_EVENTS: Final = {"Content-Type": EVENTS_TYPE, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_OWN_WORDS: Final = frozenset({HTTPStatus.OK, HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY})


@dataclass(frozen=True, slots=True)
class Route:
    """One question that can be asked."""

    path: str
    permission: str
    parameters: tuple[str, ...] = ()
    for_all_only: bool = False
    """It cannot be narrowed to a tenant, so a tenant's key must not ask it."""


ROUTES: Final = (
    Route("/v1/charts", METRIC_READ),
    Route("/v1/charts/{id}", METRIC_READ, ("minutes",)),
    Route("/v1/map", METRIC_READ),
    Route("/v1/alerts", ALERT_READ),
    Route("/v1/alerts/history", ALERT_READ, ("limit", "since_ms")),
    Route("/v1/alerts/rules", ALERT_READ),
    Route("/api/metrics", METRIC_READ),
    Route("/api/v1/query", METRIC_READ, ("query", "time", "timeout"), for_all_only=True),
    Route("/api/v1/query_range", METRIC_READ, ("query", "start", "end", "step", "timeout"), for_all_only=True),
)
EVENTS: Final = Route("/v1/alerts/events", ALERT_READ)
_TENANT: Final = "tenant"


class Watching:
    """The routes that the watch answers."""

    def __init__(self, settings: Settings, access: Access) -> None:
        self._address = address_of(settings)
        if not self._address.startswith(("http://", "https://")):
            raise SettingsError("watch_url must begin with http:// or https://")
        self._access = access
        self._headers = {**headers_for(settings), **_EVENTS}
        self._http: aiohttp.ClientSession | None = None
        self._listeners: dict[aiohttp.ClientResponse, str] = {}

    def register(self, app: web.Application) -> None:
        """Add them; let everybody go when the gateway stops."""
        for route in ROUTES:
            app.router.add_get(route.path, self._handler(route), allow_head=False)
        app.router.add_get(EVENTS.path, self._events, allow_head=False)
        app.on_startup.append(self._begin)
        app.on_shutdown.append(self._shut)
        app.on_cleanup.append(self._end)

    async def _begin(self, _: web.Application) -> None:
        # None of the environment's proxies: the watch is one of ours.
        connector = aiohttp.TCPConnector(limit=CONNECTIONS_MAX + LISTENERS_MAX)
        self._http = aiohttp.ClientSession(
            connector=connector, trust_env=False, auto_decompress=False, headers={"Accept-Encoding": "identity"}
        )

    async def _shut(self, _: web.Application) -> None:
        for upstream in list(self._listeners):
            upstream.close()

    async def _end(self, _: web.Application) -> None:
        if self._http is not None:
            await self._http.close()

    def _handler(self, route: Route):  # type: ignore[no-untyped-def]  # noqa: ANN202 - aiohttp's own type says it
        async def asked(request: web.Request) -> web.StreamResponse:
            asking = self._asked(request, route)
            timeout = aiohttp.ClientTimeout(total=ASK_SECONDS_MAX, sock_connect=CONNECT_SECONDS_MAX)
            try:
                async with self._get(request, route, asking, timeout) as answer:
                    body = await _whole(answer)
                    status = HTTPStatus(answer.status)
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                raise RefusedError(_away(f"The watch does not answer ({type(error).__name__}).")) from error
            return _told(route, status, body)

        return asked

    def _asked(self, request: web.Request, route: Route) -> dict[str, str]:
        """Return what is asked of the watch. Raises `RefusedError` if this caller may not."""
        caller = self._access.require(request, route.permission)
        known = (*route.parameters, _TENANT)
        query = request.query
        wrong = [
            Problem(name[:64], f"is not known; there are {', '.join(known)}") for name in query if name not in known
        ]
        wrong += [Problem(name, "stands more than once") for name in set(query) if len(query.getall(name)) > 1]
        wrong += [Problem(name[:64], "is too long") for name, text in query.items() if len(text) > TEXT_CHARACTERS_MAX]
        if wrong:
            raise RefusedError(_invalid(*wrong))
        named = query.get(_TENANT, "")
        if named or caller.tenant:
            named = self._access.tenant(caller, named)
        if caller.tenant and route.for_all_only:
            raise RefusedError(_for_all_only(route.path))
        asking = {name: query[name] for name in route.parameters if name in query}
        if caller.tenant:
            asking[ONLY] = caller.tenant
        elif named:
            asking[_TENANT] = named
        return asking

    def _get(
        self, request: web.Request, route: Route, asking: Mapping[str, str], timeout: aiohttp.ClientTimeout
    ) -> "aiohttp.client._RequestContextManager":
        if self._http is None:
            message = "the gateway has not begun"
            raise RuntimeError(message)
        path = route.path
        if "{id}" in path:
            id_ = request.match_info["id"]
            if not id_.isascii() or not id_.replace("-", "").isalnum():
                raise RefusedError(problems.plain(HTTPStatus.NOT_FOUND, "There is no such chart; see /v1/charts."))
            path = path.replace("{id}", id_)
        return self._http.get(f"{self._address}{path}", params=asking, timeout=timeout, allow_redirects=False)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        asking = self._asked(request, EVENTS)
        caller = self._access.require(request, EVENTS.permission)
        if len(self._listeners) >= LISTENERS_MAX:
            raise RefusedError(_full(f"{LISTENERS_MAX} listen already, which is the limit"))
        if sum(other == caller.name for other in self._listeners.values()) >= LISTENERS_OF_CALLER_MAX:
            raise RefusedError(_full(f"{caller.name} listens {LISTENERS_OF_CALLER_MAX} times already"))
        # The watch gives a sign of life more often than that.
        limits = {"sock_connect": CONNECT_SECONDS_MAX, "sock_read": 3 * BEAT_SECONDS}
        timeout = aiohttp.ClientTimeout(total=None, **limits)  # forever: who listens stays as long as it likes
        try:
            upstream = await self._get(request, EVENTS, asking, timeout)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RefusedError(_away(f"The watch does not answer ({type(error).__name__}).")) from error
        try:
            if upstream.status != HTTPStatus.OK:
                raise RefusedError(_failure(HTTPStatus(upstream.status), await _whole(upstream)))
            self._listeners[upstream] = caller.name
            return await self._pass_on(request, upstream)
        finally:
            self._listeners.pop(upstream, None)
            upstream.close()

    async def _pass_on(self, request: web.Request, upstream: aiohttp.ClientResponse) -> web.StreamResponse:
        """Hand on what comes, as it comes, until one of both has gone or the key is no good any more."""
        response = web.StreamResponse(headers=self._headers)
        await response.prepare(request)
        with suppress(aiohttp.ClientError, ConnectionResetError):
            async for piece in upstream.content.iter_any():
                if not self._access.still_good(request):
                    break
                try:
                    async with asyncio.timeout(SLOW_SECONDS_MAX):
                        await response.write(piece)
                except TimeoutError:
                    if request.transport is not None:
                        request.transport.abort()
                    break
        return response


async def _whole(answer: aiohttp.ClientResponse) -> bytes:
    """Return an answer's body. Raises `ValueError` if it is too long."""
    pieces, size = [], 0
    async for piece in answer.content.iter_any():
        size += len(piece)
        if size > ANSWER_BYTES_MAX:
            raise ValueError("the answer is too long")
        pieces.append(piece)
    return b"".join(pieces)


def _told(route: Route, status: HTTPStatus, body: bytes) -> web.Response:
    if status is not HTTPStatus.OK and not (route.for_all_only and status in _OWN_WORDS):
        raise RefusedError(_failure(status, body))
    return web.Response(status=status, body=body, content_type="application/json")


def _failure(status: HTTPStatus, body: bytes) -> Failure:
    """Return what to answer where the watch refused: its own words if it has some."""
    try:
        said = str(msgspec.json.decode(body)["error"])[:1_000]
    except (msgspec.DecodeError, KeyError, TypeError):
        said = ""
    if status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}:
        return Failure(HTTPStatus.BAD_REQUEST, "invalid_query", "Query wrong", said or "The watch refused it.")
    if status is HTTPStatus.NOT_FOUND and said:
        return problems.plain(status, said)
    if status is HTTPStatus.TOO_MANY_REQUESTS:
        return _full(said or "The watch is asked too much at once")
    return _away(said or f"The watch answered {int(status)}.")


def _invalid(*wrong: Problem) -> Failure:
    return Failure(HTTPStatus.BAD_REQUEST, "invalid_query", "Query wrong", "See `problems`.", wrong)


def _for_all_only(path: str) -> Failure:
    return Failure(
        HTTPStatus.FORBIDDEN,
        "foreign_tenant",
        "All tenants'",
        f"{path} shows figures of all tenants, and this key speaks for one. Ask /v1/charts or /api/metrics.",
    )


def _full(detail: str) -> Failure:
    return Failure(
        HTTPStatus.TOO_MANY_REQUESTS,
        "too_many_listeners",
        "Too much at once",
        f"{detail.rstrip('.')}. Come again later.",
        retry_after_ms=RETRY_AFTER_MS,
    )


def _away(detail: str) -> Failure:
    return Failure(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "watch_away",
        "The watch is away",
        f"{detail} Signals are taken all the same. Start it (`python -m streams.watch`; `hopline up` does), "
        "or say where it is with HOPLINE_WATCH_URL.",
        retry_after_ms=RETRY_AFTER_MS,
    )
