"""Requests and their traces: who is sampled, what goes along to Kafka, which spans there are."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import pytest
from aiohttp.test_utils import TestClient, TestServer
from multidict import CIMultiDict
from typing_extensions import override

from processors.telemetry import trace
from processors.telemetry.trace import Kind, Span
from streams.gateway.outlet import Outlet, OutletError
from streams.gateway.server import Gateway
from streams.gateway.traces import Traces
from streams.metrics import Metrics
from streams.settings import Settings
from streams.tracing import Tracer
from tests.streams.gateway.played import BATCH, SIGNALS, STRUCTURED, PlayedOutlet, Site, event

TRACE: Final = "a" * 32
SAMPLED: Final = f"00-{TRACE}-{'b' * 16}-01"
UNSAMPLED: Final = f"00-{TRACE}-{'b' * 16}-00"


class Kept(Tracer):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    @override
    def take(self, found: Sequence[Span], *, dropped: int = 0) -> None:
        assert not dropped
        self.spans += found


@asynccontextmanager
async def traced(share: float = 0.0, *, tracer: bool = True, **settings: Any) -> AsyncIterator[tuple[Site, Kept]]:
    outlet, kept = PlayedOutlet(), Kept()
    traces = Traces(kept if tracer else None, share)
    gateway = Gateway(Settings(**settings), cast("Outlet", outlet), Metrics(), traces=traces)
    async with TestClient(TestServer(gateway.application(), auto_decompress=False)) as client:
        yield Site(gateway, outlet, client), kept


def carried(site: Site, number: int = 0) -> str:
    return (dict(site.outlet.taken[number].headers).get(trace.TRACEPARENT) or b"").decode()


async def test_a_sampled_request_has_two_spans_and_hands_the_second_on() -> None:
    async with traced() as (site, kept):
        status, _, _ = await site.post(event(), {**STRUCTURED, "traceparent": SAMPLED, "tracestate": "rojo=1"})
        assert status == 202
        send, request = kept.spans
        assert (request.title, request.kind, request.parent_id) == ("POST /v1/signals", Kind.SERVER, "b" * 16)
        assert (send.title, send.kind, send.parent_id) == ("send signals.in", Kind.PRODUCER, request.span_id)
        assert (send.tenant, send.signal_id, send.partition, send.offset) == ("t", "e1", 3, 0)
        assert {span.trace_id for span in kept.spans} == {TRACE}
        assert request.began_ms <= send.began_ms <= send.ended_ms <= request.ended_ms
        assert dict(request.more)["http.response.status_code"] == 202
        assert carried(site) == f"00-{TRACE}-{send.span_id}-01"
        assert dict(site.outlet.taken[0].headers)["tracestate"] == b"rojo=1"


async def test_a_batch_has_one_span_for_all_that_it_writes() -> None:
    async with traced() as (site, kept):
        await site.post([event(1), event(2)], {**BATCH, "traceparent": SAMPLED})
        send, _ = kept.spans
        assert dict(send.more)["messaging.batch.message_count"] == 2
        assert carried(site, 0) == carried(site, 1) == f"00-{TRACE}-{send.span_id}-01"


@pytest.mark.parametrize("parent", [None, UNSAMPLED, "nonsense", SAMPLED.replace("aaaa", "xxxx"), f"01{SAMPLED[2:]}"])
async def test_what_is_not_sampled_passes_as_it_came(parent: str | None) -> None:
    async with traced() as (site, kept):
        await site.post(event(), {**STRUCTURED, **({"traceparent": parent} if parent else {})})
        assert kept.spans == []
        assert carried(site) in {"", parent}


async def test_of_several_contexts_none_counts() -> None:
    async with traced() as (site, kept):
        several = [*STRUCTURED.items(), ("traceparent", SAMPLED), ("traceparent", UNSAMPLED)]
        async with site.client.post(SIGNALS, data=json.dumps(event()), headers=CIMultiDict(several)) as answer:
            assert answer.status == 202
        assert kept.spans == []
        assert carried(site) == ""


async def test_without_a_tracer_the_senders_context_goes_on() -> None:
    async with traced(share=1, tracer=False) as (site, kept):
        await site.post(event(), {**STRUCTURED, "traceparent": SAMPLED})
        await site.post(event(2))
        assert kept.spans == []
        assert (carried(site), carried(site, 1)) == (SAMPLED, "")


async def test_a_share_of_those_without_a_context_is_sampled_and_no_other() -> None:
    async with traced(share=1) as (site, kept):
        await site.post(event(), {**STRUCTURED, "traceparent": UNSAMPLED})
        assert kept.spans == [], "who sent it has decided"
        await site.post(event(2))
        _, request = kept.spans
        assert request.parent_id == ""
        assert carried(site, 1).startswith(f"00-{request.trace_id}-")
        async with site.client.get("/metrics") as answer:
            assert answer.status == 200
        assert len(kept.spans) == 2, "what is no part of the API is not sampled"
    async with traced(share=0) as (site, kept):
        await site.post(event())
        assert kept.spans == []


async def test_an_event_that_is_sampled_takes_its_request_along() -> None:
    async with traced() as (site, kept):
        await site.post(event(traceparent=SAMPLED))
        send, request = kept.spans
        assert (request.trace_id, request.parent_id) == (TRACE, "b" * 16)
        assert carried(site) == f"00-{TRACE}-{send.span_id}-01"
        await site.post(event(2, traceparent=SAMPLED), {**STRUCTURED, "traceparent": UNSAMPLED})
        assert len(kept.spans) == 2, "the request's own word counts"


async def test_what_failed_says_so() -> None:
    async with traced() as (site, kept):
        site.outlet.failures["e1"] = OutletError("Kafka did not take it.", known_unwritten=False)
        status, _, _ = await site.post(event(), {**STRUCTURED, "traceparent": SAMPLED})
        assert status == 503
        send, request = kept.spans
        assert "Kafka did not take it." in send.error
        assert request.error == "503"
        site.outlet.broken = True
        status, _, _ = await site.post(event(), {**STRUCTURED, "traceparent": SAMPLED})
        assert (status, kept.spans[-1].error, kept.spans[-2].error) == (500, "500", "not written")


async def test_a_refused_request_has_its_span_and_the_next_on_the_connection_is_another() -> None:
    async with traced() as (site, kept):
        status, _, _ = await site.post(b"no event", {**STRUCTURED, "traceparent": SAMPLED})
        assert status == 400
        (request,) = kept.spans
        assert (request.error, dict(request.more)["http.response.status_code"]) == ("", 400)
        async with site.client.get(f"{SIGNALS}/0?x=1", headers={"traceparent": SAMPLED}) as answer:
            assert answer.status == 404
        assert kept.spans[-1].title == "GET"
