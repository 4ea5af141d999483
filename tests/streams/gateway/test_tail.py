"""The live tail over real sockets: who hears what, who is refused, who is cut off."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from aiohttp import ClientResponse, ClientSession, WSMsgType, web
from aiohttp.test_utils import TestClient, TestServer
from aiokafka import AIOKafkaProducer

from processors.vocabulary.permissions import SIGNAL_READ
from streams.admin import KafkaAwayError
from streams.gateway import tail
from streams.gateway.caller import KEY as CALLER
from streams.gateway.caller import Caller
from streams.gateway.outlet import Outlet
from streams.gateway.server import Gateway
from streams.gateway.service import Serving
from streams.gateway.tail import PATH, Tail
from streams.live import feed as feeds
from streams.live.feed import Feed
from streams.live.reader import LiveReader
from streams.metrics import Metrics
from streams.settings import Settings
from tests.streams.gateway.played import PlayedOutlet

LOOK_SECONDS = 0.01


class PlayedReader:
    """Says it is ready, or that Kafka is away."""

    def __init__(self) -> None:
        self.away = ""

    async def ready(self) -> None:
        if self.away:
            raise KafkaAwayError(self.away)

    async def close(self) -> None:
        return


class Site:
    """A gateway that listens, and what its tail is fed."""

    def __init__(self, client: "TestClient[Any, Any]", feed: Feed, reader: PlayedReader) -> None:
        self.client = client
        self.feed = feed
        self.reader = reader

    def give(self, number: int, tenant: str = "ann", type_: str = "a.b", topic: str = "signals", size: int = 0) -> None:
        self.feed.give(topic, tenant, type_, lambda: {"n": number, "x": "y" * size})


@asynccontextmanager
async def listening(caller: Caller | None = None) -> AsyncIterator[Site]:
    feed, reader = Feed(), PlayedReader()
    part = Tail(feed, cast("LiveReader", reader))
    gateway = Gateway(Settings(), cast("Outlet", PlayedOutlet()), Metrics(), (part,))
    app = gateway.application()

    @web.middleware
    async def known(request: web.Request, handler: Any) -> web.StreamResponse:
        if caller is not None:
            request[CALLER] = caller
        answer: web.StreamResponse = await handler(request)
        return answer

    app.middlewares.append(known)
    async with TestClient(TestServer(app)) as client:
        yield Site(client, feed, reader)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  # what another task does tells no event
            await asyncio.sleep(LOOK_SECONDS)


async def event(answer: ClientResponse) -> tuple[str, Any]:
    """Read the next server-sent event; a sign of life is one without a name."""
    async with asyncio.timeout(10):
        lines = []
        while line := (await answer.content.readline()).decode().rstrip("\n"):
            lines.append(line)
    fields = dict(line.split(": ", 1) for line in lines)
    return fields.get("event", ""), json.loads(fields.get("data", "null"))


async def test_events_come_as_they_happen() -> None:
    async with listening() as site, site.client.get(PATH, params={"tenant": "ann", "type": "a.*"}) as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert await event(answer) == ("hello", {})
        site.give(1)
        site.give(2, tenant="bob")
        site.give(3, type_="a")
        site.give(4, topic="dead-letters")
        assert await event(answer) == ("signals", {"n": 1, "x": ""})
        assert await event(answer) == ("dead-letters", {"n": 4, "x": ""})


async def test_a_websocket_hears_the_same_and_is_not_to_talk() -> None:
    async with listening() as site, site.client.ws_connect(PATH, params={"topic": "signals"}) as socket:
        assert await socket.receive_json(timeout=5) == {"kind": "hello", "what": {}}
        site.give(1, topic="dead-letters")
        site.give(2)
        assert await socket.receive_json(timeout=5) == {"kind": "signals", "what": {"n": 2, "x": ""}}
        await socket.send_str("more!")
        said = await socket.receive(timeout=5)
        assert (said.type, socket.close_code) == (WSMsgType.CLOSE, 1008)


async def test_who_has_left_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "BEAT_SECONDS", 0.05)
    async with listening() as site:
        async with site.client.get(PATH) as answer:
            assert (await event(answer))[0] == "hello"
            assert (await event(answer))[0] == ""
            assert len(site.feed) == 1
        socket = await site.client.ws_connect(PATH)
        await socket.close()
        await until(lambda: not len(site.feed))


async def test_who_does_not_read_misses_and_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "SLOW_SECONDS_MAX", 0.3)
    monkeypatch.setattr(feeds, "QUEUE_EVENTS_MAX", 10)
    async with listening() as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.client.port, limit=1)
        writer.write(f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        async with asyncio.timeout(20):
            await until(lambda: len(site.feed) == 1)
            while len(site.feed):
                site.give(1, size=100_000)
                await asyncio.sleep(LOOK_SECONDS)
            # Cut off: what is left ends with a reset, or without the stream's end.
            left = b""
            try:
                while piece := await reader.read(1_000_000):
                    left = (left + piece)[-16:]
            except ConnectionResetError:
                pass
            assert not left.endswith(b"0\r\n\r\n")
        writer.close()


async def test_a_slow_one_is_told_what_it_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "QUEUE_EVENTS_MAX", 2)
    async with listening() as site, site.client.get(PATH) as answer:
        await event(answer)
        for number in range(5):
            site.give(number)
        assert await event(answer) == ("missed", {"missed": 3, "skipped": 0})
        assert [(await event(answer))[1]["n"] for _ in range(2)] == [3, 4]


@pytest.mark.parametrize(
    "query, field",
    [
        ({"tenant": "a b"}, "tenant"),
        ({"type": "a..b"}, "type"),
        ({"topic": "state"}, "topic"),
        ({"secret": "x"}, "secret"),
    ],
)
async def test_a_wrong_query_is_told_by_field(query: dict[str, str], field: str) -> None:
    async with listening() as site, site.client.get(PATH, params=query) as answer:
        assert answer.status == 400
        assert [problem["field"] for problem in (await answer.json())["problems"]] == [field]
        assert not len(site.feed)


async def test_nobody_hears_another_tenant() -> None:
    bound = Caller("key:abc", tenant="ann", permissions=frozenset({SIGNAL_READ}))
    async with listening(bound) as site:
        async with site.client.get(PATH, params={"tenant": "bob"}) as answer:
            assert answer.status == 403
        async with site.client.get(PATH, params={"tenant": ""}) as answer:
            assert answer.status == 403
        async with site.client.get(PATH) as answer:
            await event(answer)
            site.give(1, tenant="bob")
            site.give(2, tenant="ann")
            assert (await event(answer))[1]["n"] == 2


async def test_without_the_permission_nothing_is_heard() -> None:
    bound = Caller("key:abc", permissions=frozenset({"signal:write"}))
    async with listening(bound) as site, site.client.get(PATH) as answer:
        assert answer.status == 403
        assert SIGNAL_READ in (await answer.json())["detail"]


async def test_a_page_of_another_site_cannot_listen() -> None:
    async with listening() as site:
        url = site.client.make_url(PATH)
        async with ClientSession() as session:
            for origin, status in (("https://evil.example", 403), (str(url.origin()), 101)):
                headers = {"Origin": origin, "Upgrade": "websocket", "Connection": "Upgrade"}
                headers |= {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg=="}
                async with session.get(url, headers=headers) as answer:
                    assert answer.status == status


async def test_kafka_away_is_said() -> None:
    async with listening() as site:
        site.reader.away = "no answer"
        async with site.client.get(PATH) as answer:
            assert answer.status == 503
            assert answer.headers["Retry-After"] == "2"
        assert not len(site.feed)


@pytest.mark.kafka
async def test_what_is_committed_after_hello_is_heard(kafka: str, unique: str) -> None:
    settings = Settings(topic_prefix=unique, lanes=2, gateway_port=0)
    async with Serving(settings, kafka, Metrics()) as serving, ClientSession() as session:
        await until(lambda: not serving.outlet.away)
        async with session.get(serving.url + PATH, params={"tenant": "ann"}) as answer:
            assert (await event(answer))[0] == "hello"
            await written(kafka, unique)
            kind, found = await event(answer)
    assert (kind, found["type"], found["data"]) == ("signals", "a.b", {"n": 1})


async def written(kafka: str, prefix: str) -> None:
    """Write a signal as a lane does, and one of another tenant before it."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    try:
        for tenant in ("bob", "ann"):
            value: dict[str, Any] = {"specversion": "1.0", "id": "1", "source": "/s", "type": "a.b", "tenantid": tenant}
            value |= {"datacontenttype": "application/json", "data": {"n": 1}}
            headers = [("content-type", b"application/cloudevents+json")]
            await producer.send_and_wait(f"{prefix}signals", json.dumps(value).encode(), partition=0, headers=headers)
    finally:
        await producer.stop()
