"""What became of signals, over HTTP: one by its reference, a search, and what caused what."""

from collections.abc import Awaitable, Callable
from functools import wraps
from http import HTTPStatus
from typing import Any, Final, TypeAlias, TypeVar

import msgspec
from aiohttp import web

from processors.vocabulary.permissions import SIGNAL_READ
from processors.vocabulary.reasons import Problem
from processors.vocabulary.timestamps import is_time, milliseconds
from streams.gateway import problems
from streams.gateway.access import Access
from streams.gateway.limits import RefusedError
from streams.gateway.problems import Failure
from streams.gateway.recent import Recent
from streams.history.causality import DEPTH_MAX
from streams.history.filters import Filter, FilterError
from streams.history.reading import LIMIT_MAX, BusyError, History, SignalHistory
from streams.history.rows import STATUSES
from streams.history.shown import shown, shown_graph
from streams.history.store import HistoryError

T = TypeVar("T")

PATH: Final = "/v1/signals"
RETRY_AFTER_MS: Final = 2_000
LIMIT_DEFAULT: Final = 50
ACCEPTED: Final = "accepted"
_TEXTS: Final = {
    "type": "pattern",
    "subject": "subject",
    "source": "source",
    "correlation": "correlation",
    "status": "status",
    "reason": "reason",
    "where": "where",
    "text": "text",
}
"""Parameters of a search, and what history calls them."""
_TIMES: Final = {"since": "since_ms", "until": "until_ms"}
_PARAMETERS: Final = frozenset({"tenant", "limit", "cursor", *_TEXTS, *_TIMES})
_encode: Final = msgspec.json.Encoder().encode
_Handler: TypeAlias = Callable[[Any, web.Request], Awaitable[web.StreamResponse]]


def _asking(handler: _Handler) -> _Handler:
    """Turn what history raises into an answer that says what to do."""

    @wraps(handler)
    async def asked(self: "Signals", request: web.Request) -> web.StreamResponse:
        try:
            return await handler(self, request)
        except FilterError as error:
            raise RefusedError(_invalid(*map(_by_parameter, error.problems))) from error
        except BusyError as error:
            raise RefusedError(_away(f"{str(error).capitalize()}.")) from error
        except HistoryError as error:
            raise RefusedError(_away(f"History cannot be asked: {error}. Signals are taken all the same.")) from error

    return asked


class Signals:
    """The routes below `/v1/signals` that read."""

    def __init__(self, history: History, access: Access, recent: Recent) -> None:
        self._history = history
        self._access = access
        self._recent = recent

    def register(self, app: web.Application) -> None:
        """Put them into an application."""
        app.router.add_get(PATH, self._search)
        app.router.add_get(PATH + "/{ref}", self._show)
        app.router.add_get(PATH + "/{ref}/causes", self._causes)
        app.on_cleanup.append(self._close)

    async def _close(self, _: web.Application) -> None:
        self._history.close()

    def _tenant(self, request: web.Request) -> str | None:
        """Return whose signals are asked for; None for those of all, which no bound key may ask for."""
        caller = self._access.require(request, SIGNAL_READ)
        named = request.query.get("tenant", caller.tenant)
        return self._access.tenant(caller, named) if named or caller.tenant else None

    @_asking
    async def _show(self, request: web.Request) -> web.StreamResponse:
        tenant, ref = self._tenant(request), request.match_info["ref"]
        accepted = self._recent.find(tenant, ref)
        try:
            found = await self._history.signal(tenant, ref)
        except HistoryError:
            if accepted is None:
                raise
            found = None
        if found is not None:
            return _json(_told(found))
        if accepted is None:
            raise RefusedError(_unknown())
        place = {"tenant": accepted.tenant, "id": accepted.id, "lane": accepted.lane, "offset": accepted.offset}
        return _json({"ref": ref, "status": ACCEPTED, **place, "ends": [], "outcomes": [], "caused": []})

    @_asking
    async def _search(self, request: web.Request) -> web.StreamResponse:
        tenant = self._tenant(request)
        wanted, limit = _wanted(request)
        answer = await self._history.search(tenant, wanted, cursor=request.query.get("cursor"), limit=limit)
        return _json({
            "signals": [shown(row) for row in answer.rows],
            "cursor": answer.cursor,
            "complete": answer.complete,
            "behind_seconds": round(answer.behind_seconds, 1),
        })  # fmt: skip

    @_asking
    async def _causes(self, request: web.Request) -> web.StreamResponse:
        tenant = self._tenant(request)
        depth = _number(request, "depth", DEPTH_MAX, DEPTH_MAX)
        graph = await self._history.causes(tenant, request.match_info["ref"], depth_max=depth)
        if graph is None:
            raise RefusedError(_unknown())
        return _json(shown_graph(graph))


def _told(found: SignalHistory) -> dict[str, Any]:
    last = found.ends[-1]
    return {
        "ref": found.ref,
        "status": last.status,
        "tenant": last.tenant,
        "id": last.id,
        "ends": [shown(row) for row in found.ends],
        "outcomes": [shown(row) for row in found.outcomes],
        "caused": [row.ref for row in found.caused],
        "more_caused": found.more_caused,
        "behind_seconds": round(found.behind_seconds, 1),
    }


def _wanted(request: web.Request) -> tuple[Filter, int]:
    """Return what a search asks for, as far as that can be judged here. Raises `RefusedError`."""
    query = request.query
    known = ", ".join(sorted(_PARAMETERS))
    wrong = [Problem(name[:64], f"is not known; there are {known}") for name in query if name not in _PARAMETERS]
    wrong += [Problem(name, "stands more than once") for name in set(query) if len(query.getall(name)) > 1]
    status = query.get("status")
    if status is not None and status not in STATUSES:
        wrong.append(Problem("status", f"is none of {', '.join(STATUSES)}"))
    wrong += [
        Problem(name, "must be an RFC 3339 timestamp, such as 2026-11-21T10:00:00Z")
        for name in _TIMES
        if name in query and not is_time(query[name])
    ]
    if wrong:
        raise RefusedError(_invalid(*wrong))
    asked: dict[str, Any] = {field: query.get(name) for name, field in _TEXTS.items()}
    asked |= {field: milliseconds(query[name]) for name, field in _TIMES.items() if name in query}
    return Filter(**asked), _number(request, "limit", LIMIT_DEFAULT, LIMIT_MAX)


def _number(request: web.Request, name: str, default: int, most: int) -> int:
    text = request.query.get(name, str(default))
    number = int(text) if text.isascii() and text.isdigit() and len(text) < len(str(most)) + 1 else 0
    if not 1 <= number <= most:
        raise RefusedError(_invalid(Problem(name, f"must be a whole number from 1 to {most}")))
    return number


def _by_parameter(problem: Problem) -> Problem:
    """Return a problem with the name that the field has in a query."""
    return Problem(
        next((name for name, field in _TEXTS.items() if field == problem.field), problem.field), problem.message
    )


def _json(content: dict[str, Any]) -> web.Response:
    return web.Response(body=_encode(content), content_type="application/json")


def _unknown() -> Failure:
    return problems.plain(
        HTTPStatus.NOT_FOUND, "No signal has this reference, its time in history is over, or it is another tenant's."
    )


def _invalid(*wrong: Problem) -> Failure:
    return Failure(HTTPStatus.BAD_REQUEST, "invalid_query", "Query wrong", "See `problems`.", wrong)


def _away(detail: str) -> Failure:
    return Failure(
        HTTPStatus.SERVICE_UNAVAILABLE, "history_away", "History is away", detail, retry_after_ms=RETRY_AFTER_MS
    )
