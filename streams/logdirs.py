"""How much disk each partition takes: Kafka's DescribeLogDirs, which aiokafka's admin client does not have."""

import asyncio
import logging
from typing import Any, ClassVar, Final

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Int64, Schema, String
from typing_extensions import override

from streams.settings import KafkaSettings

log = logging.getLogger(__name__)

ASK_SECONDS_MAX: Final = 10.0
CLOSE_SECONDS_MAX: Final = 5.0
_API_KEY: Final = 35
_VERSION: Final = 1
"""The one version that all brokers from 1.0 to 4.x have and that needs no flexible fields."""


class _Answer(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = _API_KEY
    API_VERSION = _VERSION
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            Array(
                ("error_code", Int16),
                ("log_dir", String("utf-8")),
                (
                    "topics",
                    Array(
                        ("name", String("utf-8")),
                        (
                            "partitions",
                            Array(("index", Int32), ("size", Int64), ("offset_lag", Int64), ("is_future", Boolean)),
                        ),
                    ),
                ),
            ),
        ),
    )


class _Question(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = _API_KEY
    API_VERSION = _VERSION
    RESPONSE_TYPE = _Answer
    SCHEMA = Schema(("topics", Array(("name", String("utf-8")), ("partitions", Array(Int32)))))


class _DescribeLogDirs(Request[_Question]):  # type: ignore[misc]  # aiokafka has no types
    API_KEY: ClassVar[int] = _API_KEY

    def __init__(self, topics: dict[str, list[int]]) -> None:
        self._topics = list(topics.items())

    @override
    def build(self, request_struct_class: type[_Question]) -> _Question:
        return request_struct_class(self._topics)


async def sizes(kafka: KafkaSettings, topics: dict[str, list[int]]) -> dict[tuple[str, int], int]:
    """Return the bytes of each partition's largest copy. Empty where the cluster does not tell."""
    client = AIOKafkaClient(**kafka.client_options(), request_timeout_ms=int(ASK_SECONDS_MAX * 1_000))
    found: dict[tuple[str, int], int] = {}
    try:
        async with asyncio.timeout(ASK_SECONDS_MAX):
            await client.bootstrap()
            for broker in client.cluster.brokers():
                answer = await client.send(broker.nodeId, _DescribeLogDirs(topics))
                for at, size in _read(answer):
                    found[at] = max(size, found.get(at, 0))
    except (KafkaError, TimeoutError, OSError, NotImplementedError) as error:
        log.info("the cluster does not tell how large its topics are: %s", type(error).__name__)
    finally:
        async with asyncio.timeout(CLOSE_SECONDS_MAX):
            await client.close()
    return found


def _read(answer: Any) -> list[tuple[tuple[str, int], int]]:
    return [
        ((topic, index), size)
        for error, _, topics in answer.results
        if not error
        for topic, partitions in topics
        for index, size, _, is_future in partitions
        if not is_future
    ]
