"""The gateway's HTTP server: `POST /v1/signals`, `/healthz`, `/readyz`, `/metrics`."""

import ipaddress
import logging
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any, Final, Protocol, TypeAlias
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from processors.telemetry import catalogue
from processors.vocabulary.ids import uuid7
from processors.vocabulary.partition import lane_of
from processors.vocabulary.reasons import Rejected
from streams.gateway import intake, problems
from streams.gateway.errors import NotLoopbackError
from streams.gateway.intake import BATCH, Entry
from streams.gateway.limits import Body, Load, RefusedError, bytes_max
from streams.gateway.outlet import Outlet, OutletError, Written
from streams.gateway.problems import Failure
from streams.metrics import CONTENT_TYPE as METRICS_TYPE
from streams.metrics import Metrics
from streams.settings import Settings

log = logging.getLogger(__name__)

SIGNALS_PATH: Final = "/v1/signals"
AWAY_RETRY_AFTER_MS: Final = 1_000
_ACCEPTED: Final = "accepted"
_REFUSED: Final = "refused"
_FAILED: Final = "failed"
_encode: Final = msgspec.json.Encoder().encode

_Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


def require_loopback(host: str) -> None:
    """Refuse an address that other machines can reach."""
    if not is_loopback(host):
        raise NotLoopbackError(
            f"HOPLINE_HOST is {host!r}, and this gateway serves this machine only: it asks for no key yet "
            "(keys come with a later version). Set HOPLINE_HOST=127.0.0.1."
        )


def is_loopback(host: str) -> bool:
    """Tell whether a host names this machine for itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _require_own_name(host: str) -> None:
    """Refuse a request to another name: a page of another site must not reach this machine by one of its own."""
    try:
        named = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        named = ""
    if not is_loopback(named):
        raise RefusedError(problems.foreign_host(host))


def _new_id() -> str:
    return uuid7(time.time_ns() // 1_000_000, os.urandom(10))


class Part(Protocol):
    """Routes of their own, in a module of their own."""

    def register(self, app: web.Application) -> None:
        """Add them."""


class Gateway:
    """Takes events over HTTP and answers when Kafka has them."""

    def __init__(self, settings: Settings, outlet: Outlet, metrics: Metrics, parts: Sequence[Part] = ()) -> None:
        self._parts = parts
        self.load = Load(settings.gateway_inflight_max)
        self._lanes = settings.lanes
        self._batch_events_max = settings.gateway_batch_events_max
        self._outlet = outlet
        self._metrics = metrics
        self._events = metrics.counter(catalogue.GATEWAY_EVENTS)
        self._requests = metrics.counter(catalogue.GATEWAY_REQUESTS)
        self._duration = metrics.histogram(catalogue.GATEWAY_DURATION).of()
        metrics.gauge(catalogue.GATEWAY_INFLIGHT).of().set_function(lambda: self.load.events)

    def application(self) -> web.Application:
        """Return the web application."""
        app = web.Application(middlewares=[self._answer])
        app.router.add_post(SIGNALS_PATH, self._signals)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._show_metrics)
        for part in self._parts:
            part.register(app)
        return app

    @web.middleware
    async def _answer(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Turn every failure into a problem that says what to do, and count the answer."""
        began = time.perf_counter()
        try:
            _require_own_name(request.headers.get("Host", "localhost"))
            response = await handler(request)
        except RefusedError as error:
            response = _failed(error.failure)
        except web.HTTPException as error:
            response = _failed(problems.plain(error.status, _advice(error)))
            if isinstance(error, web.HTTPMethodNotAllowed):
                response.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
        except Exception:  # boundary: a bug must cost one request only, and be told
            log.exception("%s %s failed", request.method, request.path)
            response = _failed(problems.plain(500, "The gateway failed on this request; its log says how."))
        self._requests.of(str(response.status)).inc()
        if isinstance(response, web.Response):
            # A stream lasts as long as its client wants.
            self._duration.observe(time.perf_counter() - began)
        return response

    async def _signals(self, request: web.Request) -> web.StreamResponse:
        content_type = request.headers.get("Content-Type")
        mode = intake.mode_of(content_type, request.headers)
        if isinstance(mode, Rejected):
            raise RefusedError(problems.of_rejected(mode))
        if self._outlet.away:
            raise RefusedError(self._away(self._outlet.away))
        body = Body(self.load)
        try:
            content = await body.read(request, bytes_max(mode, BATCH))
            if mode == BATCH:
                return await self._batch(request, content)
            return await self._single(request, content_type, content, mode)
        finally:
            body.release()

    async def _single(
        self, request: web.Request, content_type: str | None, content: bytes, mode: str
    ) -> web.StreamResponse:
        found = intake.single(content_type, request.headers, content, _new_id)
        if isinstance(found, Rejected):
            self._events.of(mode, _REFUSED).inc()
            raise RefusedError(problems.of_rejected(found))
        (written,) = await self._write([found], mode)
        if isinstance(written, OutletError):
            raise RefusedError(self._unwritten(found, written))
        return _json(HTTPStatus.ACCEPTED, self._accepted(found, written))

    async def _batch(self, request: web.Request, content: bytes) -> web.StreamResponse:
        found = intake.batch(request.headers, content, self._batch_events_max, _new_id)
        if isinstance(found, Rejected):
            self._events.of(BATCH, _REFUSED).inc()
            raise RefusedError(problems.of_rejected(found))
        entries = [item for item in found if isinstance(item, Entry)]
        self._events.of(BATCH, _REFUSED).inc(len(found) - len(entries))
        written = iter(await self._write(entries, BATCH))
        items: list[dict[str, Any]] = []
        for index, item in enumerate(found):
            if isinstance(item, Rejected):
                members = problems.of_rejected(item).members()
            else:
                members = self._item(item, next(written))
            items.append({"index": index, **members})
        return _batch_answer(items, found)

    def _item(self, entry: Entry, written: Written | OutletError) -> dict[str, Any]:
        if isinstance(written, OutletError):
            return self._unwritten(entry, written).members()
        return {"status": int(HTTPStatus.ACCEPTED), **self._accepted(entry, written)}

    async def _write(self, entries: Sequence[Entry], mode: str) -> list[Written | OutletError]:
        with self.load.holding(len(entries)):
            try:
                written = await self._outlet.send(entries)
            except OutletError as error:
                written = [error] * len(entries)
        failed = sum(isinstance(item, OutletError) for item in written)
        if failed:
            self._events.of(mode, _FAILED).inc(failed)
        self._events.of(mode, _ACCEPTED).inc(len(written) - failed)
        return written

    def _accepted(self, entry: Entry, written: Written) -> dict[str, Any]:
        return {"id": entry.id, "tenant": entry.tenant, "lane": written.lane, "offset": written.offset}

    def _away(self, why: str) -> Failure:
        return problems.away(f"{why} Nothing was written; send it again later.", AWAY_RETRY_AFTER_MS)

    def _unwritten(self, entry: Entry, error: OutletError) -> Failure:
        if error.known_unwritten:
            return self._away(str(error))
        return problems.away(
            f"{error} It may be written all the same: send it again with this id, and it counts once.",
            AWAY_RETRY_AFTER_MS,
            more={"id": entry.id, "tenant": entry.tenant, "lane": lane_of(entry.tenant.encode(), self._lanes)},
        )

    async def _healthz(self, _request: web.Request) -> web.StreamResponse:
        return _json(HTTPStatus.OK, {"status": "alive"})

    async def _readyz(self, _request: web.Request) -> web.StreamResponse:
        why = await self._outlet.probe()
        if why:
            return _json(HTTPStatus.SERVICE_UNAVAILABLE, {"status": "not ready", "why": why})
        return _json(HTTPStatus.OK, {"status": "ready"})

    async def _show_metrics(self, _request: web.Request) -> web.StreamResponse:
        return web.Response(body=self._metrics.exposition(), headers={"Content-Type": METRICS_TYPE})


def _batch_answer(items: list[dict[str, Any]], found: Sequence[Entry | Rejected]) -> web.StreamResponse:
    """Answer 202 if all were accepted, 207 if some, and else why none was."""
    accepted = sum(item["status"] == HTTPStatus.ACCEPTED for item in items)
    counts = {"accepted": accepted, "refused": len(items) - accepted, "items": items}
    if accepted == len(items):
        return _json(HTTPStatus.ACCEPTED, counts)
    if accepted:
        return _json(HTTPStatus.MULTI_STATUS, counts)
    if any(isinstance(item, Entry) for item in found):
        failure = problems.away("No event of the batch was confirmed.", AWAY_RETRY_AFTER_MS, more=counts)
    else:
        failure = Failure(
            HTTPStatus.BAD_REQUEST,
            "no_event_accepted",
            "No event was accepted",
            "Each event of the batch has a problem; `items` has them one by one.",
            more=counts,
        )
    return _failed(failure)


def _advice(error: web.HTTPException) -> str:
    if isinstance(error, web.HTTPNotFound):
        return f"There is {SIGNALS_PATH} to POST to, and /healthz, /readyz and /metrics to GET."
    if isinstance(error, web.HTTPMethodNotAllowed):
        return f"This path takes {', '.join(sorted(error.allowed_methods))}."
    return error.reason


def _json(status: HTTPStatus, content: dict[str, Any]) -> web.Response:
    return web.Response(status=status, body=_encode(content), content_type="application/json")


def _failed(failure: Failure) -> web.Response:
    response = web.Response(status=failure.status, body=failure.body(), content_type=problems.CONTENT_TYPE)
    if failure.retry_after_ms is not None:
        # Whole seconds are what HTTP has; the exact time stands in the body.
        response.headers["Retry-After"] = str(-(-failure.retry_after_ms // 1_000))
    if failure.closes:
        response.force_close()
    return response
