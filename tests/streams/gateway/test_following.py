"""The keys are followed through an outage: what is known holds meanwhile, and what changed is in force after it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiokafka import AIOKafkaProducer
from pydantic import SecretStr

from processors.directives import audit
from processors.directives.audit import Told
from processors.directives.record import KEPT_MS, Directive, Head, Status
from processors.vocabulary import topics
from processors.vocabulary.access import AccessKey, pack
from processors.vocabulary.partition import lane_of
from streams.broker.config import BrokerSettings
from streams.broker.embedded import EmbeddedKafka
from streams.gateway import ends
from streams.gateway.ends import Ends
from streams.gateway.service import Serving
from streams.keys import Pepper, new_key
from streams.metrics import Metrics
from streams.settings import Settings

LANES = 2
SECONDS_MAX = 60
LOOK_SECONDS = 0.05
KINDS = "/v1/directive-kinds"


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[EmbeddedKafka]:
    """A Kafka of this test's own, for it is going to be killed."""
    made = EmbeddedKafka(BrokerSettings(tmp_path, heap_megabytes=256))
    await asyncio.to_thread(made.start)
    yield made
    await asyncio.to_thread(made.stop)


async def write(kafka: str, key: AccessKey, value: bytes | None) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all")
    await producer.start()
    try:
        lane = lane_of(key.tenant.encode(), LANES)
        await producer.send_and_wait(topics.ACCESS, value, key=key.name, partition=lane)
    finally:
        await producer.stop()


@pytest.mark.slow
@pytest.mark.kafka
async def test_a_gateway_that_has_lost_kafka_serves_by_what_it_knows(broker: EmbeddedKafka, tmp_path: Path) -> None:
    kafka = broker.bootstrap
    settings = Settings(
        kafka=kafka,
        lanes=LANES,
        gateway_port=0,
        require_keys=True,
        data_dir=tmp_path,
        secret_key=SecretStr("for this test, forty characters are enough"),
    )
    pepper = Pepper.of(settings)
    secrets = [new_key(f"{number:010d}") for number in range(2)]
    first, second = (
        AccessKey("acme", secret.split("_")[1], pepper.hash(secret), ("*",), created_ms=1) for secret in secrets
    )
    async with Serving(settings, kafka, Metrics()) as serving, aiohttp.ClientSession() as http:

        async def status(path: str, secret: str = "") -> int:
            headers = {"Authorization": f"Bearer {secret}"} if secret else {}
            async with http.get(serving.url + path, headers=headers) as answer:
                return answer.status

        async def until(path: str, wanted: int, secret: str = "") -> None:
            async with asyncio.timeout(SECONDS_MAX):
                while await status(path, secret) != wanted:  # noqa: ASYNC110  # a broker's doing
                    await asyncio.sleep(LOOK_SECONDS)

        await until("/readyz", 200)
        await write(kafka, first, pack(first))
        await write(kafka, second, pack(second))
        for secret in secrets:
            await until(KINDS, 200, secret)
        await asyncio.to_thread(broker.kill)
        await until("/readyz", 503)
        for secret in secrets:
            assert await status(KINDS, secret) == 200
        assert await status(KINDS, new_key("0000000bad")) == 401
        await asyncio.to_thread(broker.start)
        await until("/readyz", 200)
        await write(kafka, first, None)
        await until(KINDS, 401, secrets[0])
        assert await status(KINDS, secrets[1]) == 200


def line(key: str, status: Status, at_ms: int, tenant: str = "acme", *, kept: bool = True) -> Any:
    directive = Directive(key, "hopline.limit.set", "e", "e", "kafka", b"f", b"{}", at_ms, 0, 0, status)
    value = audit.extend(Head(), tenant, directive, at_ms, Told(kept=kept))
    return SimpleNamespace(key=tenant.encode(), value=value, partition=0, offset=0)


def test_ends_are_bounded_for_each_tenant_and_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ends, "TENANT_ENDS_MAX", 3)
    monkeypatch.setattr(ends, "ENDS_MAX", 5)
    known = Ends()
    for number in range(5):
        known.take(line(f"k{number}", Status.SUCCEEDED, number + 1))
    assert [end.key for end in known.of("acme", 10, 10)] == ["k4", "k3", "k2"]
    for number in range(4):
        known.take(line(f"k{number}", Status.SUCCEEDED, 10, f"tenant-{number}"))
    assert len(known._all) == 5
    assert [end.key for end in known.of("acme", 10, 10)] == ["k4"]
    assert known.find("acme", "k2", 10) is None
    assert sum(map(len, known._mine.values())) == 5


def test_what_is_read_anew_holds_when_it_is_complete() -> None:
    known = Ends()
    known.take(line("old", Status.SUCCEEDED, 1))
    known.begin()
    known.take(line("new", Status.SUCCEEDED, 1))
    assert known.find("acme", "old", 2) is not None
    assert known.find("acme", "new", 2) is None
    known.complete()
    assert known.find("acme", "old", 2) is None
    assert known.find("acme", "new", 2) is not None


def test_what_ended_a_week_ago_is_not_shown_and_a_foreign_answer_never() -> None:
    known = Ends()
    known.take(line("k", Status.SUCCEEDED, 1))
    known.take(line("k", Status.REJECTED, 2, kept=False))
    found = known.find("acme", "k", 2)
    assert found is not None
    assert found.status is Status.SUCCEEDED
    assert known.find("acme", "k", 1 + KEPT_MS) is None
    assert not known.of("acme", 1 + KEPT_MS, 10)
    known.take(SimpleNamespace(key=b"acme", value=b"no line", partition=0, offset=0))
    assert known.find("acme", "k", 2) == found
