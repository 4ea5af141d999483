"""The way into a real Kafka: what is answered is there, and an outage is survived without a restart."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.structs import TopicPartition

from processors.vocabulary import topics
from processors.vocabulary.partition import lane_of
from streams.broker.config import BrokerSettings
from streams.broker.embedded import EmbeddedKafka
from streams.changelog import committed_consumer, read_range
from streams.gateway.errors import PortTakenError
from streams.gateway.outlet import SEND_SECONDS_MAX
from streams.gateway.service import Serving
from streams.metrics import Metrics
from streams.settings import KafkaSettings, Settings

LANES = 4
STRUCTURED = {"Content-Type": "application/cloudevents+json"}
BACK_SECONDS_MAX = 60
LOOK_SECONDS = 0.05


def settings_for(kafka: str, prefix: str = "", **more: Any) -> Settings:
    return Settings(kafka=kafka, topic_prefix=prefix, lanes=LANES, gateway_port=0, **more)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def post(http: aiohttp.ClientSession, url: str, number: int, tenant: str = "t") -> tuple[int, dict[str, Any]]:
    event = {"specversion": "1.0", "id": str(number), "source": "/s", "type": "a.b", "tenantid": tenant}
    async with http.post(f"{url}/v1/signals", data=json.dumps(event), headers=STRUCTURED) as answer:
        return answer.status, await answer.json(content_type=None)


async def until_accepted(http: aiohttp.ClientSession, url: str, number: int) -> dict[str, Any]:
    async with asyncio.timeout(BACK_SECONDS_MAX):
        while True:
            status, said = await post(http, url, number)
            if status == 202:
                return said
            assert status == 503
            await asyncio.sleep(LOOK_SECONDS)


async def ready(http: aiohttp.ClientSession, url: str) -> bool:
    async with http.get(f"{url}/readyz") as answer:
        return answer.status == 200


async def until_ready(http: aiohttp.ClientSession, url: str) -> None:
    """Wait until it says that it is ready: it reads the API keys in a task of their own."""
    async with asyncio.timeout(BACK_SECONDS_MAX):
        while not await ready(http, url):  # noqa: ASYNC110  # it tells who asks
            await asyncio.sleep(LOOK_SECONDS)


async def all_records(kafka: str, topic: str) -> list[Any]:
    found: list[Any] = []
    async with committed_consumer(KafkaSettings(kafka)) as consumer:
        for lane in range(LANES):
            partition = TopicPartition(topic, lane)
            consumer.assign([partition])
            end = (await consumer.end_offsets([partition]))[partition]
            async for records in read_range(consumer, partition, 0, end):
                found += records
    return found


@pytest.mark.kafka
async def test_what_was_answered_stands_where_it_says_keyed_by_its_tenant(
    kafka: str, unique: str, http: aiohttp.ClientSession
) -> None:
    settings = settings_for(kafka, unique)
    async with Serving(settings, kafka, Metrics()) as serving:
        first = await until_accepted(http, serving.url, 0)
        await until_ready(http, serving.url)
        answers = await asyncio.gather(*(post(http, serving.url, n, f"t{n % 7}") for n in range(1, 200)))
    assert {status for status, _ in answers} == {202}
    records = {
        (record.partition, record.offset): record
        for record in await all_records(kafka, settings.topics.physical(topics.SIGNALS_IN))
    }
    assert len(records) == 200
    for said in [first, *(said for _, said in answers)]:
        record = records[said["lane"], said["offset"]]
        assert json.loads(record.value)["id"] == said["id"]
        assert record.key == said["tenant"].encode()
        assert record.partition == lane_of(record.key, LANES)


@pytest.mark.kafka
async def test_batches_are_packed_and_each_event_stands_where_it_says(
    kafka: str, unique: str, http: aiohttp.ClientSession
) -> None:
    settings = settings_for(kafka, unique)
    large = "x" * 60_000

    async def send(http: aiohttp.ClientSession, url: str, run: int) -> list[dict[str, Any]]:
        events = [
            {
                "specversion": "1.0",
                "id": f"{run}-{n}",
                "source": "/s",
                "type": "a.b",
                "tenantid": f"t{n % 5}",
                "data": large,
            }
            for n in range(30)
        ]
        headers = {"Content-Type": "application/cloudevents-batch+json"}
        async with http.post(f"{url}/v1/signals", data=json.dumps(events), headers=headers) as answer:
            assert answer.status == 202
            found: list[dict[str, Any]] = (await answer.json())["items"]
        return found

    async with Serving(settings, kafka, Metrics()) as serving:
        await until_accepted(http, serving.url, 0)
        items = [
            item for said in await asyncio.gather(*(send(http, serving.url, run) for run in range(6))) for item in said
        ]
    records = await all_records(kafka, settings.topics.physical(topics.SIGNALS_IN))
    stands = {(record.partition, record.offset): json.loads(record.value)["id"] for record in records}
    assert len(records) == 181
    assert all(stands[item["lane"], item["offset"]] == item["id"] for item in items)
    by_tenant: dict[bytes, list[str]] = {}
    for record in records:
        by_tenant.setdefault(record.key, []).append(json.loads(record.value)["id"])
    for ids in by_tenant.values():
        for run in range(6):
            ours = [int(id_.partition("-")[2]) for id_ in ids if id_.startswith(f"{run}-")]
            assert ours == sorted(ours), "a request's events keep their order"


@pytest.mark.kafka
async def test_topics_that_do_not_fit_are_said_by_readyz(kafka: str, unique: str, http: aiohttp.ClientSession) -> None:
    async with Serving(settings_for(kafka, unique), kafka, Metrics()) as serving:
        await until_accepted(http, serving.url, 0)
    wrong = Settings(kafka=kafka, topic_prefix=unique, lanes=LANES + 1, gateway_port=0)
    async with Serving(wrong, kafka, Metrics()) as serving, asyncio.timeout(BACK_SECONDS_MAX):
        said = ""
        while "HOPLINE_LANES" not in said:
            async with http.get(f"{serving.url}/readyz") as answer:
                assert answer.status == 503
                said = await answer.text()


async def test_without_a_kafka_it_lives_and_refuses_at_once(http: aiohttp.ClientSession) -> None:
    async with Serving(settings_for("127.0.0.1:1"), "127.0.0.1:1", Metrics()) as serving:
        async with asyncio.timeout(SEND_SECONDS_MAX):
            assert (await post(http, serving.url, 1))[0] == 503
        async with http.get(f"{serving.url}/healthz") as alive:
            assert alive.status == 200


async def test_a_port_that_is_taken_is_said_to_be() -> None:
    async with Serving(settings_for("127.0.0.1:1"), "127.0.0.1:1", Metrics()) as serving:
        port = int(serving.url.rpartition(":")[2])
        taken = Settings(kafka="127.0.0.1:1", gateway_port=port)
        with pytest.raises(PortTakenError, match="HOPLINE_GATEWAY_PORT"):
            async with Serving(taken, "127.0.0.1:1", Metrics()):
                pass


async def test_what_the_outlet_uses_of_aiokafka_beyond_its_documentation_is_there() -> None:
    producer = AIOKafkaProducer(enable_idempotence=True)
    assert producer._sender.sender_task is None
    assert callable(producer.client.close)
    assert callable(producer.client.force_metadata_update)
    assert producer._closed is False
    producer._closed = True


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[EmbeddedKafka]:
    """A Kafka of this test's own, for it is going to suffer."""
    made = EmbeddedKafka(BrokerSettings(tmp_path, heap_megabytes=256))
    await asyncio.to_thread(made.start)
    yield made
    await asyncio.to_thread(made.stop)


@pytest.mark.slow
@pytest.mark.kafka
async def test_an_outage_is_answered_with_503_and_ends_by_itself(
    broker: EmbeddedKafka, http: aiohttp.ClientSession, capsys: pytest.CaptureFixture[str]
) -> None:
    kafka = broker.bootstrap
    accepted: list[str] = []

    async def outage(begin: Callable[[], Any], end: Callable[[], Any]) -> None:
        accepted.append((await until_accepted(http, serving.url, len(accepted)))["id"])
        await asyncio.to_thread(begin)
        async with asyncio.timeout(2 * SEND_SECONDS_MAX):
            status, said = await post(http, serving.url, 10_000 + len(accepted))
        assert status == 503
        assert said["id"], "its fate is unknown, so it can be sent again"
        # Now it is known to be away, so nobody waits.
        async with asyncio.timeout(SEND_SECONDS_MAX / 2):
            assert (await post(http, serving.url, 20_000))[0] == 503
            assert not await ready(http, serving.url)
        await asyncio.to_thread(end)
        accepted.append((await until_accepted(http, serving.url, len(accepted)))["id"])
        await until_ready(http, serving.url)

    async with Serving(settings_for(kafka), kafka, Metrics()) as serving:
        await outage(broker.kill, broker.start)
        process = psutil.Process(broker.pid)
        await outage(lambda: process.send_signal(signal.SIGSTOP), lambda: process.send_signal(signal.SIGCONT))
    there = [json.loads(record.value)["id"] for record in await all_records(kafka, topics.SIGNALS_IN)]
    assert set(accepted) <= set(there)
    assert "never retrieved" not in capsys.readouterr().err
