"""Plant faults and count what is found; run chaos and count what is wrongly found: `python -m tests.ledger --json`."""

import argparse
import asyncio
import json
import logging
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from streams.broker.errors import BrokerError
from tests.chaos.faults import QUICK
from tests.chaos.run import Wish
from tests.chaos.waiting import TooLateError
from tests.ledger.chaos import CheckedChaos
from tests.ledger.plants import PLANTS
from tests.ledger.run import Catch, Planted
from tests.ledger.run import Outcome as PlantedOutcome

SECONDS: Final = 600
SECONDS_A_STRIKE: Final = 25
SIGNALS_A_STRIKE: Final = 12_000
STRIKES_MAX: Final = 12
"""Of one run. What is left of the time is another run's, with another seed."""
QUICK_SIGNALS: Final = 8_000
QUICK_DIRECTIVES: Final = 400
QUICK_PLANTS: Final = 20
SESSION_MS: Final = 6_000
DIRECTIVES_SHARE: Final = 0.05
WORKERS: Final = 3


def main(arguments: list[str] | None = None) -> int:
    """Run both, print one JSON object as the last line, and return 0 only if all is found and nothing else."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")
    for name, level in {"tests": logging.INFO, "aiokafka": logging.CRITICAL, "streams": logging.CRITICAL}.items():
        logging.getLogger(name).setLevel(level)
    folder = Path(tempfile.mkdtemp(prefix="hopline-ledger-"))
    began = time.monotonic()
    try:
        result = asyncio.run(_both(options, folder))
    except (BrokerError, TooLateError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        if options.keep:
            sys.stderr.write(f"data and logs are kept in {folder}\n")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    result["seconds"] = round(time.monotonic() - began, 1)
    if not options.json:
        for name, value in result.items():
            sys.stdout.write(f"{name:24} {value}\n")
    sys.stdout.write(json.dumps(result) + "\n")
    return 0 if result["ok"] else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.ledger", description=__doc__)
    parser.add_argument("--seconds", type=int, default=SECONDS, help="how long chaos lasts at the least (default: 600)")
    parser.add_argument("--seed", type=int, default=1, help="of the first chaos run (default: 1)")
    parser.add_argument("--quick", action="store_true", help="20 faults, and one strike of chaos")
    parser.add_argument("--no-chaos", action="store_true", help="plant faults only")
    parser.add_argument("--no-plants", action="store_true", help="chaos only")
    parser.add_argument("--keep", action="store_true", help="keep data and logs")
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON object")
    return parser


async def _both(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = {}
    if not options.no_plants:
        plants = PLANTS[:QUICK_PLANTS] if options.quick else PLANTS
        result |= _planted(await Planted(folder / "planted", plants).run())
    if not options.no_chaos:
        result |= await _chaos(options, folder)
    false_alarms = result.get("false_alarms_before", 0) + result.get("false_alarms", 0)
    result["false_alarms"] = false_alarms
    all_found = result.get("found", 0) == result.get("planted", 0)
    result["ok"] = all_found and not false_alarms and not result.get("chaos_failures") and not result.get("skipped")
    return result


def _planted(outcome: PlantedOutcome) -> dict[str, Any]:
    for finding in outcome.before:
        sys.stderr.write(f"found before anything was planted: {finding}\n")
    found = [catch for catch in outcome.catches if catch.fault]
    return {
        "planted": len(outcome.catches),
        "found": len(found),
        "missed": [catch.plant for catch in outcome.catches if not catch.fault],
        "seconds_until_found_max": max((catch.seconds for catch in found), default=None),
        "faults": {catch.plant: _shown(catch) for catch in outcome.catches},
        "false_alarms_before": len(outcome.before),
        "judged": outcome.judged,
    }


def _shown(catch: Catch) -> dict[str, Any]:
    return {"found_as": catch.fault or None, "seconds": catch.seconds, "beside": list(catch.beside)}


def _wish(options: argparse.Namespace, folder: Path, seed: int) -> Wish:
    strikes = max(1, min(STRIKES_MAX, options.seconds // SECONDS_A_STRIKE))
    signals = QUICK_SIGNALS if options.quick else strikes * SIGNALS_A_STRIKE
    return Wish(
        signals=signals,
        kills=sum(map(len, QUICK)) if options.quick else strikes,
        seed=seed,
        session_timeout_ms=SESSION_MS,
        folder=folder / f"chaos-{seed}",
        residents=2 if options.quick else WORKERS,
        planned=QUICK if options.quick else (),
        churn=not options.quick,
        directives=QUICK_DIRECTIVES if options.quick else int(signals * DIRECTIVES_SHARE),
    )


async def _chaos(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    began, seed = time.monotonic(), options.seed
    total = {"false_alarms": 0, "checked": 0, "skipped": 0, "kills": 0, "runs": 0}
    failures: list[str] = []
    while True:
        async with CheckedChaos(_wish(options, folder, seed)) as chaos:
            outcome = await chaos.run()
        for finding in chaos.found:
            sys.stderr.write(f"false alarm: {finding}\n")
        figures = chaos.figures
        total["false_alarms"] += figures["false_alarms"]
        total["checked"] += figures["judged"]
        total["skipped"] += figures["skipped"]
        total["kills"] += outcome.facts["kills"]
        total["runs"] += 1
        failures += [outcome.failure] if outcome.failure else []
        failures += [f"{figures['behind']} records were not read"] if figures["behind"] else []
        # What is really wrong is no false alarm.
        failures += outcome.verdict.cases + outcome.judgement.cases
        seed += 1
        if options.quick or time.monotonic() - began >= options.seconds:
            return {**total, "chaos_seconds": round(time.monotonic() - began, 1), "chaos_failures": failures}


if __name__ == "__main__":
    sys.exit(main())
