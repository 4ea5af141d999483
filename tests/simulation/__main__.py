"""`python -m tests.simulation --seeds 2000 --json`: the lane owner under faults, and the planted bugs."""

import argparse
import json
import sys
import time

from tests.simulation.campaign import Catch, Summary, hunt_all, run_many, run_seed


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many seeds to run")
    parser.add_argument("--start", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="run this one only")
    parser.add_argument("--trace", action="store_true", help="with --seed: print what happens")
    parser.add_argument("--jobs", type=int, default=2, help="processes to use")
    parser.add_argument("--no-planted", action="store_true", help="leave the planted bugs out")
    parser.add_argument("--quick", action="store_true", help="only some of the planted bugs")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    return parser.parse_args()


def _one(seed: int, *, trace: bool) -> int:
    outcome = run_seed(seed, print if trace else None)
    print(f"seed {seed}: {outcome.steps} steps, digest {outcome.digest}, {dict(sorted(outcome.counts.items()))}")
    print(outcome.message or "no violation")
    return 1 if outcome.rule else 0


def _progress(summary: Summary) -> None:
    if sys.stderr.isatty():
        print(f"\r{summary.seeds} seeds, {len(summary.failed)} violations", end="", file=sys.stderr, flush=True)


def _report(summary: Summary, catches: list[Catch], seconds: float) -> dict[str, object]:
    never = summary.never()
    first = summary.failed[0] if summary.failed else None
    return {
        "seeds": summary.seeds,
        "violations": len(summary.failed) + len(never),
        "first_failing_seed": first.seed if first else None,
        "first_message": first.message if first else None,
        "never_struck": never,
        "planted": len(catches),
        "caught": sum(bool(catch.by) for catch in catches),
        "bugs": {catch.bug: {"caught_by": catch.by or None, "seeds": catch.seeds} for catch in catches},
        "steps": summary.steps,
        "counts": dict(sorted(summary.counts.items())),
        "seconds": round(seconds, 1),
    }


def main() -> int:
    """Run what the command line asks for; the exit code says whether all is well."""
    arguments = _arguments()
    if arguments.seed is not None:
        return _one(arguments.seed, trace=arguments.trace)
    began = time.monotonic()
    summary = run_many(arguments.start, arguments.seeds, arguments.jobs, _progress)
    catches = [] if arguments.no_planted else hunt_all(arguments.jobs, quick=arguments.quick)
    report = _report(summary, catches, time.monotonic() - began)
    print(file=sys.stderr)
    for outcome in summary.failed[:5]:
        print(f"seed {outcome.seed}: {outcome.message.rstrip()}")
        print(f"  replay it: python -m tests.simulation --seed {outcome.seed} --trace")
    for catch in catches:
        if not catch.by:
            print(f"not caught: {catch.bug} ({catch.seeds} seeds): {catch.message}")
    if not arguments.json:
        for name, value in report.items():
            print(f"{name}: {value}")
    else:
        print(json.dumps(report))
    return 0 if report["violations"] == 0 and report["planted"] == report["caught"] else 1


if __name__ == "__main__":
    sys.exit(main())
