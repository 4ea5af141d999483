"""What telemetry costs: the same worker with all of it and with none, in turns; and how many series it shows."""

import asyncio
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import aiohttp
from typing_extensions import override

from bench.contenders import Contender, Ours, Round
from bench.harness import Ground, Options, Result, ground, machine, ratios, spread
from bench.load import Work, event, signals, tenant_name
from bench.processes import Child
from processors.directives import DirectivesHop
from processors.ingest import IngestHop
from processors.lane import Batch, Commit, LaneSettings, advance
from processors.memory import MemoryStore
from processors.position import Position
from processors.vocabulary import topics
from processors.vocabulary.record import PlainRecord
from streams.lanes.ports import Took
from streams.metrics import Metrics
from streams.settings import Settings
from streams.telemetry import LaneObserver
from streams.telling import Changes, Telling
from streams.tracing import Tracer
from streams.tracing.exporters import FileExporter

TENANTS: Final = 10_000
TRACED_PERCENT: Final = 1
FULL: Final = Work(signals=300_000, known=20_000, tenants=TENANTS, traced_percent=TRACED_PERCENT)
QUICK: Final = Work(signals=1_000, known=1_000, tenants=100, lanes=2, traced_percent=TRACED_PERCENT)
ROUNDS: Final = 9
"""A round varies by more than what is looked for."""
SCRAPE_SECONDS: Final = 1.0
ASK_SECONDS_MAX: Final = 5.0
BATCH_RECORDS: Final = 500
BATCHES: Final = 40
ROUNDS_MICRO: Final = 7


class _On(Ours):
    """With all of it: metrics scraped each second, events, samples told each second, one signal in a hundred traced."""

    def __init__(self, work: Work, *, quiet_seconds: float) -> None:
        super().__init__(work, quiet_seconds=quiet_seconds, name="on")
        self.series_max = 0
        self.scrapes = 0

    @override
    def start(self, ground: Ground) -> Child:
        installed = self._installed()
        more = {"HOPLINE_TELEMETRY_SECONDS": "1", "HOPLINE_TRACE_FILE": str(ground.folder / "spans.jsonl")}
        return installed.worker(more=more)

    @override
    async def turn(self, ground: Ground, number: int) -> Round:
        scraping = asyncio.create_task(self._scrape())
        try:
            return await super().turn(ground, number)
        finally:
            scraping.cancel()
            with suppress(asyncio.CancelledError):
                await scraping

    async def _scrape(self) -> None:
        """Ask for the metrics each second, as Prometheus would."""
        timeout = aiohttp.ClientTimeout(total=ASK_SECONDS_MAX)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                # It is not there all the time.
                with suppress(aiohttp.ClientError, TimeoutError, KeyError):
                    async with session.get(self._installed().page("/metrics")) as answer:
                        text = await answer.text()
                    series = sum(not line.startswith("#") for line in text.splitlines())
                    self.series_max = max(self.series_max, series)
                    self.scrapes += 1
                await asyncio.sleep(SCRAPE_SECONDS)


class _Off(Ours):
    """The same worker with none of it."""

    def __init__(self, work: Work, *, quiet_seconds: float) -> None:
        super().__init__(work, quiet_seconds=quiet_seconds, name="off")

    @override
    def start(self, ground: Ground) -> Child:
        return self._installed().worker(module="bench.silent_worker", more={"HOPLINE_TELEMETRY": "false"})


async def run(options: Options) -> Result:
    """Run the benchmark."""
    work = QUICK if options.quick else FULL
    on, off = _On(work, quiet_seconds=0.7), _Off(work, quiet_seconds=0.7)
    pair: tuple[Contender, Contender] = (on, off)
    rounds: dict[str, list[Round]] = {"on": [], "off": []}
    async with ground(options) as where:
        micro = [
            _per_record_us(replace(work, tenants=TENANTS), where.folder / "micro.jsonl")
            for _ in range(1 if options.quick else ROUNDS_MICRO)
        ]
        for one in pair:
            await one.prepare(where)
        count = options.count if options.quick or options.rounds else ROUNDS
        for number in range(count):
            for one in pair if number % 2 else pair[::-1]:
                rounds[one.name].append(await one.turn(where, number))
    rates = {name: [one.rate.per_second for one in turns] for name, turns in rounds.items()}
    found = spread(ratios(rates["on"], rates["off"]))
    return {
        "ratio_on_off": found["median"],
        "us_per_hop": spread([one["us"] for one in micro])["median"],
        "series_max": max(on.series_max, int(max(one["series"] for one in micro))),
        "spreads": {"ratio_on_off": found, "us_per_hop": spread([one["us"] for one in micro])},
        "verified": not any(one.problems for turns in rounds.values() for one in turns) and on.scrapes > 0,
        "work": {
            "text": "the lane's work; on: metrics scraped and told each second, events, spans of sampled signals",
            "tenants": work.tenants,
            "traced_percent": TRACED_PERCENT,
            "us_per_hop": "what observer, teller and tracer do for a commit, by the records that its hops met",
        },
        "rounds": count,
        "scrapes": on.scrapes,
        "records_per_second": {name: spread(values, 0) for name, values in rates.items()},
        "machine": machine(),
    }


def _per_record_us(work: Work, spans: Path) -> dict[str, float]:
    """Return what telling of a record costs in this process: commits of many tenants, observed, sampled, told."""
    commits = _commits(work)
    metrics = Metrics()
    telling = Telling(Settings(), "127.0.0.1:9", metrics, job="bench", port=1)
    tracer = Tracer([("a file", FileExporter(spans))], metrics, job="bench", instance="1", group="bench")
    observer = LaneObserver(metrics, tracer, telling)
    changes = Changes(metrics)
    took = Took(5.0, 5.0, {"ingest": 4.0, "directives": 0.1})
    # Of this process alone: what else the machine does is no part of it.
    began = time.process_time()
    for commit in commits:
        observer.began(0, {topics.SIGNALS_IN: commit.records})
        observer.committed(0, commit, took)
    changes.next()
    # Writing the spans is a part of it, though another thread does it.
    tracer.close()
    seconds = time.process_time() - began
    met = sum(sum(commit.came.values()) for commit in commits)
    return {"us": seconds * 1e6 / met, "series": changes.series}


def _commits(work: Work) -> list[Commit]:
    settings = LaneSettings(0, 1, (IngestHop(), DirectivesHop()))
    store, position, commits = MemoryStore(), Position(), list[Commit]()
    load = signals(replace(work, signals=BATCHES * BATCH_RECORDS, known=0), "micro")
    now_ms = int(time.time() * 1_000)
    commands = [_command(number) for number in range(BATCHES)]
    for number in range(BATCHES):
        records = [
            PlainRecord(topics.SIGNALS_IN, 0, number * BATCH_RECORDS + at, now_ms, fed.key, fed.value, ())
            for at, fed in zip(range(BATCH_RECORDS), load, strict=False)
        ]
        asked = PlainRecord(topics.COMMANDS, 0, number, now_ms, None, commands[number], ())
        batch = Batch(
            {topics.SIGNALS_IN: records, topics.COMMANDS: [asked]},
            {topics.SIGNALS_IN: (number + 1) * BATCH_RECORDS, topics.COMMANDS: number + 1},
        )
        commit = advance(settings, position, store, batch, now_ms)
        store.apply(commit.changes)
        position = commit.position
        commits.append(commit)
    return commits


def _command(number: int) -> bytes:
    return event(tenant_name(number), f"d-{number}", number, 0).replace(
        b"bench.line.reading.taken", b"hopline.tenant.suspend"
    )
