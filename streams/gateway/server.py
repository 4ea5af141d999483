"""The gateway's HTTP server: `POST /v1/signals`, `/healthz`, `/readyz`, `/metrics`, and what `discovery.py` shows."""

import logging
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any, Final, Protocol, TypeAlias

import msgspec
from aiohttp import web

from processors.admission import Channel
from processors.telemetry import catalogue
from processors.vocabulary.ids import uuid7
from processors.vocabulary.partition import lane_of
from processors.vocabulary.permissions import SIGNAL_WRITE
from processors.vocabulary.reasons import Rejected
from streams import logs
from streams.clock import wall_ms
from streams.gateway import intake, problems
from streams.gateway.access import Access, ids_for
from streams.gateway.admission import Admission
from streams.gateway.caller import KEY as CALLER
from streams.gateway.caller import Caller
from streams.gateway.discovery import OPENAPI_PATH, Discovery
from streams.gateway.hosts import is_own_name
from streams.gateway.intake import BATCH, Entry
from streams.gateway.ledger import Ledger, Offer
from streams.gateway.limits import Body, Load, RefusedError, bytes_max
from streams.gateway.outlet import Outlet, OutletError, Written
from streams.gateway.problems import Failure
from streams.gateway.recent import Accepted, Recent
from streams.gateway.security import headers_for
from streams.gateway.traces import Traces
from streams.keys import redacted
from streams.metrics import Metrics
from streams.settings import Settings
from streams.telemetry import Silence, Tells

log = logging.getLogger(__name__)

SIGNALS_PATH: Final = "/v1/signals"
AWAY_RETRY_AFTER_MS: Final = 1_000
_NO_MODE: Final = "unknown"
"""The content mode of what is no CloudEvent."""
_ACCEPTED: Final = int(HTTPStatus.ACCEPTED)
_JSON: Final = {"Content-Type": "application/json"}
_encode: Final = msgspec.json.Encoder().encode

_Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _require_own_name(host: str) -> None:
    """Refuse a request to another name: a page of another site must not reach this machine by one of its own."""
    if not is_own_name(host):
        raise RefusedError(problems.foreign_host(host))


def _new_id() -> str:
    return uuid7(wall_ms(), os.urandom(10))


class Part(Protocol):
    """Routes of their own, in a module of their own."""

    def register(self, app: web.Application) -> None:
        """Add them."""


class Gateway:
    """Takes events over HTTP and answers when Kafka has them."""

    def __init__(
        self,
        settings: Settings,
        outlet: Outlet,
        metrics: Metrics,
        parts: Sequence[Part] = (),
        access: Access | None = None,
        recent: Recent | None = None,
        *,
        tells: Tells | None = None,
        traces: Traces | None = None,
    ) -> None:
        self._traces = traces or Traces(None, 0)
        self._parts = parts
        self._recent = Recent() if recent is None else recent
        self.access = access or Access(settings, metrics)
        self.load = Load(settings.gateway_inflight_max)
        self._lanes = settings.lanes
        self._batch_events_max = settings.gateway_batch_events_max
        self._outlet = outlet
        self._metrics = metrics
        self._headers = headers_for(settings)
        self.admission = Admission(settings, metrics)
        self._discovery = Discovery(self.admission)
        self._ledger = Ledger(metrics, tells or Silence())
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
        for part in (self._discovery, *self._parts):
            part.register(app)
        return app

    @web.middleware
    async def _answer(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Turn every failure into a problem that says what to do, and count the answer."""
        began = time.perf_counter()
        # The task is the connection's: what the request before was about is over.
        logs.begin_about(logs.NOTHING)
        self._traces.begin(request)
        try:
            if not self.access.required:
                # A page of another site has no key, so where keys are required it gets nowhere.
                _require_own_name(request.headers.get("Host", "localhost"))
            self.access.identify(request)
            self.admission.admit(request)
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
        for name, value in self._headers.items():
            # The page has a policy of its own; two of them would both be in force.
            response.headers.setdefault(name, value)
        self._traces.end(request, response.status)
        self.admission.finish(request, response)
        self._requests.of(str(response.status)).inc()
        if isinstance(response, web.Response):
            # A stream lasts as long as its client wants.
            self._duration.observe(time.perf_counter() - began)
        return response

    async def _signals(self, request: web.Request) -> web.StreamResponse:
        try:
            caller = self.admission.enter(request)
        except RefusedError as error:
            raise self._turned_away(error.failure) from None
        self.access.require(request, SIGNAL_WRITE)
        content_type = request.headers.get("Content-Type")
        mode = intake.mode_of(content_type, request.headers)
        if isinstance(mode, Rejected):
            raise self._turned_away(problems.of_rejected(mode))
        body = Body(self.load)
        with self._ledger.offer(mode) as offer:
            try:
                # A single event pays before it is read; of a batch nobody knows yet how many it is.
                self.admission.take(request, caller, Channel.SIGNALS, 0 if mode == BATCH else 1)
                self._require_kafka()
                content = await body.read(request, bytes_max(mode, BATCH))
                if mode == BATCH:
                    return await self._batch(request, caller, content, offer)
                return await self._single(request, content_type, content, offer)
            except RefusedError as error:
                if offer.ended < offer.count and error.failure.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                    offer.refused(error.failure.kind, offer.count - offer.ended)
                raise
            finally:
                body.release()

    def _turned_away(self, failure: Failure) -> RefusedError:
        """Return the refusal of a request that nobody has looked into; it is one event in the ledger."""
        with self._ledger.offer(_NO_MODE) as offer:
            offer.refused(failure.kind)
        return RefusedError(failure)

    def _require_kafka(self) -> None:
        if self._outlet.away:
            raise RefusedError(self._away(self._outlet.away))

    async def _single(
        self, request: web.Request, content_type: str | None, content: bytes, offer: Offer
    ) -> web.StreamResponse:
        caller, ids = request[CALLER], ids_for(request.headers, _new_id)
        found = self._own(caller, intake.single(content_type, request.headers, content, ids, caller.tenant or None))
        if isinstance(found, Failure):
            raise RefusedError(found)
        logs.add(tenant=found.tenant, signal=found.id)
        self._traces.join(request, found)
        with self.load.holding(1):
            (written,) = await self._write(request, [found], offer)
        if isinstance(written, OutletError):
            raise RefusedError(self._unwritten(found, written))
        said = self._accepted(found, written)
        response = _json(HTTPStatus.ACCEPTED, said)
        response.headers["Location"] = f"{SIGNALS_PATH}/{said['ref']}"
        return response

    async def _batch(self, request: web.Request, caller: Caller, content: bytes, offer: Offer) -> web.StreamResponse:
        ids = ids_for(request.headers, _new_id)
        judged = intake.batch(request.headers, content, self._batch_events_max, ids, caller.tenant or None)
        if isinstance(judged, Rejected):
            raise RefusedError(problems.of_rejected(judged))
        offer.count = len(judged)
        self.admission.take(request, caller, Channel.SIGNALS, len(judged))
        found = [self._own(caller, item) for item in judged]
        entries = [item for item in found if isinstance(item, Entry)]
        # Before any of them counts as refused: if too many wait, the whole batch does.
        with self.load.holding(len(entries)):
            for item in found:
                if isinstance(item, Failure):
                    offer.refused(item.kind)
            written = iter(await self._write(request, entries, offer))
        items: list[dict[str, Any]] = []
        for index, item in enumerate(found):
            if isinstance(item, Failure):
                items.append({"index": index, **item.members()})
            else:
                items.append(self._item(index, item, next(written)))
        return _batch_answer(items, found)

    def _own(self, caller: Caller, found: Entry | Rejected) -> Entry | Failure:
        """Return the event if it is well formed and its caller's to send."""
        if isinstance(found, Rejected):
            return problems.of_rejected(found)
        return self.access.own(caller, found) or found

    def _item(self, index: int, entry: Entry, written: Written | OutletError) -> dict[str, Any]:
        if isinstance(written, OutletError):
            return {"index": index, **self._unwritten(entry, written).members()}
        said = self._accepted(entry, written)
        said["index"], said["status"] = index, _ACCEPTED
        return said

    async def _write(self, request: web.Request, entries: Sequence[Entry], offer: Offer) -> list[Written | OutletError]:
        try:
            written = await self._traces.send(request, self._outlet, entries)
        except OutletError as error:
            written = [error] * len(entries)
        failed = sum(isinstance(item, OutletError) for item in written)
        offer.failed(failed)
        offer.accepted(len(written) - failed)
        return written

    def _accepted(self, entry: Entry, written: Written) -> dict[str, Any]:
        ref = entry.ref
        self._recent.note(ref, Accepted(entry.tenant, entry.id, written.lane, written.offset))
        return {
            "id": entry.id,
            "tenant": entry.tenant,
            "lane": written.lane,
            "offset": written.offset,
            "ref": ref,
        }

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
        why = await self._outlet.probe() or self.access.why_not_ready()
        if why:
            return _json(HTTPStatus.SERVICE_UNAVAILABLE, {"status": "not ready", "why": why})
        return _json(HTTPStatus.OK, {"status": "ready"})

    async def _show_metrics(self, request: web.Request) -> web.StreamResponse:
        content, content_type = self._metrics.shown(request.headers.get("Accept", ""))
        return web.Response(body=content, headers={"Content-Type": content_type})


def _batch_answer(items: list[dict[str, Any]], found: Sequence[Entry | Failure]) -> web.StreamResponse:
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
        foreign = {item["status"] for item in items} == {HTTPStatus.FORBIDDEN}
        failure = Failure(
            HTTPStatus.FORBIDDEN if foreign else HTTPStatus.BAD_REQUEST,
            "no_event_accepted",
            "No event was accepted",
            "Each event of the batch has a problem; `items` has them one by one.",
            more=counts,
        )
    return _failed(failure)


def _advice(error: web.HTTPException) -> str:
    if isinstance(error, web.HTTPNotFound):
        return f"There is {SIGNALS_PATH} to POST to; {OPENAPI_PATH} says what else there is."
    if isinstance(error, web.HTTPMethodNotAllowed):
        return f"This path takes {', '.join(sorted(error.allowed_methods))}."
    return error.reason


def _json(status: HTTPStatus, content: dict[str, Any]) -> web.Response:
    return web.Response(status=status, body=_encode(content), headers=_JSON)


def _failed(failure: Failure) -> web.Response:
    # What a client sends where it does not belong may be its key: an answer is logged in more places than a request.
    body = redacted(failure.body().decode()).encode()
    response = web.Response(status=failure.status, body=body, content_type=problems.CONTENT_TYPE)
    if failure.retry_after_ms is not None:
        # Whole seconds are what HTTP has; the exact time stands in the body.
        response.headers["Retry-After"] = str(-(-failure.retry_after_ms // 1_000))
    if failure.status is HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Bearer realm="hopline"'
    if failure.closes:
        response.force_close()
    return response
