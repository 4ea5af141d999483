"""The API's document says what the API does: routes, statuses, bodies. Checked by hand and by schemathesis."""

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from jsonschema_rs import validator_for
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import positive_data_acceptance

from streams.gateway import openapi
from streams.gateway.service import Serving
from streams.history.store import home_of
from streams.metrics import Metrics
from streams.settings import Settings
from tests.streams.gateway import keyed
from tests.streams.gateway.played import BATCH, Site, event, listening
from tests.streams.watch import test_api

LANES: Final = 4
READY_SECONDS_MAX: Final = 60.0
LOOK_SECONDS: Final = 0.05
REQUEST_SECONDS_MAX: Final = 20
EXAMPLES: Final = 40
DOCUMENT: Final = openapi.document()


def resolved(node: Any) -> Any:
    """Return a part of the document with what it refers to put in its place."""
    if isinstance(node, dict):
        if "$ref" in node:
            found: Any = DOCUMENT
            for step in node["$ref"].removeprefix("#/").split("/"):
                found = found[step]
            return resolved(found)
        return {name: resolved(value) for name, value in node.items()}
    return [resolved(value) for value in node] if isinstance(node, list) else node


async def test_every_route_stands_in_the_document_and_the_reverse() -> None:
    async with keyed.listening() as site:
        routes = {
            (route.method.lower(), route.resource.canonical) for route in site.app.router.routes() if route.resource
        }
    # What answers GET answers HEAD, without a body.
    served = {(method, path) for method, path in routes if method != "head"}
    documented = {(method, path) for path, item in DOCUMENT["paths"].items() for method in item}
    assert served == documented


def test_the_document_is_whole() -> None:
    operations = [operation for item in DOCUMENT["paths"].values() for operation in item.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(set(ids)) == len(ids)
    for operation in operations:
        assert operation["summary"]
        for status, answer in resolved(operation["responses"]).items():
            assert answer["description"]
            for content in answer["content"].values():
                validator_for({"$schema": "https://json-schema.org/draft/2020-12/schema", **content["schema"]})
            if status == "429":
                assert "Retry-After" in answer["headers"]
    used = json.dumps(DOCUMENT["paths"]) + json.dumps(DOCUMENT["components"])
    for kind in ("schemas", "responses"):
        for name in DOCUMENT["components"][kind]:
            assert f'"#/components/{kind}/{name}"' in used, f"{name} is referred to by nobody"


def fits(path: str, method: str, status: int, said: Any) -> None:
    """Fail if an answer is not as the document says."""
    answers = resolved(DOCUMENT["paths"][path][method]["responses"])
    (content,) = answers[str(status)]["content"].values()
    validator_for(content["schema"]).validate(said)


async def test_answers_are_as_the_document_says() -> None:
    async with listening(gateway_batch_events_max=5) as site:
        for content, headers in (
            (event(), None),
            ([event(1), event(2, type="")], BATCH),
            ([event(1)], BATCH),
            ([event(1, type="")], BATCH),
            (b"{", None),
            (b"x", {"Content-Type": "text/plain"}),
            (b" " * 2_000_000, None),
        ):
            status, said, _ = await site.post(content, headers)
            fits("/v1/signals", "post", status, said)
        site.outlet.away = "Kafka is away."
        status, said, _ = await site.post(event())
        assert status == 503
        fits("/v1/signals", "post", status, said)
        for path in ("/v1/schemas", "/v1/limits", "/healthz", "/readyz", "/openapi.json"):
            await _get(site, path, path)
        await _get(site, "/v1/schemas/{name}", "/v1/schemas/cloudevent")
        await _get(site, "/v1/schemas/{name}", "/v1/schemas/none")


async def _get(site: Site, path: str, url: str) -> None:
    async with site.client.get(url) as answer:
        fits(path, "get", answer.status, json.loads(await answer.read()))


class InAThread:
    """A gateway on a loop of its own, for a client that blocks."""

    def __init__(self, kafka: str, prefix: str, folder: Path) -> None:
        self._settings = Settings(kafka=kafka, topic_prefix=prefix, lanes=LANES, gateway_port=0, data_dir=folder)
        home = home_of(self._settings)
        home.writer(generation := home.fresh()).close()
        home.publish(generation)
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self.url = ""

    async def _serve(self) -> None:
        async with test_api.listening() as watch:
            url = f"http://127.0.0.1:{watch.client.port}"
            await self._serve_with(self._settings.model_copy(update={"watch_url": url}))

    async def _serve_with(self, settings: Settings) -> None:
        async with Serving(settings, settings.kafka, Metrics()) as serving:
            async with asyncio.timeout(READY_SECONDS_MAX):
                while await serving.outlet.probe():  # noqa: ASYNC110 - it is asked, it does not tell
                    await asyncio.sleep(LOOK_SECONDS)
            self.url = serving.url
            self._ready.set()
            await self._stop.wait()  # forever: until `close`

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(READY_SECONDS_MAX), "the gateway did not find Kafka"

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(READY_SECONDS_MAX)
        self._loop.close()


@pytest.fixture(scope="module")
def url(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    gateway = InAThread(kafka, "test-openapi-", tmp_path_factory.mktemp("gateway"))
    gateway.start()
    yield gateway.url
    gateway.close()


SCHEMA: Final = schemathesis.openapi.from_dict(DOCUMENT)


@pytest.mark.kafka
@pytest.mark.slow
@SCHEMA.exclude(path=["/v1/tail", "/v1/alerts/events"]).parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_schemathesis_finds_nothing(case: "schemathesis.Case[Any]", url: str) -> None:
    response: Response = case.call(base_url=url, timeout=REQUEST_SECONDS_MAX)
    assert response.status_code != 500
    # The schema of an event is necessary, not sufficient: URIs, bytes and media types have rules beyond it.
    case.validate_response(response, excluded_checks=[positive_data_acceptance])
