"""A trace over HTTP, ingest, signals and a directive: one tree in a real Zipkin. And what failed."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from aiohttp import ClientSession, ClientTimeout

from processors.telemetry import trace
from processors.vocabulary import headers as names
from processors.vocabulary import topics
from processors.vocabulary.ids import coordinate_id
from tests.integration.gateways import GatewayProcess, gateway
from tests.integration.pipeline import Pipeline, event, pipeline, until
from tests.zipkin import NoZipkinError, Zipkin, zipkin

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]

TRACE: Final = "5afe" * 8
CLIENT: Final = "c11e" * 4
SAMPLED: Final = f"00-{TRACE}-{CLIENT}-01"
SECRET: Final = "a secret of these tests, long enough for all"  # noqa: S105  # it opens nothing
STRUCTURED: Final = {"Content-Type": "application/cloudevents+json"}
WISH: Final = {"tenant": "acme", "name": "hopline.limit.set", "data": {"burst": 7}}
WAY: Final = (
    ("SERVER", "hopline-gateway", "post /v1/signals"),
    ("PRODUCER", "hopline-gateway", "send signals.in"),
    ("CONSUMER", "hopline-worker", "process signals.in"),
    ("SERVER", "hopline-gateway", "post /v1/directives"),
    ("PRODUCER", "hopline-gateway", "send commands"),
    ("CONSUMER", "hopline-worker", "process commands"),
    ("CONSUMER", "hopline-worker", "process directives"),
    ("PRODUCER", "hopline-worker", "send signals"),
)
"""Each one's parent is the one before it. Zipkin has names in lower case."""


@pytest.fixture(scope="module")
def zipkin_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zipkin]:
    try:
        with zipkin(tmp_path_factory.mktemp("zipkin")) as one:
            yield one
    except NoZipkinError as error:
        pytest.skip(str(error))


@pytest_asyncio.fixture
async def site(
    kafka: str, unique: str, tmp_path: Path, zipkin_server: Zipkin
) -> AsyncIterator[tuple[Pipeline, GatewayProcess, ClientSession]]:
    """A worker and a gateway that both send their spans to Zipkin, and a client."""
    settings = {"SECRET_KEY": SECRET, "TRACE_ZIPKIN_URL": zipkin_server.spans_url}
    with pipeline(kafka, unique, tmp_path, **settings) as pipe:
        await pipe.prepare()
        worker = pipe.start()
        with gateway(pipe) as served:
            await worker.ready()
            await served.ready()
            async with ClientSession(served.url, timeout=ClientTimeout(total=60)) as http:
                yield pipe, served, http


def header_of(record: Any, name: str) -> str:
    return (dict(record.headers).get(name) or b"").decode()


async def spans_of(server: Zipkin, trace_id: str, count: int) -> list[dict[str, Any]]:
    """Wait until Zipkin has so many spans of a trace; return them."""
    await until(lambda: len(server.trace(trace_id)) >= count, lambda: f"Zipkin has {server.trace(trace_id)}")
    return server.trace(trace_id)


def seen(span: Mapping[str, Any]) -> tuple[str, str, str]:
    return span.get("kind", ""), span["localEndpoint"]["serviceName"], span["name"]


async def test_over_http_ingest_signals_and_a_directive_it_is_one_tree(
    site: tuple[Pipeline, GatewayProcess, ClientSession], zipkin_server: Zipkin
) -> None:
    pipe, _, http = site
    sent = {**STRUCTURED, "traceparent": SAMPLED, "tracestate": "rojo=1"}
    async with http.post("/v1/signals", data=event("acme", 1), headers=sent) as answer:
        assert answer.status == 202
    (admitted,) = await pipe.until(topics.SIGNALS, 1)
    carried = header_of(admitted, trace.TRACEPARENT)
    assert trace.flagged(carried.encode())
    assert header_of(admitted, "tracestate") == "rojo=1"
    assert json.loads(admitted.value)["traceparent"].startswith(f"00-{TRACE}-"), "the event says where it began"
    # Somebody who reads signals asks for a directive because of this one.
    async with http.post("/v1/directives", json=WISH, headers={"traceparent": carried}) as answer:
        assert answer.status == 202
    _, told = await pipe.until(topics.SIGNALS, 2)
    assert header_of(told, names.BY) == "directives"
    spans = await spans_of(zipkin_server, TRACE, len(WAY))
    by_name = {seen(span): span for span in spans}
    assert set(by_name) == set(WAY)
    assert len(spans) == len(WAY)
    before = CLIENT
    for each in WAY:
        span = by_name[each]
        assert span["parentId"] == before, each
        assert span["duration"] >= 1
        assert "error" not in span["tags"]
        before = span["id"]
    assert header_of(told, trace.TRACEPARENT) == f"00-{TRACE}-{before}-01"
    tags = by_name[WAY[2]]["tags"]
    assert tags["messaging.kafka.offset"] == str(0)
    assert tags["messaging.consumer.group.name"] == f"{pipe.prefix}hopline"
    assert tags["hopline.tenant"] == "acme"


async def test_what_failed_has_a_span_though_nobody_sampled_it(
    site: tuple[Pipeline, GatewayProcess, ClientSession], zipkin_server: Zipkin
) -> None:
    pipe, _, http = site
    await pipe.send_to([(0, b"no event")])
    (letter,) = await pipe.until(topics.DEAD_LETTERS, 1)
    (span,) = await spans_of(zipkin_server, coordinate_id(topics.SIGNALS_IN, 0, 0), 1)
    reason = header_of(letter, names.DEAD_REASON)
    assert (span["tags"]["error"], span["tags"]["hopline.why"]) == (reason, "dead_lettered")
    assert "parentId" not in span
    wish = {**WISH, "name": "hopline.directive.cancel", "data": {"key": "nobody's"}}
    async with http.post("/v1/directives", json=wish, headers={"Prefer": "wait=30"}) as answer:
        assert (await answer.json())["status"] == "failed"
    (told,) = await pipe.until(topics.SIGNALS, 1)
    begun = json.loads(told.value)["causationid"]
    found: list[dict[str, Any]] = []

    def told_of_it() -> bool:
        found[:] = [
            each
            for spans in zipkin_server.traces("hopline-worker", "process directives")
            for each in spans
            if each["tags"].get("cloudevents.event_id") == begun and "error" in each["tags"]
        ]
        return bool(found)

    await until(told_of_it, lambda: "Zipkin has no span of the directive that failed")
    assert found[0]["tags"]["hopline.why"] == "failed"
    assert found[0]["tags"]["error"]
    async with http.post("/v1/signals", data=event("acme", 1), headers=STRUCTURED) as answer:
        assert answer.status == 202
    _, last = await pipe.until(topics.SIGNALS, 2)
    assert zipkin_server.trace(json.loads(last.value)["traceparent"][3:35]) == [], "an ordinary one has none"
