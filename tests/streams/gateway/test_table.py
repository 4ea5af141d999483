"""The `access` topic reaches every gateway: what was there, what comes, what goes; and a limit set by directive."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from aiokafka import AIOKafkaProducer

from processors.admission import Channel, Limit, Tier
from processors.admission.table import DEFAULTS
from processors.vocabulary import topics
from streams.access import read_access
from streams.admin import ensure_topics
from streams.gateway.service import Serving
from streams.gateway.table import AccessTable
from streams.metrics import Metrics
from streams.settings import KafkaSettings, Settings
from streams.topics import TopicNames
from tests.integration.pipeline import pipeline

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

LANES: Final = 2
SECONDS_MAX: Final = 60.0
LOOK_SECONDS: Final = 0.05
HEADERS: Final = {"Content-Type": "application/cloudevents+json"}


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while not condition():  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(LOOK_SECONDS)


async def write(kafka: str, prefix: str, *records: tuple[str, bytes | None]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all")
    await producer.start()
    try:
        for number, (key, value) in enumerate(records):
            lane = number % LANES
            await producer.send_and_wait(prefix + topics.ACCESS, value, key=key.encode(), partition=lane)
    finally:
        await producer.stop()


async def test_what_was_there_is_told_then_what_comes_and_what_goes(kafka: str, unique: str) -> None:
    prefix = f"{unique}."
    names = TopicNames(prefix)
    told: dict[str, bytes | None] = {}
    other: list[str] = []
    table = AccessTable(KafkaSettings(kafka), names, lanes=LANES)
    table.subscribe("limits/", told.__setitem__)
    table.subscribe("keys/", lambda key, _: other.append(key))
    table.subscribe("limits/c", lambda *_: 1 / 0)
    table.start()
    try:
        # The topic comes later than the gateway.
        await ensure_topics(KafkaSettings(kafka), names, lanes=LANES, replication=1, min_insync_replicas=1)
        await write(kafka, prefix, ("limits/a", b"1"), ("keys/x", b"k"), ("limits/a", b"2"))
        await until(lambda: told.get("limits/a") == b"2")
        assert other == ["keys/x"]
        await until(table.complete.is_set)
        await write(kafka, prefix, ("limits/b", b"3"), ("limits/c", b"bad"), ("limits/b", None))
        # Same key, same lane: in order.
        await until(lambda: "limits/c" in told and told.get("limits/b", b"") is None)
        found = await read_access(KafkaSettings(kafka), names, LANES)
        assert found == {"limits/a": b"2", "keys/x": b"k", "limits/c": b"bad"}
    finally:
        await table.close()


async def test_what_has_gone_meanwhile_is_told_as_gone() -> None:
    told: dict[str, bytes | None] = {}
    table = AccessTable(KafkaSettings("nobody:1"), TopicNames(), lanes=1)
    table.subscribe("", told.__setitem__)

    class Record:
        def __init__(self, key: str, value: bytes | None) -> None:
            self.key, self.value = key.encode(), value

    class Consumer:
        """One that has read all of a topic at once."""

        def __init__(self, *records: Record) -> None:
            self.records: list[Any] = list(records)

        def assign(self, _: Any) -> None: ...

        async def seek_to_beginning(self, *_: Any) -> None: ...

        async def end_offsets(self, places: Any) -> Any:
            return dict.fromkeys(places, 1)

        async def position(self, _: Any) -> int:
            return 1

        async def getmany(self, *places: Any, timeout_ms: int) -> Any:
            assert timeout_ms
            if not self.records:
                raise OSError
            records, self.records = self.records, []
            return {places[0]: records}

    for records in ([Record("a", b"1"), Record("b", b"2")], [Record("a", b"1")]):
        with pytest.raises(OSError):  # noqa: PT011  # the end of the play
            await table._follow(Consumer(*records))
    assert told == {"a": b"1", "b": None}


async def test_a_limit_set_by_directive_is_in_force_at_a_gateway_that_runs(
    kafka: str, unique: str, tmp_path: Path
) -> None:
    with pipeline(kafka, unique, tmp_path) as pipe:
        await pipe.prepare()
        await pipe.start().ready()
        settings = Settings(
            kafka=kafka, topic_prefix=pipe.prefix, lanes=pipe.lanes, gateway_port=0, gateway_local_limits=True
        )
        async with Serving(settings, kafka, Metrics()) as serving, aiohttp.ClientSession() as http:
            table = serving.gateway.admission.limiter.table
            assert table.of(Channel.SIGNALS, Tier.NORMAL) == DEFAULTS[Channel.SIGNALS, Tier.NORMAL]
            await until(lambda: not serving.outlet.away)
            wanted = {"channel": "signals", "tier": "normal", "rate_per_second": 0.01, "burst": 3}
            directive = {
                "specversion": "1.0",
                "id": "d1",
                "source": "/test",
                "type": "hopline.gateway.limit.set",
                "tenantid": "_system",
                "data": wanted,
            }
            sent = time.monotonic()
            await pipe.send([("_system", json.dumps(directive).encode())], topic=topics.COMMANDS)
            await until(lambda: table.of(Channel.SIGNALS, Tier.NORMAL) == Limit(0.01, 3))
            assert time.monotonic() - sent < SECONDS_MAX
            found = []
            for number in range(5):
                event = {"specversion": "1.0", "id": str(number), "source": "/s", "type": "a.b", "tenantid": "t"}
                async with http.post(f"{serving.url}/v1/signals", json=event, headers=HEADERS) as answer:
                    found.append(answer.status)
            assert found == [202, 202, 202, 429, 429]
        records = await pipe.until(topics.SIGNALS, 4)
        assert sum(b"hopline.directive.succeeded" in record.value for record in records) == 1
