"""Hundreds of made-up expressions over made-up series: what we say, and what a real Prometheus says."""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest

from processors.telemetry.promql.lexer import Lexeme, Token, duration_ms
from processors.telemetry.series import Limits, SeriesStore
from tests.dashboards.prometheus import NEEDS, PROMETHEUS, Prometheus, running
from tests.processors.telemetry.promql import comparing
from tests.processors.telemetry.promql.asking import Asker
from tests.processors.telemetry.promql.feeding import SILENT_MS, START_MS, STEP_MS, Plain, pushed, told
from tests.simulation.mutation import Bug

MOMENTS: Final = 360
NOW_EXPRESSIONS: Final = 600
BROKEN_EXPRESSIONS: Final = 300
OVER_EXPRESSIONS: Final = 150
RANGE: Final = re.compile(r"\[([0-9]+[smh][0-9smh]*)")
SHARE_ON_EDGE: Final = 0.5
SEED: Final = 11

pytestmark = [
    pytest.mark.skipif(PROMETHEUS is None, reason=NEEDS),
    pytest.mark.slow,
    pytest.mark.timeout(300),
]


@dataclass(frozen=True, slots=True)
class World:
    """The same series three times: in Prometheus, in the store, and point by point."""

    prometheus: Prometheus
    store: SeriesStore
    plain: Plain


def filled(seed: int, moments: int) -> tuple[SeriesStore, Plain]:
    """Return both, fed with the same samples. Without tiers: nothing is thinned, so that nothing may differ."""
    store, plain = SeriesStore(Limits(tiers=(), silent_ms=SILENT_MS)), Plain()
    for sample in told(seed, moments):
        store.take(sample)
        plain.take(sample)
    return store, plain


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    store, plain = filled(SEED, MOMENTS)
    with running(tmp_path_factory.mktemp("prometheus"), {}, flags=["--web.enable-remote-write-receiver"]) as prometheus:
        pushed(prometheus.url, plain)
        yield World(prometheus, store, plain)


def moment(world: World, rolled: random.Random, text: str) -> int:
    """Return a time to ask at: often one at which some value stands exactly on a window's edge."""
    if rolled.random() < SHARE_ON_EDGE:
        times, _ = rolled.choice(list(world.plain.series.values()))
        back = rolled.choice([*RANGE.findall(text), "5m"])
        return rolled.choice(times) + duration_ms(Token(Lexeme.DURATION, back, 0))
    return START_MS + rolled.randint(0, MOMENTS * STEP_MS + 600_000)


def compared_now(world: World, seed: int, count: int) -> tuple[list[str], int]:
    """Return what differs, and how many expressions had an answer at all."""
    asker, rolled = Asker(seed), random.Random(seed)
    differing: list[str] = []
    answered = 0
    for _ in range(count):
        text = asker.expression()
        at_ms = moment(world, rolled, text)
        theirs = comparing.theirs_now(world.prometheus, text, at_ms)
        answered += bool(theirs) and theirs != comparing.ERROR
        for name, source in (("series", world.plain), ("store", world.store)):
            found = comparing.difference(comparing.ours_now(text, source, at_ms), theirs)
            if found:
                differing.append(f"{text} at {at_ms} over the {name}: {found}")
    return differing, answered


def compared_over(world: World, seed: int, count: int) -> tuple[list[str], int]:
    """The same over a time."""
    asker, rolled = Asker(seed), random.Random(seed)
    differing: list[str] = []
    answered = 0
    for _ in range(count):
        text = asker.expression()
        start_ms = moment(world, rolled, text)
        step_ms = rolled.choice((5_000, 15_000, 60_000, 300_000))
        span = (start_ms, start_ms + step_ms * rolled.randint(1, 30), step_ms)
        theirs = comparing.theirs_over(world.prometheus, text, *span)
        answered += bool(theirs) and theirs != comparing.ERROR
        for name, source in (("series", world.plain), ("store", world.store)):
            found = comparing.difference(comparing.ours_over(text, source, *span), theirs)
            if found:
                differing.append(f"{text} over {span} over the {name}: {found}")
    return differing, answered


BUGS: Final = (
    Bug(
        "resets not counted",
        "A counter that begins anew has risen by what it shows.",
        "processors.telemetry.promql.overtime:_extrapolated",
        {"rise += lost": "pass"},
    ),
    Bug(
        "extrapolated below zero",
        "A counter was never below zero.",
        "processors.telemetry.promql.overtime:_extrapolated",
        {"if counter and rise > 0 and edges.first >= 0:": "if False:"},
    ),
    Bug(
        "what has ended goes on",
        "A series that has ended has no value from then on.",
        "processors.telemetry.promql.series:is_stale",
        {"return isnan(value) and": "return False and isnan(value) and"},
    ),
    Bug(
        "a name is kept",
        "What a window gives is another metric than what was in it.",
        "processors.telemetry.promql.evaluate:Evaluation._over_time",
        {"found.append((one.labels if named else one.bare, result))": "found.append((one.labels, result))"},
    ),
    Bug(
        "buckets from nothing",
        "Within a bucket, observations lie between its bounds.",
        "processors.telemetry.promql.instants:bucket_quantile",
        {"begin, below = bounds[index - 1]": "begin, below = 0.0"},
    ),
    Bug(
        "a late end",
        "A store knows that a series has ended once a whole sample comes without it.",
        "processors.telemetry.series:SeriesStore._take_points",
        {"if sample.whole and": "if False and"},
    ),
    Bug(
        "an edge too many",
        "Both edges of a window belong to it.",
        "processors.telemetry.runs:Axis.between",
        {"bisect_left(self.times, from_ms)": "bisect_right(self.times, from_ms)"},
    ),
)


def test_the_same_answers_at_one_moment(world: World) -> None:
    differing, answered = compared_now(world, 1, NOW_EXPRESSIONS)
    assert not differing, "\n".join(differing[:20])
    assert answered > NOW_EXPRESSIONS // 2


def test_the_same_answers_over_a_time(world: World) -> None:
    differing, answered = compared_over(world, 2, OVER_EXPRESSIONS)
    assert not differing, "\n".join(differing[:20])
    assert answered > OVER_EXPRESSIONS // 2


def test_what_is_no_expression_is_none_for_both(world: World) -> None:
    asker = Asker(3)
    differing: list[str] = []
    for _ in range(BROKEN_EXPRESSIONS):
        text = asker.broken()
        # What a subquery's step is if it names none is a setting of the server.
        if re.search(r":\s*\]", text) is None:
            at_ms = START_MS + MOMENTS * STEP_MS // 2
            theirs = comparing.theirs_now(world.prometheus, text, at_ms)
            found = comparing.difference(comparing.ours_now(text, world.plain, at_ms), theirs)
            if found:
                differing.append(f"{text}: {found}")
    assert not differing, "\n".join(differing[:20])


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_is_found(world: World, bug: Bug) -> None:
    with bug.planted():
        store, plain = filled(SEED, MOMENTS)
        differing, _ = compared_now(World(world.prometheus, store, plain), 1, NOW_EXPRESSIONS // 2)
    assert differing
