"""Run chaos against a real Kafka: `python -m tests.chaos --signals 200000 --kills 12 --json`."""

import argparse
import asyncio
import json
import logging
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from streams.broker.errors import BrokerError
from tests.chaos.directives import DirectedChaos
from tests.chaos.faults import IN_FLIGHT_MIN, QUICK
from tests.chaos.planted import PLANTS
from tests.chaos.run import LANES, Chaos, Outcome, Wish

FAILOVER_SECONDS_MAX: Final = 20
WORKERS: Final = 3
QUICK_SIGNALS: Final = 10_000
QUICK_WORKERS: Final = 2
QUICK_SESSION_MS: Final = 6_000
"""The shortest that brokers and our settings allow."""
QUICK_DIRECTIVES: Final = 1_000
DIRECTIVES_SHARE: Final = 0.1
ZEROES: Final = ("lost", "duplicated", "reordered", "counters_wrong", "ledger_mismatch", "journal_gaps", "misrouted")
DIRECTIVE_ZEROES: Final = (
    "lost",
    "duplicated",
    "chains_broken",
    "status_early",
    "state_wrong",
    "ledger_mismatch",
)


def main(arguments: list[str] | None = None) -> int:
    """Run, print one JSON object as the last line, and return 0 only if every bound holds."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")
    logging.getLogger("tests.chaos").setLevel(logging.INFO)
    # What a client says of a broker that we have killed is no news.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    folder = Path(tempfile.mkdtemp(prefix="hopline-chaos-"))
    signals = QUICK_SIGNALS if options.quick else options.signals
    wish = Wish(
        signals=signals,
        kills=sum(map(len, QUICK)) if options.quick else options.kills,
        seed=options.seed,
        session_timeout_ms=QUICK_SESSION_MS if options.quick else options.session_timeout_ms,
        folder=folder,
        residents=QUICK_WORKERS if options.quick else WORKERS,
        planned=QUICK if options.quick else (),
        churn=not options.quick,
        plant=options.plant,
        directives=_directives(signals, quick=options.quick) if options.directives else 0,
    )
    try:
        outcome = _runner().run(_run(wish))
    except BrokerError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except asyncio.CancelledError:
        sys.stderr.write("asked to end: all that was started has ended\n")
        return 128 + signal.SIGTERM
    finally:
        if options.keep:
            sys.stderr.write(f"data and logs are kept in {folder}\n")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    result = report(wish, outcome)
    for case in (*outcome.judgement.cases, *outcome.verdict.cases):
        sys.stderr.write(f"{case}\n")
    if not options.json:
        for name, value in result.items():
            print(f"{name:32} {value}")
    print(json.dumps(result))
    return 0 if result["ok"] else 1


def _directives(signals: int, *, quick: bool) -> int:
    return QUICK_DIRECTIVES if quick else int(signals * DIRECTIVES_SHARE)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--signals", type=int, default=200_000, help="how many are sent (default: 200000)")
    parser.add_argument("--kills", type=int, default=12, help="blows to workers and broker (default: 12)")
    parser.add_argument("--seed", type=int, default=1, help="which run (default: 1)")
    parser.add_argument("--session-timeout-ms", type=int, default=10_000, help="the workers' (default: 10000)")
    parser.add_argument("--directives", action="store_true", help="ask for directives beside, and judge those, too")
    parser.add_argument("--quick", action="store_true", help="a short run with the shortest session")
    parser.add_argument("--plant", choices=sorted(PLANTS), default="", help="run workers with a bug, to see it caught")
    parser.add_argument("--keep", action="store_true", help="keep data and logs")
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON object")
    return parser


def _runner() -> "asyncio.Runner":
    try:
        import uvloop  # noqa: PLC0415  # not on every platform
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


async def _run(wish: Wish) -> Outcome:
    task = asyncio.current_task()
    if task is not None:
        # Asked to end, end what was started as well.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with DirectedChaos(wish) if wish.directives else Chaos(wish) as chaos:
        return await chaos.run()


def report(wish: Wish, outcome: Outcome) -> dict[str, Any]:
    """Return what is printed: the wish, the verdict, the facts, and whether every bound holds."""
    verdict, facts = outcome.verdict, outcome.facts
    zeroes = {name: getattr(verdict, name) for name in ZEROES}
    if wish.directives:
        ours = {name: getattr(outcome.judgement, name) for name in DIRECTIVE_ZEROES}
        zeroes = {**ours, **{f"signals_{name}": count for name, count in zeroes.items()}}
    bounds = {
        "finished": not outcome.failure,
        "nothing_wrong": not any(zeroes.values()),
        "kills": facts["kills"] >= wish.kills,
        "kills_in_transaction": 2 * facts["kills_in_transaction"] >= facts["kills"],
        "in_flight": facts["in_flight_min"] >= IN_FLIGHT_MIN,
        "failover": facts["failover_seconds_max"] <= FAILOVER_SECONDS_MAX,
        "no_hanging_transaction": facts["hanging_partitions"] == 0,
        "all_accepted": facts["accepted"] > 0,
        "statuses_seen": not wish.directives or outcome.judgement.statuses_seen > 0,
        "workers_stayed": not facts["workers_ended_by_themselves"],
    }
    return {
        "signals": wish.signals,
        **zeroes,
        **{name: facts[name] for name in ("kills", "kills_in_transaction", "in_flight_min", "failover_seconds_max")},
        **facts,
        "unaccepted_handled": verdict.unaccepted_handled,
        "lanes": LANES,
        "workers": wish.residents,
        "session_timeout_ms": wish.session_timeout_ms,
        "seed": wish.seed,
        "plant": wish.plant,
        "failure": outcome.failure,
        "broken_bounds": [name for name, holds in bounds.items() if not holds],
        "notes": "failover of a killed broker counts from its serving again; in_flight is of the victims' own lanes",
        "ok": all(bounds.values()),
    }


if __name__ == "__main__":
    sys.exit(main())
