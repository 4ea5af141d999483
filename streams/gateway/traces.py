"""Traces of requests: a span for each that is sampled, one for what it writes, and the context that goes along.

Whether a request is sampled says the flag of its `traceparent`, or of its event's. Of those without one the gateway
samples a share. What is not sampled costs a look at a header.
"""

import random
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from aiohttp import web
from msgspec import structs
from opentelemetry.semconv.attributes import http_attributes

from processors.telemetry import trace
from processors.telemetry.trace import TRACEPARENT, Kind, Span
from processors.vocabulary.record import PlainRecord
from streams import logs
from streams.gateway.caller import KEY as CALLER
from streams.gateway.intake import Entry, parent_of
from streams.gateway.outlet import Outlet, OutletError, Written
from streams.tracing import Tracer

PATHS: Final = "/v1/"
_NS_PER_MS: Final = 1_000_000
_BATCH: Final = "messaging.batch.message_count"


def _now_ms() -> float:
    return time.time_ns() / _NS_PER_MS


@dataclass(slots=True)
class Traced:
    """One request that is sampled: its span, and those below it."""

    trace_id: str
    parent_id: str
    began_ms: float
    span_id: str = field(default_factory=lambda: secrets.token_hex(8))


@dataclass(slots=True)
class Request:
    """What is known of a request's trace from its beginning on."""

    began_ms: float
    traced: Traced | None


_REQUEST: Final = web.RequestKey("trace", Request)


class Traces:
    """The traces of one gateway's requests. Without a tracer there are none, and contexts pass through as they came."""

    def __init__(self, tracer: Tracer | None, share: float) -> None:
        self._tracer = tracer
        self._share = share

    def begin(self, request: web.Request) -> None:
        """Look whether a request is sampled."""
        if self._tracer is not None and request.path.startswith(PATHS):
            began_ms = _now_ms()
            request[_REQUEST] = Request(began_ms, traced := self._sampled(request, began_ms))
            if traced is not None:
                logs.add(trace_id=traced.trace_id)

    def _sampled(self, request: web.Request, began_ms: float) -> Traced | None:
        carried = parent_of(request.headers)
        if carried is not None:
            context = carried.encode(errors="replace")
            if trace.valid(context):
                return Traced(*trace.ids_of(context), began_ms) if trace.flagged(context) else None
        if self._share and random.random() < self._share:  # noqa: S311  # not a secret
            return Traced(secrets.token_hex(16), "", began_ms)
        return None

    def join(self, request: web.Request, entry: Entry) -> None:
        """Let a request that says nothing of a trace belong to its event's, if that is sampled."""
        known = request.get(_REQUEST)
        if known is None or known.traced is not None or parent_of(request.headers) is not None:
            return
        record = PlainRecord(entry.topic, -1, -1, 0, None, entry.value, entry.headers)
        context = trace.of_record(record)
        if context is not None and trace.flagged(context):
            known.traced = Traced(*trace.ids_of(context), known.began_ms)
            logs.add(trace_id=known.traced.trace_id)

    async def send(self, request: web.Request, outlet: Outlet, entries: Sequence[Entry]) -> list[Written | OutletError]:
        """Write events; those of a sampled request carry the context of the span that this is. See `Outlet.send`."""
        known = request.get(_REQUEST)
        traced = None if known is None else known.traced
        if traced is None or self._tracer is None or not entries:
            return await outlet.send(entries)
        span_id, began_ms = secrets.token_hex(8), _now_ms()
        header = (TRACEPARENT, trace.context(traced.trace_id, span_id))
        carrying = [
            structs.replace(entry, headers=[*(each for each in entry.headers if each[0] != TRACEPARENT), header])
            for entry in entries
        ]
        why: list[Written | OutletError] = []
        try:
            why = await outlet.send(carrying)
        except OutletError as error:
            why = [error]
            raise
        finally:
            self._tracer.take((_sent(traced, span_id, began_ms, entries, why),))
        return why

    def end(self, request: web.Request, status: int) -> None:
        """Send the span of a request that was sampled, now that it is answered."""
        known = request.get(_REQUEST)
        if known is None or known.traced is None or self._tracer is None:
            return
        traced, caller = known.traced, request.get(CALLER)
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else ""
        span = Span(
            trace_id=traced.trace_id,
            parent_id=traced.parent_id,
            span_id=traced.span_id,
            topic="",
            partition=-1,
            offset=-1,
            tenant=caller.tenant if caller is not None else "",
            signal_id="",
            began_ms=traced.began_ms,
            kind=Kind.SERVER,
            name=f"{request.method} {route}".strip(),
            error=str(status) if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "",
            more=(
                (http_attributes.HTTP_REQUEST_METHOD, request.method),
                (http_attributes.HTTP_ROUTE, route),
                (http_attributes.HTTP_RESPONSE_STATUS_CODE, status),
            ),
            ended_ms=_now_ms(),
        )
        self._tracer.take((span,))


def _sent(
    traced: Traced, span_id: str, began_ms: float, entries: Sequence[Entry], written: Sequence[Written | OutletError]
) -> Span:
    """Return the span of what a request has written: one for all its events."""
    first = entries[0]
    failed = [item for item in written if isinstance(item, OutletError)]
    lanes = {item.lane for item in written if isinstance(item, Written)}
    alone = len(entries) == 1
    place = written[0] if alone and written and isinstance(written[0], Written) else None
    return Span(
        trace_id=traced.trace_id,
        parent_id=traced.span_id,
        span_id=span_id,
        topic=first.topic,
        partition=next(iter(lanes)) if len(lanes) == 1 else -1,
        offset=-1 if place is None else place.offset,
        tenant=first.tenant if len({entry.tenant for entry in entries}) == 1 else "",
        signal_id=first.id if alone else "",
        began_ms=began_ms,
        kind=Kind.PRODUCER,
        operation="send",
        error=f"{len(failed)} of {len(entries)} events: {failed[0]}" if failed else "" if written else "not written",
        more=() if alone else ((_BATCH, len(entries)),),
        ended_ms=_now_ms(),
    )
