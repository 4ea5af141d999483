"""Directives over HTTP: asked for, waited for, looked at and cancelled. `docs/directives.md` is the user's side."""

import asyncio
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import msgspec
from aiohttp import web

from processors.directives import kinds, requester
from processors.directives.definition import Definition, judged, misdirected
from processors.directives.intake import PAYLOAD_BYTES_MAX, Asked, asked_of
from processors.directives.kinds.cancel import CANCEL
from processors.directives.names import EXPIRES, KEY, NOT_BEFORE, REQUESTER
from processors.directives.record import Status
from processors.vocabulary import envelope, topics
from processors.vocabulary.ids import uuid7
from processors.vocabulary.permissions import DIRECTIVE_READ
from processors.vocabulary.reasons import Problem, Rejected
from processors.vocabulary.record import Header, PlainRecord
from processors.vocabulary.signal import CONTENT_TYPE
from processors.vocabulary.timestamps import rfc3339
from streams import logs
from streams.clock import wall_ms
from streams.gateway import problems
from streams.gateway.access import Access, idempotency_key
from streams.gateway.caller import KEY as CALLER
from streams.gateway.caller import Caller
from streams.gateway.ends import TENANT_ENDS_MAX, End, Ends
from streams.gateway.intake import Entry
from streams.gateway.limits import Body, Load, RefusedError
from streams.gateway.outlet import Outlet, OutletError, Written
from streams.gateway.problems import Failure
from streams.gateway.traces import Traces

PATH: Final = "/v1/directives"
KINDS_PATH: Final = "/v1/directive-kinds"
SOURCE: Final = "/hopline/gateway"
BODY_BYTES_MAX: Final = PAYLOAD_BYTES_MAX + 8_192
WAIT_SECONDS_MAX: Final = 30
LISTED: Final = 100
RETRY_AFTER_MS: Final = 1_000
_wait: Final = re.compile(r"(?:^|[,;\s])wait=([0-9]{1,4})(?![0-9])").search
_JSON_TYPE: Final = "application/json"
_encode: Final = msgspec.json.Encoder().encode


class Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request for a directive."""

    name: str
    tenant: str = ""
    """May be left out with a key that is bound to a tenant."""
    data: msgspec.Raw = msgspec.Raw(b"{}")
    notbefore: str = ""
    expires: str = ""
    key: str = ""
    """The idempotency key, if it is not sent as a header."""


_decode: Final = msgspec.json.Decoder(Wish).decode


@dataclass(frozen=True, slots=True)
class _Ready:
    """A directive that can be sent."""

    asked: Asked
    entry: Entry
    mark: str

    def is_mine(self, end: End) -> bool:
        """Tell whether a line answers this very directive, asked now or earlier under the same key."""
        return end.event == self.asked.directive.id or bool(end.kept and self.mark and end.mark == self.mark)


class Directives:
    """The routes, and what they need."""

    def __init__(
        self,
        outlet: Outlet,
        access: Access,
        ends: Ends,
        load: Load,
        requester_key: bytes,
        traces: Traces | None = None,
    ) -> None:
        self._traces = traces or Traces(None, 0)
        self._outlet = outlet
        self._access = access
        self._ends = ends
        # Not the signals' own: when those come too fast, somebody must still be able to suspend their tenant.
        self._load = load
        self._requester_key = requester_key

    def register(self, app: web.Application) -> None:
        """Add the routes."""
        router = app.router
        router.add_post(PATH, self._ask)
        router.add_get(PATH, self._list)
        router.add_get(PATH + "/{key:.+}", self._show)
        router.add_delete(PATH + "/{key:.+}", self._cancel)
        router.add_get(KINDS_PATH, self._kinds)

    async def _ask(self, request: web.Request) -> web.StreamResponse:
        if request.content_type != _JSON_TYPE or "Content-Type" not in request.headers:
            # A page of any site may send this machine a text, or a body of no type; JSON a browser lets it not.
            raise RefusedError(_not_json())
        body = Body(self._load)
        try:
            content = await body.read(request, BODY_BYTES_MAX)
            try:
                wish = _decode(content)
            except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
                raise RefusedError(_invalid(Problem("body", str(error)))) from error
            return await self._send(request, wish)
        finally:
            body.release()

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        data = msgspec.Raw(_encode({"key": request.match_info["key"]}))
        return await self._send(request, Wish(CANCEL, request.query.get("tenant", ""), data))

    async def _send(self, request: web.Request, wish: Wish) -> web.StreamResponse:
        """Judge a directive, write it, and answer with where it stands or where to look."""
        wait_seconds = _wait_seconds(request.headers)
        key = idempotency_key(request.headers)
        if key and wish.key and key != wish.key:
            raise RefusedError(_invalid(Problem("key", "differs from the header Idempotency-Key; send one of them")))
        caller = request[CALLER]
        tenant = self._access.tenant(caller, wish.tenant)
        definition = kinds.BY_NAME.get(wish.name)
        if definition is None:
            raise RefusedError(_invalid(Problem("name", f"is no directive; GET {KINDS_PATH} lists them")))
        self._access.require(request, definition.permission)
        ready = self._ready(caller, tenant, definition, wish, key or wish.key)
        directive = ready.asked.directive
        known = self._ends.find(tenant, directive.key, wall_ms())
        if known is not None and known.mark and ready.mark:
            if not ready.is_mine(known):
                raise RefusedError(_used(directive.key))
            return _answer(known)
        logs.add(tenant=tenant, directive=directive.key)
        with self._ends.waiting(tenant, directive.key) as lines:
            written = await self._write(request, ready.entry)
            end = await _end(lines, ready, wait_seconds)
        if end is not None:
            return _answer(end)
        return _accepted(tenant, ready, written)

    def _ready(self, caller: Caller, tenant: str, definition: Definition[Any], wish: Wish, key: str) -> _Ready:
        """Judge a directive as the lane will, and sign it."""
        now_ms = wall_ms()
        id_ = uuid7(now_ms, os.urandom(10))
        steering = {KEY: key or id_, NOT_BEFORE: wish.notbefore, EXPIRES: wish.expires}
        steering = {name: text for name, text in steering.items() if text}
        event: dict[str, Any] = {
            "specversion": "1.0",
            "id": id_,
            "source": SOURCE,
            "type": wish.name,
            "time": rfc3339(now_ms),
            "tenantid": tenant,
            "datacontenttype": "application/json",
            **steering,
            "data": wish.data,
        }
        asker = requester.Event(tenant, SOURCE, id_, wish.name, bytes(wish.data))
        if self._requester_key:
            event |= requester.extensions(self._requester_key, asker, steering, caller.name, caller.permissions, now_ms)
        else:
            event[REQUESTER] = caller.name
        value = _encode(event)
        headers: list[Header] = [(CONTENT_TYPE, b"application/cloudevents+json")]
        record = PlainRecord(topics.COMMANDS, -1, -1, now_ms, None, value, headers)
        signal = envelope.decode(record, reserved_ok=True)
        if isinstance(signal, Rejected):
            raise RefusedError(problems.of_rejected(signal))
        asked = asked_of(signal, now_ms, self._requester_key, caller.permissions)
        found = [*asked.problems, *judged(definition, bytes(wish.data))[1]]
        if wrong := misdirected(definition, tenant):
            found.append(Problem("tenant", wrong))
        if found:
            raise RefusedError(_invalid(*found))
        mark = requester.mark_of(self._requester_key, asked.directive.fingerprint)
        return _Ready(asked, Entry(id_, tenant, signal.source, value, headers, topics.COMMANDS), mark)

    async def _write(self, request: web.Request, entry: Entry) -> Written:
        if self._outlet.away:
            raise RefusedError(problems.away(f"{self._outlet.away} Nothing was asked for.", RETRY_AFTER_MS))
        with self._load.holding(1):
            try:
                (written,) = await self._traces.send(request, self._outlet, [entry])
            except OutletError as error:
                written = error
        if isinstance(written, OutletError):
            raise RefusedError(
                problems.away(
                    f"{written} It may be asked for all the same: send it again under the same Idempotency-Key.",
                    RETRY_AFTER_MS,
                )
            )
        return written

    async def _list(self, request: web.Request) -> web.StreamResponse:
        tenant = self._reading(request)
        limit = request.query.get("limit", str(LISTED))
        if not limit.isascii() or not limit.isdigit() or not 0 < int(limit[:9]) <= TENANT_ENDS_MAX:
            raise RefusedError(_invalid(Problem("limit", f"must be from 1 to {TENANT_ENDS_MAX}")))
        found = self._ends.of(tenant, wall_ms(), int(limit))
        return _json(HTTPStatus.OK, {"tenant": tenant, "directives": [_shown(end) for end in found]})

    async def _show(self, request: web.Request) -> web.StreamResponse:
        tenant, key = self._reading(request), request.match_info["key"]
        end = self._ends.find(tenant, key, wall_ms())
        if end is None:
            raise RefusedError(
                problems.plain(
                    404,
                    "The tenant has no such directive: it was not met yet, ended more than a week ago, or is not "
                    f"among its {TENANT_ENDS_MAX} newest. `hopline directives show` looks through all of them.",
                )
            )
        return _json(HTTPStatus.OK, _shown(end))

    def _reading(self, request: web.Request) -> str:
        """Return whose directives are asked for, by one who may see them."""
        caller = self._access.require(request, DIRECTIVE_READ)
        tenant = self._access.tenant(caller, request.query.get("tenant", ""))
        if not self._ends.complete_once:
            raise RefusedError(problems.away("The directives have not been read yet.", RETRY_AFTER_MS))
        return tenant

    async def _kinds(self, _request: web.Request) -> web.StreamResponse:
        return _json(HTTPStatus.OK, {"kinds": [_kind(definition) for definition in kinds.ALL]})


def _wait_seconds(headers: Mapping[str, str]) -> int:
    """Return how long the client prefers to wait for the end, within our bound (RFC 7240)."""
    found = _wait(headers.get("Prefer", ""))
    return min(int(found[1]), WAIT_SECONDS_MAX) if found else 0


async def _end(lines: "asyncio.Queue[End]", ready: _Ready, wait_seconds: int) -> End | None:
    """Return the line that answers a directive; None if none comes in time."""
    if not wait_seconds:
        return None
    try:
        async with asyncio.timeout(wait_seconds):
            while not ready.is_mine(end := await lines.get()) or end.status is Status.RUNNING:
                continue
    except TimeoutError:
        return None
    return end


def _shown(end: End) -> dict[str, Any]:
    return {
        "tenant": end.tenant,
        "key": end.key,
        "directive": end.directive,
        "status": end.status.value,
        "requester": end.requester,
        "requested": rfc3339(end.requested_ms),
        "due": rfc3339(end.due_ms) if end.due_ms else None,
        "finished": rfc3339(end.finished_ms) if end.finished_ms else None,
        "error": end.error,
    }


def _answer(end: End) -> web.Response:
    """Answer 200 with an end, 202 while it waits for its time or runs, 409 if the key was another directive's."""
    if not end.kept:
        raise RefusedError(_rejected(end))
    waits = end.status in {Status.REQUESTED, Status.RUNNING}
    return _json(HTTPStatus.ACCEPTED if waits else HTTPStatus.OK, _shown(end), _where(end.tenant, end.key))


def _accepted(tenant: str, ready: _Ready, written: Written) -> web.Response:
    key = ready.asked.directive.key
    content = {
        "tenant": tenant,
        "key": key,
        "directive": ready.asked.directive.name,
        "status": "accepted",
        "lane": written.lane,
        "offset": written.offset,
        "see": _where(tenant, key),
    }
    return _json(HTTPStatus.ACCEPTED, content, _where(tenant, key))


def _where(tenant: str, key: str) -> str:
    return f"{PATH}/{quote(key, safe='')}?tenant={quote(tenant, safe='')}"


def _kind(definition: Definition[Any]) -> dict[str, Any]:
    return {
        "name": definition.name,
        "summary": definition.summary,
        "permission": definition.permission,
        "data": msgspec.json.schema(definition.payload),
    }


def _invalid(*found: Problem) -> Failure:
    return Failure(
        HTTPStatus.BAD_REQUEST,
        "invalid_directive",
        "Not a directive",
        "Nothing was asked for; `problems` says field by field what to mend.",
        found,
    )


def _not_json() -> Failure:
    return Failure(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        "Not JSON",
        "Send the directive as JSON, and say so.",
        (Problem("content-type", f"must be {_JSON_TYPE}"),),
        closes=True,
    )


def _used(key: str) -> Failure:
    return Failure(
        HTTPStatus.CONFLICT,
        "idempotency_key_used",
        "Idempotency key used",
        "Another directive was asked for under this key. Take a new one for each.",
        (Problem("key", f"{key!r:.80} is taken"),),
    )


def _rejected(end: End) -> Failure:
    return Failure(HTTPStatus.CONFLICT, "rejected", "Rejected", end.error, more=_shown(end))


def _json(status: HTTPStatus, content: dict[str, Any], location: str = "") -> web.Response:
    headers = {"Location": location} if location else None
    return web.Response(status=status, body=_encode(content), content_type=_JSON_TYPE, headers=headers)
