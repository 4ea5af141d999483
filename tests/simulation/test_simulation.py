"""Some seeds of the simulation, that they can be replayed, and that every planted bug is caught."""

import os
import subprocess
import sys
from typing import Final

import pytest

from tests.simulation.campaign import Outcome, Summary, hunt, run_many, run_seed
from tests.simulation.mutation import MisfitError
from tests.simulation.planted import BUGS, Bug

PARTS: Final = 6
SEEDS_A_PART: Final = 15
PLANTED_MIN: Final = 12
PLANTED_SEEDS_MAX: Final = 200


@pytest.mark.parametrize("part", range(PARTS))
def test_no_rule_is_broken(part: int) -> None:
    for seed in range(part * SEEDS_A_PART, (part + 1) * SEEDS_A_PART):
        outcome = run_seed(seed)
        assert not outcome.rule, f"python -m tests.simulation --seed {seed} --trace\n{outcome.message}"


def test_the_same_seed_runs_the_same_way_in_any_process() -> None:
    seed = 11
    lines: list[str] = []
    here, again = run_seed(seed, lines.append), run_seed(seed)
    assert here == again
    assert len(lines) > 50
    elsewhere = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--seed", str(seed)],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert f"digest {here.digest}," in elsewhere.stdout


def test_seeds_differ() -> None:
    assert len({run_seed(seed).digest for seed in range(3)}) == 3


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name.replace(" ", "-"))
def test_a_planted_bug_is_caught(bug: Bug) -> None:
    catch = hunt(bug, seeds_max=PLANTED_SEEDS_MAX)
    assert catch.by, f"{bug.name}: {catch.message} ({catch.seeds} seeds). {bug.rule}"


def test_there_are_enough_planted_bugs_and_each_has_a_name() -> None:
    assert len(BUGS) >= PLANTED_MIN
    assert len({bug.name for bug in BUGS}) == len(BUGS)


def test_a_bug_whose_place_is_gone_says_so() -> None:
    bug = Bug("gone", "", "processors.lane:finish", {"what nobody has written": ""})
    with pytest.raises(MisfitError, match="stands 0 times"), bug.planted():
        pass


def test_the_summary_of_seeds_does_not_depend_on_the_jobs() -> None:
    alone, together = (run_many(0, 4, jobs, lambda _: None) for jobs in (1, 2))
    assert alone == together


def test_a_fault_that_never_strikes_is_said() -> None:
    summary = Summary()
    for seed in range(500):
        summary.add(Outcome(seed, "", 1, {"crash": 1}))
    assert "pause" in summary.never()
    assert "crash" not in summary.never()
