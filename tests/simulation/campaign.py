"""Run seeds: one, many, or as many as a planted bug needs until it is caught."""

import logging
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from tests.simulation import faults
from tests.simulation.checks import check
from tests.simulation.mutation import MisfitError
from tests.simulation.planted import BUGS, Bug
from tests.simulation.scheduler import ProcessDiedError
from tests.simulation.trouble import Trouble
from tests.simulation.violation import ViolationError
from tests.simulation.world import World, patched

SEEDS_PER_JOB: Final = 25
SEEDS_FOR_ALL_FAULTS: Final = 500
"""In so many seeds every kind of fault must have struck; with fewer it may be chance."""
PLANTED_SEEDS_MAX: Final = 400
QUICK_BUGS: Final = 12
STACK_FRAMES: Final = 6


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one seed showed."""

    seed: int
    digest: str
    steps: int
    counts: dict[str, int]
    rule: str = ""
    message: str = ""


@dataclass(slots=True)
class Summary:
    """What many seeds showed."""

    seeds: int = 0
    steps: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    failed: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Count one seed."""
        self.seeds += 1
        self.steps += outcome.steps
        self.counts.update(outcome.counts)
        if outcome.rule:
            self.failed.append(outcome)

    def never(self) -> list[str]:
        """Return the kinds of faults that did not strike although there was time for it."""
        if self.seeds < SEEDS_FOR_ALL_FAULTS:
            return []
        kinds = (*faults.ACTIONS, *faults.SHARES, *faults.CONSEQUENCES)
        return [kind for kind in kinds if not self.counts[kind]]


def run_seed(seed: int, trace: Callable[[str], None] | None = None) -> Outcome:
    """Run one seed and check it. Whatever is wrong stands in the outcome."""
    world = World(seed, trace)
    rule = message = ""
    # What the code under test logs belongs to faults that are wanted here.
    logging.disable(logging.CRITICAL)
    try:
        with patched(world.profile):
            world.run(Trouble(world).perhaps)
            check(world)
    except ViolationError as error:
        rule, message = error.rule, str(error)
    except (Exception, ProcessDiedError) as error:  # boundary: whatever the code under test raises is a finding
        rule = "exception"
        message = "".join(traceback.format_exception(error, limit=-STACK_FRAMES))
    finally:
        logging.disable(logging.NOTSET)
    scheduler = world.scheduler
    return Outcome(seed, f"{scheduler.digest:08x}", scheduler.steps, dict(world.network.counts), rule, message)


def _run_seeds(seeds: Iterable[int]) -> list[Outcome]:
    return [run_seed(seed) for seed in seeds]


def run_many(start: int, count: int, jobs: int, report: Callable[[Summary], None]) -> Summary:
    """Run seeds side by side; the summary does not depend on how many at a time."""
    summary = Summary()
    parts = [range(at, min(at + SEEDS_PER_JOB, start + count)) for at in range(start, start + count, SEEDS_PER_JOB)]
    with ProcessPoolExecutor(jobs) as pool:
        for outcomes in pool.map(_run_seeds, parts):
            for outcome in outcomes:
                summary.add(outcome)
            report(summary)
    return summary


@dataclass(frozen=True, slots=True)
class Catch:
    """How a planted bug was caught."""

    bug: str
    seeds: int
    """How many seeds it took."""
    by: str
    """The rule that did not hold; empty if none was broken."""
    message: str = ""


def hunt(bug: Bug, start: int = 0, seeds_max: int = PLANTED_SEEDS_MAX) -> Catch:
    """Run seeds with a bug planted until a rule is broken."""
    try:
        with bug.planted():
            for seed in range(start, start + seeds_max):
                outcome = run_seed(seed)
                if outcome.rule:
                    return Catch(bug.name, seed - start + 1, outcome.rule, outcome.message)
    except MisfitError as error:
        return Catch(bug.name, 0, "", str(error))
    return Catch(bug.name, seeds_max, "", "no check notices it")


def _hunt_named(name: str) -> Catch:
    return hunt(next(bug for bug in BUGS if bug.name == name))


def hunt_all(jobs: int, *, quick: bool = False) -> list[Catch]:
    """Hunt every planted bug, or the first few if it must be quick."""
    with ProcessPoolExecutor(jobs) as pool:
        return list(pool.map(_hunt_named, [bug.name for bug in BUGS[: QUICK_BUGS if quick else None]]))
