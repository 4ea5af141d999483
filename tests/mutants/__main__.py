"""`make mutants`: change the cores one place at a time, run their tests, and print how many changes were noticed."""

import argparse
import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.mutants.score import CORES, SCORE_MIN, Score, scores

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / "mutants"
"""Where mutmut keeps the mutants, and what came of them; ignored by git. A second run goes on where one ended."""
HOURS_MAX: Final = 3.0
NICENESS: Final = 10


def main(arguments: list[str] | None = None) -> int:
    """Run; return 0 only if each core that was looked at has its score."""
    options = _parser().parse_args(arguments)
    began = time.monotonic()
    try:
        finished = _run(options.python, options.module, options.children, options.hours_max * 3_600)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    found = scores(FOLDER, options.module)
    _print(found, time.monotonic() - began, as_json=options.json)
    if not finished:
        print(f"not finished within {options.hours_max:g} h; run it again to go on", file=sys.stderr)
    low = [core for core, score in found.items() if score.percent < SCORE_MIN]
    return 0 if finished and found and not low else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("module", nargs="?", default="", help="only this one: processors.directives.hop")
    parser.add_argument("--children", type=int, default=2, help="processes to use (default: 2)")
    parser.add_argument("--hours-max", type=float, default=HOURS_MAX, help="give up then (default: 3)")
    parser.add_argument("--python", default=sys.executable, help="of the environment that has mutmut in it")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    return parser


def _run(python: str, module: str, children: int, seconds_max: float) -> bool:
    """Run mutmut in a process group of its own, so that it ends with all that it has started."""
    command = ["nice", "-n", str(NICENESS), python, "-m", "mutmut", "run", "--max-children", str(children)]
    process = subprocess.Popen([*command, *([f"{module}*"] if module else [])], cwd=ROOT, start_new_session=True)
    try:
        return process.wait(seconds_max) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        if process.poll() is None:
            # Started by us, and its own group's first: so its id is the group's.
            process.send_signal(signal.SIGINT)
            process.wait(60)


def _print(found: Mapping[str, Score], seconds: float, *, as_json: bool) -> None:
    for core, score in found.items():
        print(f"{core}: {score.killed} of {score.total} noticed, {score.percent:.1f} % (at least {SCORE_MIN} %)")
        for name in score.alive:
            print(f"  {name}")
    print("`.venv-mutants/bin/mutmut show NAME` shows one. docs/mutants.md lists those that change nothing.")
    if as_json:
        numbers = {core: found[core].summary() for core in CORES if core in found}
        print(json.dumps({**numbers, "seconds": round(seconds)}))


if __name__ == "__main__":
    sys.exit(main())
