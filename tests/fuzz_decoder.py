"""Fuzz the decoder of signals: `python -m tests.fuzz_decoder --inputs 1000000 --seed 1 --json`.

Each input is drawn from the seed, decoded, and held against an independent judge; what is accepted is enriched and
judged again. The last line of the output is one JSON object; the exit code is 1 if anything disagreed.
"""

# ruff: noqa: T201 - a program with an output

import argparse
import json
import random
import sys
import time
from collections import Counter

from processors.vocabulary.envelope import decode
from processors.vocabulary.reasons import Rejected
from processors.vocabulary.signal import Signal
from tests.processors.vocabulary.compare import disagreement, shown
from tests.processors.vocabulary.hostile import record

SHOWN_MAX = 10
RAISED = "raised"


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON object")
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    outcomes: Counter[str] = Counter()
    disagreements = 0
    started = time.perf_counter()
    for number in range(arguments.inputs):
        made = record(draw)
        try:
            found = disagreement(made)
            outcome = decode(made)
        except Exception as error:  # boundary: that the decoder raises is what is looked for
            found, outcome = f"raised {error!r}", None
        outcomes[_named(outcome)] += 1
        if found:
            disagreements += 1
            if disagreements <= SHOWN_MAX:
                print(f"input {number}: {found}\n  {shown(made)}", file=sys.stderr)
        if not arguments.json and number % 100_000 == 0:
            print(f"{number} of {arguments.inputs}, {disagreements} disagreements")
    result = {
        "inputs": arguments.inputs,
        "seed": arguments.seed,
        "disagreements": disagreements,
        "raised": outcomes.pop(RAISED, 0),
        "outcomes": dict(sorted(outcomes.items())),
        "seconds": round(time.perf_counter() - started, 1),
    }
    print(json.dumps(result))
    return 1 if disagreements else 0


def _named(outcome: Signal | Rejected | None) -> str:
    if outcome is None:
        return RAISED
    return outcome.reason.value if isinstance(outcome, Rejected) else "accepted"


if __name__ == "__main__":
    sys.exit(main())
