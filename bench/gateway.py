"""What the gateway costs: events accepted a second beside a bare aiohttp handler that produces with acks=all."""

import asyncio
import json
import re
from dataclasses import dataclass, field
from typing import Any, Final

import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench import kafka as broker
from bench.harness import Ground, Options, Result, ground, machine, ratios, say, spread
from bench.hopline import Hopline
from bench.processes import Child, free_port
from processors.vocabulary import topics

LANES: Final = 8
SINGLE: Final = 1
BATCH: Final = 100
REQUESTS: Final = {SINGLE: 15_000, BATCH: 600}
QUICK: Final = {SINGLE: 1_500, BATCH: 60}
CONNECTIONS: Final = {SINGLE: 32, BATCH: 8}
LOAD_SECONDS_MAX: Final = 330.0
LISTENS_SECONDS_MAX: Final = 30.0
LOOK_SECONDS: Final = 0.05
READ_SECONDS_MAX: Final = 60.0
_ID: Final = re.compile(rb'"id":"([^"]+)"').search
OURS: Final = "gateway"
BARE: Final = "bare"
CEILING: Final = "generator"


@dataclass(slots=True)
class Figures:
    """What the rounds have given, by who was measured and how large the batches were."""

    per_second: dict[tuple[str, int], list[float]] = field(default_factory=dict)
    server_busy: dict[tuple[str, int], list[float]] = field(default_factory=dict)
    generator_busy: dict[tuple[str, int], list[float]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def add(self, place: tuple[str, int], found: dict[str, Any], events: int, busy: float) -> None:
        """Keep a round."""
        self.per_second.setdefault(place, []).append(events / found["seconds"])
        self.generator_busy.setdefault(place, []).append(found["generator_busy"])
        self.server_busy.setdefault(place, []).append(busy)


@dataclass(frozen=True, slots=True)
class Server:
    """Who is measured: its process, its port, the topic it writes to."""

    name: str
    child: Child
    port: int
    topic: str = ""


async def run(options: Options) -> Result:
    """Run the benchmark."""
    figures = Figures()
    counts = QUICK if options.quick else REQUESTS
    async with ground(options) as where:
        servers = await _servers(where)
        for server in servers:
            # Once untimed: connections, code paths and Kafka's caches are warm then.
            await _round(where, server, SINGLE, counts[SINGLE] // 10, "warm", Figures())
        for number in range(options.count):
            for batch in (SINGLE, BATCH):
                # Who comes first changes: what one leaves behind must not be the other's burden each time.
                for server in servers if number % 2 else servers[::-1]:
                    await _round(where, server, batch, counts[batch], f"r{number}", figures)
            say(f"round {number + 1} of {options.count} done")
    return _result(figures, options.count, counts)


async def _servers(where: Ground) -> list[Server]:
    hopline = Hopline(where, "hopline", LANES)
    await hopline.make()
    topic, bare_port, null_port = f"{where.name}-bare", free_port(), free_port()
    await broker.make_topics(where.kafka, [topic], LANES)
    ours = hopline.gateway()
    bare = where.children.start(
        BARE, "bench.bare_gateway", "--kafka", where.kafka, "--topic", topic, "--port", str(bare_port)
    )
    null = where.children.start(CEILING, "bench.http_load", "--null", str(null_port))
    await hopline.gateway_ready(ours)
    await _listens(bare)
    await _listens(null)
    return [
        Server(OURS, ours, hopline.gateway_port, hopline.topic(topics.SIGNALS_IN)),
        Server(BARE, bare, bare_port, topic),
        Server(CEILING, null, null_port),
    ]


async def _listens(child: Child) -> None:
    async with asyncio.timeout(LISTENS_SECONDS_MAX):
        while not child.logged("listening"):
            child.check()
            await asyncio.sleep(LOOK_SECONDS)


async def _round(where: Ground, server: Server, batch: int, count: int, run_: str, figures: Figures) -> None:
    """Send the requests of one round, and see that each accepted event stands in the topic once."""
    starts = await broker.stable_ends(where.kafka, server.topic, LANES) if server.topic else []
    process = psutil.Process(server.child.pid)
    generator = where.children.start(
        f"load-{server.name}-{batch}",
        "bench.http_load",
        *("--port", str(server.port), "--run", f"{run_}-{batch}", "--requests", str(count)),
        *("--batch", str(batch), "--connections", str(CONNECTIONS[batch])),
    )
    before = process.cpu_times()
    found = json.loads(await generator.finished(LOAD_SECONDS_MAX))
    after = process.cpu_times()
    busy = (after.user + after.system - before.user - before.system) / found["seconds"]
    figures.add((server.name, batch), found, count * batch, busy)
    if found["statuses"] != {"202": count}:
        figures.problems.append(f"{server.name} answered {found['statuses']} to {count} requests")
    if server.topic:
        ends = await broker.stable_ends(where.kafka, server.topic, LANES)
        ids = await _ids(where.kafka, server.topic, starts, ends)
        if not len(ids) == len(set(ids)) == count * batch:
            figures.problems.append(
                f"{server.name}: {count * batch} events accepted, {len(ids)} in the topic, {len(set(ids))} distinct"
            )
        await broker.drop(where.kafka, server.topic, ends)


async def _ids(kafka: str, topic: str, starts: list[int], ends: list[int]) -> list[bytes]:
    reader = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False, max_partition_fetch_bytes=4_194_304)
    await reader.start()
    found: list[bytes] = []
    try:
        places = [TopicPartition(topic, number) for number in range(LANES)]
        reader.assign(places)
        for place, start in zip(places, starts, strict=True):
            reader.seek(place, start)
        async with asyncio.timeout(READ_SECONDS_MAX):
            while [await reader.position(place) for place in places] < ends:
                for records in (await reader.getmany(*places, timeout_ms=100)).values():
                    found += [match[1] for record in records if (match := _ID(record.value or b"")) is not None]
    finally:
        await reader.stop()
    return found


def _result(figures: Figures, rounds: int, counts: dict[int, int]) -> Result:
    shown: Result = {"rounds": rounds, "requests": {"single": counts[SINGLE], "batch": counts[BATCH]}}
    for word, batch in (("single", SINGLE), ("batch", BATCH)):
        of = {name: figures.per_second[name, batch] for name in (OURS, BARE, CEILING)}
        shown[word] = {
            "events_per_request": batch,
            "connections": CONNECTIONS[batch],
            **{f"{name}_events_per_second": spread(values, 0) for name, values in of.items()},
            **{f"{name}_busy": spread(figures.server_busy[name, batch], 2) for name in (OURS, BARE)},
            # What a busy machine changes least.
            **{
                f"{name}_cpu_microseconds_per_event": spread(
                    [1e6 * busy / rate for busy, rate in zip(figures.server_busy[name, batch], of[name], strict=True)],
                    1,
                )
                for name in (OURS, BARE)
            },
            "generator_busy": {name: spread(figures.generator_busy[name, batch], 2) for name in (OURS, BARE, CEILING)},
            "ratio": spread(ratios(of[OURS], of[BARE])),
            "headroom": spread(ratios(of[CEILING], of[BARE])),
        }
    shown["ratio_single"] = shown["single"]["ratio"]["median"]
    shown["ratio_batch"] = shown["batch"]["ratio"]["median"]
    return {**shown, "verified": not figures.problems, "problems": figures.problems[:20], "machine": machine()}
