"""Throughput of the lane's work, by Hopline and by its peers, in turns, against a ceiling that does no work."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from bench.contenders import Ceiling, Contender, Ours, Peer, Round
from bench.harness import Ground, Options, Result, ground, machine, ratios, say, spread
from bench.load import Work
from bench.processes import peers_python

FULL: Final = Work(signals=300_000, known=1_000_000)
QUICK: Final = Work(signals=1_000, known=1_000, tenants=100, lanes=2)
QUIX_SIGNALS: Final = 150_000
FAUST_SIGNALS: Final = 8_000
FAUST_TUNED_SIGNALS: Final = 15_000
TEXT: Final = (
    "decode JSON, validate CloudEvents' attributes, drop duplicates by (tenant, source, id), count per tenant, "
    "produce the enriched event keyed by tenant; state durable in a changelog, exactly-once"
)


def _contenders(*, quick: bool) -> list[Contender]:
    work = QUICK if quick else FULL
    quix, faust, tuned = (
        (work, work, work)
        if quick
        else (replace(work, signals=n) for n in (QUIX_SIGNALS, FAUST_SIGNALS, FAUST_TUNED_SIGNALS))
    )
    all_: list[Contender] = [
        Ours(work, quiet_seconds=0.7, at_once=quick),
        Ceiling("ceiling", work, quiet_seconds=0.7),
        Peer("by_hand", work, quiet_seconds=0.7),
        Peer("quix", quix, quiet_seconds=2.5),
        Peer("bare_faust", faust, quiet_seconds=3.0, strict=False, forgets=True),
    ]
    if not quick:
        all_.append(Peer("bare_faust", tuned, quiet_seconds=3.0, strict=False, forgets=True, tuned=True))
    return all_


async def run(options: Options) -> Result:
    """Run the benchmark."""
    peers_python()  # says what to do if it is missing, before anything is started
    contenders = _contenders(quick=options.quick)
    async with ground(options) as where:
        if options.quick:
            rounds = await _together(where, contenders)
        else:
            rounds = await _in_turns(where, contenders)
    return _result(contenders, rounds)


async def _in_turns(where: Ground, contenders: Sequence[Contender]) -> dict[str, list[Round]]:
    for contender in contenders:
        say(f"preparing {contender.name}: {contender.work.known:,} known ids")
        await contender.prepare(where)
    rounds: dict[str, list[Round]] = {contender.name: [] for contender in contenders}
    for number in range(where.options.count):
        # Another one begins each time, so that none always follows the same.
        shift = number % len(contenders)
        for contender in (*contenders[shift:], *contenders[:shift]):
            rounds[contender.name].append(await contender.turn(where, number))
    return rounds


async def _together(where: Ground, contenders: Sequence[Contender]) -> dict[str, list[Round]]:
    """All at once: their start-ups overlap, their rates mean nothing."""

    async def one(contender: Contender) -> Round:
        await contender.prepare(where)
        return await contender.turn(where, 0)

    found = await asyncio.gather(*map(one, contenders))
    return {contender.name: [round_] for contender, round_ in zip(contenders, found, strict=True)}


def _result(contenders: Sequence[Contender], rounds: dict[str, list[Round]]) -> Result:
    rates = {name: [one.rate.per_second for one in turns] for name, turns in rounds.items()}
    against = {
        "ratio_faust": "bare_faust",
        "ratio_faust_tuned": "bare_faust_tuned",
        "ratio_quix": "quix",
        "ratio_by_hand": "by_hand",
        "ratio_ceiling": "ceiling",
    }
    spreads = {key: spread(ratios(rates["hopline"], rates[name])) for key, name in against.items() if name in rates}
    work = contenders[0].work
    return {
        **{key: found["median"] for key, found in spreads.items()},
        "spreads": spreads,
        "verified": not any(one.problems for who in contenders if who.strict for one in rounds[who.name]),
        "work": {
            "text": TEXT,
            "known_ids": work.known,
            "tenants": work.tenants,
            "signal_bytes": work.signal_bytes,
            "duplicate_percent": work.duplicate_percent,
            "partitions": work.lanes,
            "processes": 1,
            "rate": "committed output records a second between a tenth and nine tenths of the output",
        },
        "rounds": len(rounds["hopline"]),
        "contenders": {who.name: _told(who, rounds[who.name]) for who in contenders},
        "machine": machine(),
    }


def _told(who: Contender, turns: Sequence[Round]) -> Result:
    return {
        "records_per_second": spread([one.rate.per_second for one in turns], 0),
        "signals": who.work.signals,
        "measured_records": [one.rate.records for one in turns],
        "measured_seconds": [round(one.rate.seconds, 3) for one in turns],
        "steps": [one.rate.steps for one in turns],
        "memory_bytes_max": max(one.memory_bytes for one in turns),
        "problems": [one.problems for one in turns],
        "says": turns[-1].said,
    }
