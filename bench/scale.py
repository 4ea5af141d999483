"""What many tenants cost, and what a second worker brings."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from bench import kafka as broker
from bench.harness import Ground, Options, Result, ground, machine, ratios, say, spread
from bench.hopline import Hopline
from bench.load import Work, event, signals, tenant_name
from bench.processes import Child
from bench.verify import read_back
from bench.watch import rate, watch
from processors.vocabulary.partition import lane_of

NARROW: Final = Work(signals=200_000, known=0, tenants=100)
WIDE: Final = replace(NARROW, tenants=100_000)
QUICK_NARROW: Final = Work(signals=1_000, known=0, tenants=10, lanes=2)
QUICK_WIDE: Final = replace(QUICK_NARROW, tenants=500)
QUIET_SECONDS: Final = 1.0
QUICK_QUIET_SECONDS: Final = 0.4
GIVE_UP_SECONDS: Final = 120.0
SETTLE_SECONDS: Final = 2.0
QUICK_SETTLE_SECONDS: Final = 0.1


@dataclass(slots=True)
class Fleet:
    """An installation, what it is fed, and how many workers share its lanes."""

    name: str
    hopline: Hopline
    work: Work
    workers: int
    rates: list[float]
    idle_bytes: list[int]
    problems: int = 0

    def state_bytes(self) -> int:
        """Return the size of the local state."""
        return sum(path.stat().st_size for path in self.hopline.state.rglob("*") if path.is_file())


async def run(options: Options) -> Result:
    """Run the benchmark."""
    narrow, wide = (QUICK_NARROW, QUICK_WIDE) if options.quick else (NARROW, WIDE)
    async with ground(options) as where:
        fleets = [
            Fleet("narrow", Hopline(where, "narrow", narrow.lanes), narrow, 1, [], []),
            Fleet("wide", Hopline(where, "wide", wide.lanes), wide, 1, [], []),
            Fleet("two", Hopline(where, "two", narrow.lanes), narrow, 2, [], []),
        ]
        for fleet in fleets:
            say(f"{fleet.name}: {fleet.work.tenants:,} tenants, {fleet.workers} worker(s)")
            await fleet.hopline.make()
        if options.quick:
            # All at once: their start-ups overlap, their figures mean nothing.
            await asyncio.gather(*(_turn(where, fleet, 0) for fleet in fleets))
            return _result(*fleets, rounds=1)
        for fleet in fleets:
            await _introduce(where, fleet)
        for number in range(options.count):
            shift = number % len(fleets)
            for fleet in (*fleets[shift:], *fleets[:shift]):
                await _turn(where, fleet, number)
        return _result(*fleets, rounds=options.count)


async def _introduce(where: Ground, fleet: Fleet) -> None:
    """Let each tenant send a signal, so that all are known before anything is timed."""

    def first() -> Iterator[broker.Keyed]:
        for number in range(fleet.work.tenants):
            key = tenant_name(number).encode()
            yield lane_of(key, fleet.work.lanes), key, event(tenant_name(number), f"first-{number}", number, 0)

    worker = fleet.hopline.worker()
    await fleet.hopline.ready(worker)
    starts = [0] * fleet.work.lanes
    await broker.fill(where.kafka, fleet.hopline.source, first())
    await watch(
        where.kafka,
        fleet.hopline.sink,
        starts,
        enough=fleet.work.tenants,
        quiet_seconds=QUIET_SECONDS,
        give_up_seconds=GIVE_UP_SECONDS,
        alive=worker.alive,
    )
    worker.check()
    await fleet.hopline.stop(worker)


async def _turn(where: Ground, fleet: Fleet, number: int) -> None:
    """Start the workers, let them share the lanes and idle, then give them the whole load at once."""
    hopline, lanes = fleet.hopline, fleet.work.lanes
    quick = where.options.quick
    workers = [hopline.worker(slot) for slot in range(fleet.workers)]
    for slot, worker in enumerate(workers):
        await hopline.owns(worker, slot, lanes // fleet.workers)
    await asyncio.sleep(QUICK_SETTLE_SECONDS if quick else SETTLE_SECONDS)
    fleet.idle_bytes.append(max(worker.memory_bytes() for worker in workers))
    fresh: set[str] = set()

    def feed() -> Iterator[broker.Keyed]:
        for fed in signals(fleet.work, f"{fleet.name}-{number}"):
            if fed.fresh is not None:
                fresh.add(fed.fresh)
            yield fed.lane, fed.key, fed.value

    starts = await broker.stable_ends(where.kafka, hopline.sink, lanes)
    await broker.fill(where.kafka, hopline.source, feed(), at_once=True)
    seen = await watch(
        where.kafka,
        hopline.sink,
        starts,
        enough=len(fresh),
        quiet_seconds=QUICK_QUIET_SECONDS if quick else QUIET_SECONDS,
        give_up_seconds=GIVE_UP_SECONDS,
        alive=lambda: all(worker.alive() for worker in workers),
    )
    await _stop(hopline, workers)
    output = await read_back(
        where.kafka, hopline.sink, starts, await broker.stable_ends(where.kafka, hopline.sink, lanes)
    )
    found = rate(seen, output.offsets)
    problems = output.problems(fresh)
    fleet.problems += len(problems)
    fleet.rates.append(found.per_second)
    wrong = f"  WRONG {problems}" if problems else ""
    say(f"{fleet.name:>8} round {number + 1}: {found.per_second:>9,.0f} records/s{wrong}")
    for topic in (hopline.source, hopline.sink):
        await broker.drop(where.kafka, topic, await broker.stable_ends(where.kafka, topic, lanes))


async def _stop(hopline: Hopline, workers: list[Child]) -> None:
    for worker in workers:
        worker.check()
    await asyncio.gather(*(hopline.stop(worker) for worker in workers))


def _result(narrow: Fleet, wide: Fleet, two: Fleet, *, rounds: int) -> Result:
    tenants = spread(ratios(wide.rates, narrow.rates))
    workers = spread(ratios(two.rates, narrow.rates))
    more = wide.work.tenants - narrow.work.tenants
    idle = spread([(w - n) / more for w, n in zip(wide.idle_bytes, narrow.idle_bytes, strict=True)], 1)
    return {
        "ratio_tenants": tenants["median"],
        "bytes_per_idle_tenant": idle["median"],
        "state_bytes_per_tenant": round((wide.state_bytes() - narrow.state_bytes()) / more, 1),
        "idle_worker_bytes": int(spread(narrow.idle_bytes, 0)["median"]),
        "ratio_two_workers": workers["median"],
        "spreads": {"ratio_tenants": tenants, "ratio_two_workers": workers, "bytes_per_idle_tenant": idle},
        "records_per_second": {fleet.name: spread(fleet.rates, 0) for fleet in (narrow, wide, two)},
        "verified": not any(fleet.problems for fleet in (narrow, wide, two)),
        "work": {
            "text": "ingest's work, the load visible at once to workers that wait for it",
            "tenants": {"narrow": narrow.work.tenants, "wide": wide.work.tenants},
            "signals": narrow.work.signals,
            "signal_bytes": narrow.work.signal_bytes,
            "partitions": narrow.work.lanes,
            "workers": {"narrow": 1, "wide": 1, "two": 2},
        },
        "rounds": rounds,
        "machine": machine(),
    }
