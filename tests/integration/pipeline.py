"""A real worker process on a real cluster, with topics of its own: send, wait for conditions, read back."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition

from processors.vocabulary import topics
from processors.vocabulary.partition import lane_of
from processors.vocabulary.record import Headers
from streams.admin import ensure_topics
from streams.settings import KafkaSettings
from streams.topics import TopicNames

SECONDS_MAX: Final = 60.0
LOOK_SECONDS: Final = 0.1
PLAIN: Final = "streams.worker"
FAULTY: Final = "tests.integration.faulty_worker"


def event(tenant: str, number: int, **attributes: Any) -> bytes:
    """Return a structured event."""
    plain = {
        "specversion": "1.0",
        "id": f"{tenant}-{number}",
        "source": "/test",
        "type": "test.made",
        "tenantid": tenant,
        "data": {"number": number},
    }
    return json.dumps({**plain, **attributes}).encode()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True)
class Pipeline:
    """Topics under a prefix, and the workers on them."""

    kafka: str
    prefix: str
    data_dir: Path
    lanes: int = 2
    more: dict[str, str] = field(default_factory=dict)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def physical(self, topic: str) -> str:
        """Return the topic's name on the cluster."""
        return self.prefix + topic

    async def prepare(self) -> None:
        """Make the topics."""
        await ensure_topics(
            KafkaSettings(self.kafka),
            TopicNames(self.prefix),
            lanes=self.lanes,
            replication=1,
            min_insync_replicas=1,
        )

    def start(self, module: str = PLAIN, *, slot: int = 0) -> "WorkerProcess":
        """Start a worker and wait until it has its lanes."""
        port = free_port()
        settings = {
            "KAFKA": self.kafka,
            "TOPIC_PREFIX": self.prefix,
            "DATA_DIR": str(self.data_dir),
            "LANES": str(self.lanes),
            "SLOT": str(slot),
            "WEB_PORT": str(port - slot),
            "SESSION_TIMEOUT_MS": "6000",
            **self.more,
        }
        kept = {k: v for k, v in os.environ.items() if not k.startswith("HOPLINE_")}
        log = self.data_dir / f"worker-{len(self.workers)}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", module],
                env={**kept, **{f"HOPLINE_{name}": value for name, value in settings.items()}},
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self.workers.append(process)
        return WorkerProcess(process, port, log)

    async def send(self, values: Sequence[tuple[str, bytes | None]], **options: Any) -> None:
        """Send values to the lanes of the tenants named."""
        await self.send_to([(lane_of(tenant.encode(), self.lanes), value) for tenant, value in values], **options)

    async def send_to(
        self,
        values: Sequence[tuple[int, bytes | None]],
        *,
        topic: str = topics.SIGNALS_IN,
        headers: Headers = (),
    ) -> None:
        """Send values to lanes, and wait until they are there."""
        producer = AIOKafkaProducer(bootstrap_servers=self.kafka, acks="all", max_request_size=4_194_304)
        await producer.start()
        try:
            sent = [
                await producer.send(self.physical(topic), value, partition=lane, headers=list(headers))
                for lane, value in values
                if value is not None
            ]
            await asyncio.gather(*sent)
            for lane in [lane for lane, value in values if value is None]:
                # Neither key nor value: aiokafka's `send` refuses what other clients do send.
                batch = producer.create_batch()
                batch.append(timestamp=None, key=None, value=None)
                await (await producer.send_batch(batch, self.physical(topic), partition=lane))
        finally:
            await producer.stop()

    async def read(self, topic: str) -> list[Any]:
        """Return all committed records of a topic."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.kafka, isolation_level="read_committed", enable_auto_commit=False
        )
        await consumer.start()
        try:
            partitions = [TopicPartition(self.physical(topic), lane) for lane in range(self.lanes)]
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            ends = await consumer.end_offsets(partitions)
            found: list[Any] = []
            async with asyncio.timeout(SECONDS_MAX):
                while any([await consumer.position(p) < ends[p] for p in partitions]):
                    for records in (await consumer.getmany(timeout_ms=100)).values():
                        found += records
            return found
        finally:
            await consumer.stop()

    async def until(self, topic: str, count: int) -> list[Any]:
        """Wait until a topic has so many committed records; return them."""
        deadline = time.monotonic() + SECONDS_MAX
        while True:
            found = await self.read(topic)
            if len(found) >= count:
                return found
            if time.monotonic() > deadline:
                message = f"{topic} has {len(found)} of {count} records after {SECONDS_MAX:.0f} s"
                raise TimeoutError(message)
            await asyncio.sleep(LOOK_SECONDS)

    def end(self) -> None:
        """End every worker that is still there."""
        for process in self.workers:
            if process.poll() is None:
                process.kill()
            process.wait(timeout=SECONDS_MAX)


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """One worker."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def page(self, path: str) -> str:
        """Return one of its pages; an empty string while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    def metric(self, name: str) -> float:
        """Return the sum of a metric's series."""
        lines = [line for line in self.page("/metrics").splitlines() if line.startswith(name)]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    async def ready(self) -> "WorkerProcess":
        """Wait until it has taken over its lanes."""
        await until(lambda: self.page("/readyz").startswith("ready"), self._say)
        return self

    def _say(self) -> str:
        return f"the worker did not get ready:\n{self.log.read_text()[-4_000:]}"

    async def stop(self) -> int:
        """Ask it to stop; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return await self.ended()

    async def ended(self) -> int:
        """Wait for its end."""
        await until(lambda: self.process.poll() is not None, lambda: "the worker did not end")
        return int(self.process.returncode)


async def until(condition: Callable[[], bool], say: Callable[[], str], seconds: float = SECONDS_MAX) -> None:
    """Wait for a condition, within a bound."""
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(condition):
        if time.monotonic() > deadline:
            raise TimeoutError(say())
        await asyncio.sleep(LOOK_SECONDS)


@contextmanager
def pipeline(kafka: str, unique: str, data_dir: Path, **more: str) -> Iterator[Pipeline]:
    """Yield a pipeline whose workers are ended whatever happens."""
    made = Pipeline(kafka, f"{unique}.", data_dir, more=more)
    try:
        yield made
    finally:
        made.end()
