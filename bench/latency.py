"""Latency from HTTP to an independent read_committed reader, open loop, beside a bare transactional path."""

import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final

import aiohttp
import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench import kafka as broker
from bench.harness import Ground, Options, Result, ground, machine, percentile, ratios, say, spread
from bench.hopline import Hopline, answers
from bench.load import event, tenant_name
from bench.peers.work import Task
from bench.processes import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RATE_PER_SECOND: Final = 200
SIGNAL_BYTES: Final = 1_000
TENANTS: Final = 1_000
LANES: Final = 8
ROUND_SECONDS: Final = 10.0
QUICK_ROUND_SECONDS: Final = 1.0
WARM_SECONDS: Final = 2.0
QUICK_WARM_SECONDS: Final = 0.5
"""Sent before each measurement, and not counted: what is idle is asleep."""
ARRIVE_SECONDS_MAX: Final = 10.0
ACCEPTED: Final = 202
CONTENT_TYPE: Final = {"Content-Type": "application/cloudevents+json"}
POLL_MS: Final = 100
WAIT_MS: Final = 20
"""aiokafka has one fetch under way at a broker. One that waits for some partitions keeps the others waiting, too."""


@dataclass(slots=True)
class Path:
    """A way from HTTP to a topic, and what was measured on it."""

    name: str
    url: str
    sink: str
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    lost: int = 0
    doubled: int = 0
    refused: int = 0


class Arrivals:
    """An independent reader of a topic: notes when each id became visible to it."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}
        self.doubled = 0
        self._enough: asyncio.Event | None = None
        self._count = 0

    async def wait_for(self, count: int, seconds_max: float) -> None:
        """Return once so many ids have arrived, or time is over."""
        self._enough, self._count = asyncio.Event(), count
        if len(self.at) >= count:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds_max):
                await self._enough.wait()

    async def follow(self, reader: "AIOKafkaConsumer[bytes, bytes]") -> None:
        """Read for ever."""
        while True:
            got = await reader.getmany(timeout_ms=POLL_MS)
            now = time.perf_counter()
            for records in got.values():
                for record in records:
                    self._note(dict(record.headers).get("ce_id"), record.value, now)
            if self._enough is not None and len(self.at) >= self._count:
                self._enough.set()

    def _note(self, binary_id: bytes | None, value: bytes | None, now: float) -> None:
        id_ = binary_id.decode() if binary_id is not None else orjson.loads(value or b"{}").get("id", "")
        self.doubled += id_ in self.at
        self.at.setdefault(id_, now)


@asynccontextmanager
async def _arrivals(where: Ground, sink: str) -> "AsyncIterator[Arrivals]":
    """Read a topic from its present end on."""
    reader: AIOKafkaConsumer[bytes, bytes] = AIOKafkaConsumer(
        bootstrap_servers=where.kafka,
        isolation_level="read_committed",
        enable_auto_commit=False,
        fetch_max_wait_ms=WAIT_MS,
    )
    await reader.start()
    partitions = [TopicPartition(sink, lane) for lane in range(LANES)]
    reader.assign(partitions)
    await reader.seek_to_end(*partitions)
    arrivals = Arrivals()
    following = asyncio.create_task(arrivals.follow(reader))
    try:
        yield arrivals
    finally:
        following.cancel()
        await asyncio.wait((following,))
        await reader.stop()


async def run(options: Options) -> Result:
    """Run the benchmark."""
    async with ground(options) as where:
        paths = await asyncio.gather(_start_hopline(where), _start_bare(where))
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
        async with aiohttp.ClientSession(connector=connector, headers=CONTENT_TYPE) as session:
            for number in range(options.count):
                for path in paths if number % 2 == 0 else paths[::-1]:
                    await _measure(where, session, path, number)
    return _result(*paths, rounds=options.count)


async def _start_hopline(where: Ground) -> Path:
    hopline = Hopline(where, "hopline", LANES)
    await hopline.make()
    worker, gateway = hopline.worker(), hopline.gateway()
    await asyncio.gather(hopline.ready(worker), hopline.gateway_ready(gateway))
    return Path("hopline", f"http://127.0.0.1:{hopline.gateway_port}/v1/signals", hopline.sink)


async def _start_bare(where: Ground) -> Path:
    """Start a handler that produces, and a loop that copies in transactions: two processes, as Hopline has."""
    name = f"{where.name}-bare"
    task = Task(
        kafka=where.kafka,
        source=f"{name}-in",
        sink=f"{name}-out",
        changelog="",
        name=name,
        data_dir="",
        lanes=LANES,
        known=0,
        tenants=TENANTS,
        tuned=False,
    )
    await broker.make_topics(where.kafka, [task.source, task.sink], LANES)
    asked, port = json.dumps(asdict(task)), free_port()
    where.children.start("bare-copy", "bench.peers.ceiling", asked)
    door = where.children.start("bare-door", "bench.peers.door", asked, str(port))
    await answers(door, port, "/readyz")
    return Path("bare", f"http://127.0.0.1:{port}/v1/signals", task.sink)


async def _measure(where: Ground, session: aiohttp.ClientSession, path: Path, number: int) -> None:
    """Send at a fixed rate whatever comes back, and count from when each was to be sent."""
    quick = where.options.quick
    warm = int(RATE_PER_SECOND * (QUICK_WARM_SECONDS if quick else WARM_SECONDS))
    count = warm + int(RATE_PER_SECOND * (QUICK_ROUND_SECONDS if quick else ROUND_SECONDS))
    intended: dict[str, float] = {}
    async with _arrivals(where, path.sink) as arrivals:
        statuses = await _send(session, path, number, count, intended)
        await arrivals.wait_for(count, ARRIVE_SECONDS_MAX)
    measured = list(intended)[warm:]
    delays = sorted((arrivals.at[id_] - intended[id_]) * 1_000 for id_ in measured if id_ in arrivals.at)
    path.refused += sum(status != ACCEPTED for status in statuses)
    path.lost += len(intended.keys() - arrivals.at.keys())
    path.doubled += arrivals.doubled
    if not delays:
        raise RuntimeError(f"Nothing that was sent to {path.url} came out of {path.sink}: {sorted(set(statuses))}")
    path.p50_ms.append(percentile(delays, 0.5))
    path.p99_ms.append(percentile(delays, 0.99))
    say(f"{path.name:>8} round {number + 1}: p50 {path.p50_ms[-1]:.1f} ms, p99 {path.p99_ms[-1]:.1f} ms")


async def _send(
    session: aiohttp.ClientSession, path: Path, number: int, count: int, intended: dict[str, float]
) -> Sequence[int]:
    async def post(body: bytes) -> int:
        async with session.post(path.url, data=body) as response:
            return response.status

    began = time.perf_counter() + 0.05
    sent = []
    for index in range(count):
        id_ = f"{path.name}-{number}-{index}"
        body = event(tenant_name(index * 7 % TENANTS), id_, index, SIGNAL_BYTES)
        due = began + index / RATE_PER_SECOND
        intended[id_] = due
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        sent.append(asyncio.create_task(post(body)))
    return await asyncio.gather(*sent)


def _result(ours: Path, bare: Path, *, rounds: int) -> Result:
    against = spread(ratios(ours.p50_ms, bare.p50_ms))
    p50, p99 = spread(ours.p50_ms), spread(ours.p99_ms)
    return {
        "p50_ms": p50["median"],
        "p99_ms": p99["median"],
        "ratio_bare_transaction": against["median"],
        "spreads": {"p50_ms": p50, "p99_ms": p99, "ratio_bare_transaction": against},
        "bare": {"p50_ms": spread(bare.p50_ms), "p99_ms": spread(bare.p99_ms)},
        "verified": not (ours.lost or ours.doubled or ours.refused),
        "hopline": {"lost": ours.lost, "doubled": ours.doubled, "refused": ours.refused},
        "work": {
            "text": "POST /v1/signals of structured CloudEvents, open loop, to an independent read_committed reader; "
            "counted from the moment at which each was to be sent",
            "per_second": RATE_PER_SECOND,
            "signal_bytes": SIGNAL_BYTES,
            "tenants": TENANTS,
            "partitions": LANES,
            "bare": "an HTTP handler that produces, and one bare aiokafka transactional copy loop",
        },
        "rounds": rounds,
        "machine": machine(),
    }
