"""A gateway over a Kafka that is played, and a client of it."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families

from streams.gateway.intake import Entry
from streams.gateway.outlet import Outlet, OutletError, Written
from streams.gateway.server import Gateway
from streams.metrics import Metrics
from streams.settings import Settings

STRUCTURED = {"Content-Type": "application/cloudevents+json"}
BATCH = {"Content-Type": "application/cloudevents-batch+json"}
SIGNALS = "/v1/signals"


class PlayedOutlet:
    """Takes events as told: at once, never, only when let, or not at all."""

    def __init__(self) -> None:
        self.away = ""
        self.broken = False
        self.taken: list[Entry] = []
        self.failures: dict[str, OutletError] = {}
        self.lets = asyncio.Event()
        self.lets.set()

    async def send(self, entries: Sequence[Entry]) -> list[Written | OutletError]:
        if self.broken:
            raise ZeroDivisionError
        async with asyncio.timeout(10):
            await self.lets.wait()  # forever: but for the limit around it
        found: list[Written | OutletError] = []
        for entry in entries:
            if entry.id in self.failures:
                found.append(self.failures[entry.id])
            else:
                self.taken.append(entry)
                found.append(Written(3, len(self.taken) - 1))
        return found

    async def probe(self) -> str:
        return self.away


class Site:
    """A gateway that listens, its played outlet, and a client."""

    def __init__(self, gateway: Gateway, outlet: PlayedOutlet, client: "TestClient[Any, Any]") -> None:
        self.gateway = gateway
        self.outlet = outlet
        self.client = client

    async def post(
        self, content: Any, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, Any], ClientResponse]:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        async with self.client.post(SIGNALS, data=body, headers=headers or STRUCTURED) as answer:
            return answer.status, json.loads(await answer.read()), answer

    async def metric(self, name: str, **labels: str) -> float:
        async with self.client.get("/metrics") as answer:
            families = text_string_to_metric_families(await answer.text())
        samples = [sample for family in families for sample in family.samples if sample.name == name]
        return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())


@asynccontextmanager
async def listening(**settings: Any) -> AsyncIterator[Site]:
    outlet = PlayedOutlet()
    gateway = Gateway(Settings(**settings), cast("Outlet", outlet), Metrics())
    server = TestServer(gateway.application(), auto_decompress=False)
    async with TestClient(server) as client:
        yield Site(gateway, outlet, client)


def event(number: int = 1, **attributes: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": f"e{number}", "source": "/s", "type": "a.b", "tenantid": "t", **attributes}
