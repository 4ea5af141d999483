"""How far history is behind under load, how fast it writes and searches, and whether a kill leaves it right."""

import asyncio
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from aiokafka import AIOKafkaProducer

from bench import kafka as broker
from bench.harness import Ground, Options, Result, ground, machine, percentile, say
from bench.hopline import Hopline, answers
from bench.load import event, tenant_name
from bench.processes import Child, ChildDiedError, free_port
from processors.vocabulary import topics
from processors.vocabulary.partition import lane_of
from streams.history.filters import Filter
from streams.history.projector import DAY_MS, Source, opened
from streams.history.reading import History, content_sum
from streams.history.rebuild import rebuild
from streams.history.rows import HANDLED, Row
from streams.history.sqlite import SqliteHome
from streams.history.store import HistoryError
from streams.settings import KafkaSettings
from streams.topics import TopicNames

LANES: Final = 8
TENANTS: Final = 1_000
SIGNAL_BYTES: Final = 500
PER_SECOND: Final = 5_000
SECONDS: Final = 60.0
SATURATED: Final = 300_000
SEARCHED: Final = 2_000_000
QUESTIONS: Final = 25
"""Of each kind."""
QUICK: Final = (500, 2.0, 20_000, 20_000, 3)
KILLED_SECONDS_MAX: Final = 10.0
LOOK_SECONDS: Final = 0.1
TICK_SECONDS: Final = 0.02
GIVE_UP_SECONDS: Final = 300.0
QUERY_SECONDS: Final = 30.0
WRITTEN_AT_ONCE: Final = 5_000
VOCABULARY: Final = 20_000
COMMON: Final = "belt"
DISK_BYTES_MIN: Final = 6 * 1_073_741_824


class Run:
    """One installation with a projector."""

    def __init__(self, where: Ground) -> None:
        self.where = where
        self.hopline = Hopline(where, "hopline", LANES)
        self.home = SqliteHome(self.hopline.folder / "history")
        self.port = free_port()
        self.sent = 0

    def source(self) -> Source:
        """Return what is read."""
        return Source(KafkaSettings(self.where.kafka), TopicNames(self.hopline.topic("")), LANES, 7 * DAY_MS)

    def start(self) -> Child:
        """Start a projector."""
        environment = {
            "HOPLINE_KAFKA": self.where.kafka,
            "HOPLINE_TOPIC_PREFIX": self.hopline.topic(""),
            "HOPLINE_DATA_DIR": str(self.hopline.folder),
            "HOPLINE_LANES": str(LANES),
            "HOPLINE_HISTORY": "history",
            "HOPLINE_HISTORY_PORT": str(self.port),
        }
        return self.where.children.start("history", "streams.history", environment=environment)

    async def project(self) -> Child:
        """Start a projector and wait until it reads."""
        child = self.start()
        await answers(child, self.port, "/readyz")
        return child

    def rows(self) -> int:
        """Return how many rows the projector has written."""
        reader = self.home.reader(QUERY_SECONDS)
        try:
            return reader.standing().rows
        finally:
            reader.close()

    def behind_seconds(self) -> float:
        """Return how far back the newest of all moments lies up to which history is complete."""
        reader = self.home.reader(QUERY_SECONDS)
        try:
            return time.time() - reader.standing().complete_ms / 1_000
        finally:
            reader.close()

    async def until_written(self, child: Child | None = None) -> None:
        """Wait until all that was sent has its row."""
        until = time.monotonic() + GIVE_UP_SECONDS
        while await asyncio.to_thread(self.rows) < self.sent:
            if child is not None:
                child.check()
            if time.monotonic() > until:
                raise TimeoutError(f"{self.rows()} of {self.sent} rows after {GIVE_UP_SECONDS:.0f} s")
            await asyncio.sleep(LOOK_SECONDS)


async def run(options: Options) -> Result:
    """Run the benchmark."""
    per_second, seconds, saturated, searched, questions = (
        QUICK if options.quick else (PER_SECOND, SECONDS, SATURATED, SEARCHED, QUESTIONS)
    )
    async with ground(options) as where:
        if not options.quick and shutil.disk_usage(where.folder).free < DISK_BYTES_MIN:
            raise SystemExit(f"{where.folder} has too little room; set TMPDIR.")
        this = Run(where)
        await this.hopline.make()
        worker = this.hopline.worker()
        await this.hopline.ready(worker)
        child = await this.project()
        lags = await _paced(this, child, int(per_second * seconds), per_second)
        say(f"behind by {max(lags):.2f} s at most at {per_second:,} signals/s")
        rows_per_second = await _saturated(this, child, saturated)
        say(f"{rows_per_second:,.0f} rows/s when saturated")
        counts = await _killed(this, saturated)
        say(f"after a kill: {counts}")
        await this.hopline.stop(worker)
        shutil.rmtree(this.hopline.folder / "history", ignore_errors=True)
        found = await _searched(where, searched, questions)
    return {
        "lag_seconds_max": round(max(lags), 3),
        "lag_seconds_median": round(percentile(sorted(lags), 0.5), 3),
        "rows_per_second_saturated": round(rows_per_second),
        **found,
        **counts,
        "verified": (counts["missing"], counts["doubled"], counts["rebuild_equal"]) == (0, 0, True),
        "work": {
            "text": "signals through a worker into SQLite, rows and offsets in one transaction; lag is the age of the "
            "moment up to which history is complete, asked of the database while signals come; saturated from a "
            "start of the projector with all of them waiting; searches by cursor pages of 50 over rows made here",
            "signals_per_second": per_second,
            "seconds": seconds,
            "saturated_signals": saturated,
            "searched_rows": searched,
            "signal_bytes": SIGNAL_BYTES,
            "lanes": LANES,
        },
        "machine": machine(),
    }


def _signals(this: Run, count: int) -> Iterator[broker.Keyed]:
    """Yield new signals for the input topic."""
    for number in range(this.sent, this.sent + count):
        tenant = tenant_name(number % TENANTS)
        key = tenant.encode()
        yield lane_of(key, LANES), key, event(tenant, f"h-{number:010d}", number, SIGNAL_BYTES)


async def _paced(this: Run, child: Child, count: int, per_second: int) -> list[float]:
    """Send signals at a pace; return how far history was behind, look by look, from the second on."""
    producer: AIOKafkaProducer[bytes, bytes] = AIOKafkaProducer(
        bootstrap_servers=this.where.kafka, linger_ms=10, max_batch_size=131_072
    )
    await producer.start()
    lags: list[float] = []
    done = asyncio.Event()

    async def watch() -> None:
        while not done.is_set():
            lags.append(await asyncio.to_thread(this.behind_seconds))
            child.check()
            await asyncio.sleep(LOOK_SECONDS)

    watching = asyncio.create_task(watch())
    began = time.perf_counter()
    try:
        futures = []
        for number, (lane, key, value) in enumerate(_signals(this, count)):
            if number % max(1, int(per_second * TICK_SECONDS)) == 0:
                await asyncio.sleep(max(0.0, began + number / per_second - time.perf_counter()))
            futures.append(await producer.send(this.hopline.source, value, key=key, partition=lane))
        await producer.flush()
        this.sent += count
        await this.until_written(child)
    finally:
        done.set()
        await asyncio.wait((watching,))
        await producer.stop()
    watching.result()
    return lags


async def _filled(this: Run, count: int) -> None:
    """Let the worker admit signals while nobody projects."""
    begun = sum(await broker.stable_ends(this.where.kafka, this.hopline.sink, LANES))
    await broker.fill(this.where.kafka, this.hopline.source, _signals(this, count))
    until = time.monotonic() + GIVE_UP_SECONDS
    while sum(await broker.stable_ends(this.where.kafka, this.hopline.sink, LANES)) - begun < count:
        if time.monotonic() > until:
            raise TimeoutError("the worker did not admit all signals")
        await asyncio.sleep(LOOK_SECONDS)
    this.sent += count


async def _saturated(this: Run, child: Child, count: int) -> float:
    """Return how many rows a second are written when all of them wait."""
    await this.hopline.stop(child)
    before = this.sent
    await _filled(this, count)
    running = this.start()
    looks: list[tuple[float, int]] = []
    until = time.monotonic() + GIVE_UP_SECONDS
    # From the first rows on, so that starting does not count.
    while not looks or looks[-1][1] < this.sent:
        running.check()
        if time.monotonic() > until:
            raise TimeoutError(f"{this.rows()} of {this.sent} rows after {GIVE_UP_SECONDS:.0f} s")
        if (rows := await asyncio.to_thread(this.rows)) > before and (not looks or rows > looks[-1][1]):
            looks.append((time.perf_counter(), rows))
        await asyncio.sleep(TICK_SECONDS)
    await this.hopline.stop(running)
    (began, first), (ended, last) = looks[0], looks[-1]
    if len(looks) == 1:
        raise RuntimeError("all rows came at once; the work is too small to be timed")
    return (last - first) / (ended - began)


async def _killed(this: Run, count: int) -> Result:
    """Kill the projector in the middle; count what is missing and doubled, build it anew and compare."""
    before = this.sent
    await _filled(this, count)
    running = this.start()
    until = time.monotonic() + GIVE_UP_SECONDS
    while await asyncio.to_thread(this.rows) <= before:
        running.check()
        if time.monotonic() > until:
            raise TimeoutError("the projector wrote nothing")
        await asyncio.sleep(TICK_SECONDS)
    os.kill(running.pid, signal.SIGKILL)
    with suppress(ChildDiedError):
        await running.finished(KILLED_SECONDS_MAX)
    at = this.rows() - before
    again = await this.project()
    await this.until_written(again)
    await this.hopline.stop(again)
    missing, doubled = await asyncio.to_thread(_counted, this)
    incremental = await asyncio.to_thread(content_sum, this.home, GIVE_UP_SECONDS)
    await rebuild(this.source(), this.home, lambda _: None)
    anew = await asyncio.to_thread(content_sum, this.home, GIVE_UP_SECONDS)
    return {
        "missing": missing,
        "doubled": doubled,
        "rebuild_equal": incremental == anew,
        "killed_after_rows": at,
        "killed_of_rows": count,
    }


def _counted(this: Run) -> tuple[int, int]:
    """Return how many of the signals sent have no row, and how many rows there are too many."""
    reader = this.home.reader(GIVE_UP_SECONDS)
    seen = bytearray(this.sent)
    doubled = 0
    try:
        for row in reader.rows():
            if row.status == HANDLED and row.id.startswith("h-"):
                number = int(row.id.removeprefix("h-"))
                doubled += seen[number]
                seen[number] = 1
    finally:
        reader.close()
    return seen.count(0), doubled


def _made(number: int, began_ms: int, draw: random.Random) -> Row:
    """Return one of the rows to search through: a word that all have, one that half have, and rare ones."""
    # Four signals each of a tenant make a chain of causes.
    tenant = tenant_name(number // 4 % TENANTS)
    rare = " ".join(f"w{draw.randrange(VOCABULARY)}" for _ in range(12))
    half = "half" if number % 2 else "whole"
    data = f'{{"sequence":{number},"total":{number % 1_000},"note":"{COMMON} {half} {rare}"}}'
    return Row(
        topics.SIGNALS, number % LANES, number // LANES, began_ms + number // 5, began_ms + number // 5,
        "", tenant, f"s-{number}", f"/bench/{number % 16}", f"bench.kind{number % 20}.made", f"belt/{number % 97}",
        f"s-{number // 4 * 4}", f"s-{number - 1}" if number % 4 else "", "", "", HANDLED, "", "", "", "",
        "application/json", data.encode(), 0,
    )  # fmt: skip


async def _searched(where: Ground, count: int, questions: int) -> Result:
    """Write rows, and ask for them in each way."""
    home = SqliteHome(Path(where.folder) / "searched")
    began_ms = int(time.time() * 1_000) - count // 5
    draw = random.Random(1)  # noqa: S311 - a load is to be repeatable, not secret
    began = time.perf_counter()
    writer = await asyncio.to_thread(opened, home)
    for start in range(0, count, WRITTEN_AT_ONCE):
        rows = [_made(number, began_ms, draw) for number in range(start, min(count, start + WRITTEN_AT_ONCE))]
        await asyncio.to_thread(writer.write, rows, {}, complete_ms=began_ms, share=1.0)
    writer.close()
    size = sum(path.stat().st_size for path in (Path(where.folder) / "searched").iterdir())
    say(f"{count:,} rows written in {time.perf_counter() - began:.0f} s, {size / count:.0f} bytes each")
    history = History(home, seconds_max=QUERY_SECONDS)
    times: dict[str, list[float]] = {}
    problems = 0
    try:
        for _ in range(questions):
            for name, tenant, asked in _questions(draw, count, began_ms):
                began = time.perf_counter()
                try:
                    answer = await history.search(tenant, asked, limit=50)
                except HistoryError:
                    problems += 1
                    continue
                times.setdefault(name, []).append((time.perf_counter() - began) * 1_000)
                problems += not answer.complete
            ref = _made(draw.randrange(count), began_ms, draw).ref
            for name, ask in (("one signal", history.signal), ("its causes", history.causes)):
                began = time.perf_counter()
                problems += await ask(None, ref) is None
                times.setdefault(name, []).append((time.perf_counter() - began) * 1_000)
    finally:
        history.close()
    all_ = sorted(ms for each in times.values() for ms in each)
    return {
        "search_p95_ms": round(percentile(all_, 0.95), 1),
        "search_max_ms": round(all_[-1], 1),
        "search_ms": {
            name: {"p50": round(percentile(sorted(each), 0.5), 1), "p95": round(percentile(sorted(each), 0.95), 1)}
            for name, each in times.items()
        },
        "search_incomplete": problems,
        "bytes_per_row": round(size / count),
    }


def _questions(draw: random.Random, count: int, began_ms: int) -> Iterator[tuple[str, str | None, Filter]]:
    """Yield one question of each kind."""
    number = draw.randrange(count)
    tenant = tenant_name(number // 4 % TENANTS)
    before = Filter(until_ms=began_ms + number // 5)
    yield "newest", None, Filter()
    yield "common word", None, Filter(text=COMMON)
    yield "common word, before a moment", None, replace(before, text=COMMON)
    yield "common words", None, replace(before, text=f"{COMMON} half")
    yield "rare word", None, Filter(text=f"w{draw.randrange(VOCABULARY)}")
    yield "rare and common word", None, Filter(text=f"{COMMON} w{draw.randrange(VOCABULARY)}")
    yield "tenant", tenant, Filter()
    yield "tenant and common word", tenant, replace(before, text=COMMON)
    yield "type", None, replace(before, pattern=f"bench.kind{number % 20}.*")
    yield "subject", None, Filter(subject=f"belt/{number % 97}")
    yield "source and type", None, Filter(source=f"/bench/{number % 16}", pattern=f"bench.kind{number % 16}.made")
    yield "correlation", tenant, Filter(correlation=f"s-{number // 4 * 4}")
    yield "field of data", tenant, Filter(where="data.total >= 0")
    yield "word that is not there", None, Filter(text=f"{COMMON} nowhere")
