"""Recovery of a worker's state: in full against a bare reader of the same changelog, and from a snapshot."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Final

from bench import kafka as broker
from bench.harness import Ground, Options, Result, ground, machine, ratios, say, spread
from bench.hopline import Hopline
from bench.load import event, tenant_name
from bench.peers.work import Task
from bench.watch import watch
from processors.vocabulary import topics
from processors.vocabulary.partition import lane_of

KEYS: Final = 1_000_000
QUICK_KEYS: Final = 5_000
REWRITTEN_PERCENT: Final = 10
LANES: Final = 8
QUICK_LANES: Final = 2
QUIET_SECONDS: Final = 2.0
QUICK_QUIET_SECONDS: Final = 0.5
GIVE_UP_SECONDS: Final = 120.0
READ_SECONDS_MAX: Final = 300.0


async def run(options: Options) -> Result:
    """Run the benchmark."""
    keys, lanes = (QUICK_KEYS, QUICK_LANES) if options.quick else (KEYS, LANES)
    async with ground(options) as where:
        hopline = Hopline(where, "hopline", lanes)
        await hopline.make()
        # A tenant's account is one key; so as many tenants send one signal each.
        say(f"making {keys:,} keys")
        await _step(where, hopline, range(keys), "first")
        snapshot = where.folder / "snapshot"
        shutil.copytree(hopline.state, snapshot)
        rewritten = range(0, keys, 100 // REWRITTEN_PERCENT)
        if options.quick:
            rounds = [await _quickly(where, hopline, snapshot, rewritten)]
        else:
            say(f"rewriting {len(rewritten):,} of them")
            await _step(where, hopline, rewritten, "second")
            rounds = [await _round(where, hopline, snapshot, number) for number in range(options.count)]
    return _result(keys, len(rewritten), lanes, rounds)


async def _step(where: Ground, hopline: Hopline, tenants: range, name: str) -> float:
    """Let a worker step one signal of each tenant, and stop it; return how long it restored before."""
    starts = await broker.stable_ends(where.kafka, hopline.sink, hopline.lanes)

    def signals() -> Iterator[broker.Keyed]:
        for number in tenants:
            tenant = tenant_name(number)
            key = tenant.encode()
            yield lane_of(key, hopline.lanes), key, event(tenant, f"{name}-{number}", number, 0)

    count = await broker.fill(where.kafka, hopline.source, signals())
    worker = hopline.worker()
    restored = await hopline.restore_seconds(worker)
    seen = await watch(
        where.kafka,
        hopline.sink,
        starts,
        enough=count,
        quiet_seconds=QUICK_QUIET_SECONDS if where.options.quick else QUIET_SECONDS,
        give_up_seconds=GIVE_UP_SECONDS,
        alive=worker.alive,
    )
    worker.check()
    await hopline.stop(worker)
    if seen.offsets < count:
        raise RuntimeError(f"{seen.offsets} of {count} signals came out: {worker.last_words()}")
    return restored


async def _round(where: Ground, hopline: Hopline, snapshot: Path, number: int) -> dict[str, float]:
    records, bare = await _bare(where, hopline)
    hopline.forget()
    full = await _restore(hopline)
    hopline.remember(snapshot)
    tail = await _restore(hopline)
    say(f"round {number + 1}: bare reader {bare:.2f} s, full {full:.2f} s, from a snapshot {tail:.2f} s")
    return {"records": records, "bare": bare, "full": full, "snapshot": tail}


async def _quickly(where: Ground, hopline: Hopline, snapshot: Path, rewritten: range) -> dict[str, float]:
    """The same with one start less: the worker that restores in full is the one that rewrites."""
    records, bare = await _bare(where, hopline)
    hopline.forget()
    full = await _step(where, hopline, rewritten, "second")
    hopline.remember(snapshot)
    return {"records": records, "bare": bare, "full": full, "snapshot": await _restore(hopline)}


async def _restore(hopline: Hopline) -> float:
    worker = hopline.worker()
    seconds = await hopline.restore_seconds(worker)
    await hopline.stop(worker)
    return seconds


async def _bare(where: Ground, hopline: Hopline) -> tuple[int, float]:
    task = Task(
        kafka=where.kafka,
        source=hopline.topic(topics.STATE),
        sink="",
        changelog="",
        name="",
        data_dir="",
        lanes=hopline.lanes,
        known=0,
        tenants=0,
        tuned=False,
    )
    reader = where.children.start("bare-reader", "bench.peers.reader", json.dumps(asdict(task)))
    found = json.loads(await reader.finished(READ_SECONDS_MAX))
    return int(found["records"]), float(found["seconds"])


def _result(keys: int, rewritten: int, lanes: int, rounds: list[dict[str, float]]) -> Result:
    times = {name: [one[name] for one in rounds] for name in ("bare", "full", "snapshot")}
    ceiling = spread(ratios(times["bare"], times["full"]))
    snapshot = spread(ratios(times["full"], times["snapshot"]))
    return {
        "ratio_ceiling": ceiling["median"],
        "ratio_snapshot": snapshot["median"],
        "spreads": {"ratio_ceiling": ceiling, "ratio_snapshot": snapshot},
        "seconds": {name: spread(values) for name, values in times.items()},
        "changelog_records": rounds[-1]["records"],
        "work": {
            "text": "from learning its lanes until all are restored and taken; the ceiling reads the same changelog "
            "from its first request to its last record, and keeps nothing",
            "state_keys": keys,
            "rewritten_keys": rewritten,
            "partitions": lanes,
        },
        "rounds": len(rounds),
        "machine": machine(),
    }
