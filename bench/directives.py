"""What a directive costs beside a signal, and how soon after it was accepted it is in force."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bench import kafka as broker
from bench.harness import Ground, Options, Result, ground, machine, ratios, say, spread
from bench.hopline import Hopline
from bench.load import Work, signals, tenant_name
from bench.processes import Child
from bench.watch import Rate, rate, watch
from processors.directives import audit
from processors.directives.record import Status
from processors.vocabulary import topics
from processors.vocabulary.partition import lane_of
from streams.changelog import assign_whole, committed_consumer, read_range
from streams.settings import KafkaSettings

LANES: Final = 8
TENANTS: Final = 1_000
DIRECTIVES: Final = 100_000
SIGNALS: Final = 150_000
PER_SECOND: Final = 50
SECONDS: Final = 10.0
QUICK: Final = (500, 2_000, 1.0)
QUIET_SECONDS: Final = 1.0
QUICK_QUIET_SECONDS: Final = 0.4
GIVE_UP_SECONDS: Final = 60.0
POLL_MS: Final = 5
DRAIN_SECONDS_MAX: Final = 20.0


@dataclass(slots=True)
class Line:
    """A line of the audit as a reader of committed records meets it."""

    partition: int
    offset: int
    tenant: str
    value: bytes


@dataclass(slots=True)
class Figures:
    """What the rounds have given."""

    ingest: list[float] = field(default_factory=list)
    directives: list[float] = field(default_factory=list)
    in_force_ms: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


async def run(options: Options) -> Result:
    """Run the benchmark."""
    asked, sent, seconds = QUICK if options.quick else (DIRECTIVES, SIGNALS, SECONDS)
    figures = Figures()
    async with ground(options) as where:
        hopline = Hopline(where, "hopline", LANES)
        await hopline.make()
        worker = hopline.worker()
        await hopline.ready(worker)
        for number in range(options.count):
            work = Work(signals=sent, known=0, tenants=TENANTS, lanes=LANES)
            feed = ((fed.lane, fed.key, fed.value) for fed in signals(work, f"r{number}"))
            ingest = await _timed(where, worker, (hopline.source, hopline.sink), feed, sent * 8 // 10)
            figures.ingest.append(ingest.per_second)
            into, out = hopline.topic(topics.COMMANDS), hopline.topic(topics.AUDIT)
            directives = await _timed(where, worker, (into, out), _directives(asked, f"r{number}"), asked)
            figures.directives.append(directives.per_second)
            figures.in_force_ms += await _in_force(where, hopline, seconds, f"l{number}", figures.problems)
            say(f"round {number + 1}: {ingest.per_second:,.0f} signals/s, {directives.per_second:,.0f} directives/s")
        lines = await _read(where, hopline.topic(topics.AUDIT))
        await hopline.stop(worker)
    expected = options.count * (asked + int(PER_SECOND * seconds))
    figures.problems += _problems(lines, expected)
    return _result(figures, options.count, asked, sent)


def _directives(count: int, run_: str) -> Iterator[broker.Keyed]:
    for number in range(count):
        tenant = tenant_name(number % TENANTS)
        key = tenant.encode()
        yield lane_of(key, LANES), key, _directive(tenant, f"{run_}-{number}", 1 + number % 900)


def _directive(tenant: str, id_: str, burst: int) -> bytes:
    event = {
        "specversion": "1.0",
        "id": id_,
        "source": "/bench",
        "type": "hopline.tenant.set",
        "tenantid": tenant,
        "data": {"burst": burst},
    }
    return json.dumps(event).encode()


async def _timed(where: Ground, worker: Child, way: tuple[str, str], feed: Iterator[broker.Keyed], enough: int) -> Rate:
    """Give the worker all of it at once, and watch what comes out."""
    source, sink = way
    starts = await broker.stable_ends(where.kafka, sink, LANES)
    await broker.fill(where.kafka, source, feed, at_once=True)
    seen = await watch(
        where.kafka,
        sink,
        starts,
        enough=enough,
        quiet_seconds=QUICK_QUIET_SECONDS if where.options.quick else QUIET_SECONDS,
        give_up_seconds=GIVE_UP_SECONDS,
        alive=worker.alive,
    )
    worker.check()
    lines = await _read(where, sink, starts)
    return rate(seen, [sorted(line.offset for line in lines if line.partition == lane) for lane in range(LANES)])


async def _read(where: Ground, topic: str, starts: list[int] | None = None) -> list[Line]:
    """Read what is committed of a topic, from some offsets on."""
    found: list[Line] = []
    async with committed_consumer(KafkaSettings(where.kafka)) as reader:
        for lane in range(LANES):
            partition, least, end = await assign_whole(reader, topic, lane)
            async for records in read_range(reader, partition, starts[lane] if starts else least, end):
                found += [Line(r.partition, r.offset, (r.key or b"").decode(), r.value or b"") for r in records]
    return found


async def _in_force(where: Ground, hopline: Hopline, seconds: float, run_: str, problems: list[str]) -> list[float]:
    """Send directives one by one; return how long after its acceptance each was seen to have succeeded."""
    accepted: dict[str, float] = {}
    seen: dict[str, float] = {}
    reader: AIOKafkaConsumer[bytes, bytes] = AIOKafkaConsumer(
        bootstrap_servers=where.kafka, isolation_level="read_committed", enable_auto_commit=False, fetch_max_wait_ms=50
    )
    producer: AIOKafkaProducer[bytes, bytes] = AIOKafkaProducer(bootstrap_servers=where.kafka, acks="all", linger_ms=0)
    await asyncio.gather(reader.start(), producer.start())
    partitions = [TopicPartition(hopline.topic(topics.AUDIT), lane) for lane in range(LANES)]
    reader.assign(partitions)
    await reader.seek_to_end(*partitions)

    async def follow() -> None:
        while True:
            got = await reader.getmany(timeout_ms=POLL_MS)
            now = time.perf_counter()
            for records in got.values():
                seen.update((audit.read(record.value or b"").key.partition("#")[2], now) for record in records)

    following = asyncio.create_task(follow())
    try:
        began, count = time.perf_counter(), int(PER_SECOND * seconds)
        for number in range(count):
            await asyncio.sleep(max(0.0, began + number / PER_SECOND - time.perf_counter()))
            tenant, id_ = tenant_name(number % TENANTS), f"{run_}-{number}"
            key = tenant.encode()
            value = _directive(tenant, id_, 1 + number % 900)
            into = hopline.topic(topics.COMMANDS)
            await producer.send_and_wait(into, value, key=key, partition=lane_of(key, LANES))
            accepted[id_] = time.perf_counter()
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS_MAX):
                while len(seen.keys() & accepted.keys()) < count:  # noqa: ASYNC110  # of what others write, Kafka tells no events
                    await asyncio.sleep(POLL_MS / 1_000)
    finally:
        following.cancel()
        await asyncio.wait((following,))
        await asyncio.gather(reader.stop(), producer.stop())
    problems += [f"{id_} was accepted and never seen" for id_ in accepted.keys() - seen.keys()][:3]
    return [(seen[id_] - at) * 1_000 for id_, at in accepted.items() if id_ in seen]


def _problems(lines: list[Line], expected: int) -> list[str]:
    """Return what is wrong with the audit: each directive once, all succeeded, each tenant's chain unbroken."""
    chains: dict[str, list[bytes]] = {}
    for line in lines:
        chains.setdefault(line.tenant, []).append(line.value)
    problems = [f"{tenant}: {problem}" for tenant, own in chains.items() for problem in audit.broken(own)]
    ends = [audit.read(line.value) for line in lines]
    if len({entry.key for entry in ends}) != expected or len(ends) != expected:
        problems.append(f"{expected} directives were sent, {len(ends)} ended")
    failed = sum(entry.outcome is not Status.SUCCEEDED for entry in ends)
    return [*problems[:3], f"{failed} did not succeed"] if failed else problems[:3]


def _result(figures: Figures, rounds: int, asked: int, sent: int) -> Result:
    ratio = spread(ratios(figures.directives, figures.ingest))
    ordered = sorted(figures.in_force_ms)
    return {
        "directives_per_second": spread(figures.directives, 0)["median"],
        "ratio_ingest": ratio["median"],
        "p50_ms": round(ordered[len(ordered) // 2], 3) if ordered else None,
        "p99_ms": round(ordered[len(ordered) * 99 // 100], 3) if ordered else None,
        "spreads": {"ratio_ingest": ratio, "ingest_per_second": spread(figures.ingest, 0)},
        "verified": not figures.problems,
        "problems": figures.problems[:5],
        "work": {
            "text": "hopline.tenant.set, each with a key of its own, exactly once, told, audited, beside ingest's; "
            "in force: from Kafka's acknowledgement to an own reader of the audit, open loop",
            "directives": asked,
            "signals": sent,
            "tenants": TENANTS,
            "per_second_singly": PER_SECOND,
            "partitions": LANES,
        },
        "rounds": rounds,
        "machine": machine(),
    }
