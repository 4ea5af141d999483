"""The store of series: what a sample means, what ends a series, and that nothing grows without bounds."""

import random
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.telemetry.promql import Vector, instant, parse
from processors.telemetry.promql.series import NAME, is_stale
from processors.telemetry.runs import Run, Tier
from processors.telemetry.samples import VERSION, Point, Sample
from processors.telemetry.series import INSTANCES_MAX, Limits, SeriesStore
from tests.processors.telemetry.promql.feeding import SILENT_MS, START_MS, STEP_MS, Plain, told

T0 = START_MS
EXACT = Limits(tiers=(), silent_ms=SILENT_MS)


def sample(
    at_ms: int,
    points: Iterable[tuple[str, float]] = (),
    *,
    whole: bool = False,
    leaving: bool = False,
    name: str = "w0",
) -> Sample:
    made = tuple(Point(metric, (("hop", "ingest"),), value) for metric, value in points)
    return Sample(VERSION, "worker", name, at_ms, whole, leaving, made)


def value(store: SeriesStore, text: str, at_ms: int) -> float | None:
    answer = instant(parse(text), store, at_ms)
    assert isinstance(answer, Vector)
    assert len(answer) <= 1
    return answer[0][1] if answer else None


# ---- against the oracle that writes down all points
@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(5, 120), st.randoms(use_true_random=False))
def test_windows_are_those_of_a_store_that_writes_all_down(seed: int, moments: int, rolled: random.Random) -> None:
    store, plain = SeriesStore(EXACT), Plain()
    for each in told(seed, moments):
        store.take(each)
        plain.take(each)
    runs = {run.key: run for run in store.select("", (), 0, T0 * 2)}
    assert set(runs) <= set(plain.series)
    for key in plain.series:
        for _ in range(5):
            end_ms = T0 + rolled.randint(0, (moments + 20) * STEP_MS)
            check_window(runs[key], plain, end_ms - rolled.choice((0, 1, 20_000, 60_000, 300_000, 3_600_000)), end_ms)


def check_window(run: Run, plain: Plain, from_ms: int, to_ms: int) -> None:
    times, values = plain.series[run.key]
    low, high = bisect_left(times, from_ms), bisect_right(times, to_ms)
    pairs = zip(times[low:high], values[low:high], strict=True)
    expected = [(time_ms, number) for time_ms, number in pairs if not is_stale(number)]
    found = list(zip(*run.window(from_ms, to_ms), strict=True))
    assert repr(found) == repr(expected)
    newest = run.at(to_ms, from_ms)
    live = high > low and not is_stale(values[high - 1])
    assert repr(newest) == repr((times[high - 1], values[high - 1]) if live else None)
    edges = run.edges(from_ms, to_ms)
    if not expected:
        assert edges is None
        return
    assert edges is not None
    lost = [old for (_, old), (_, new) in pairwise(expected) if new < old]
    assert (edges.first_ms, edges.last_ms, edges.number) == (expected[0][0], expected[-1][0], len(expected))
    assert repr((edges.first, edges.last)) == repr((expected[0][1], expected[-1][1]))
    assert list(edges.lost) == lost


def test_a_zero_keeps_its_sign() -> None:
    store = SeriesStore(EXACT)
    for at_ms, zero in ((T0, 0.0), (T0 + 1_000, -0.0)):
        store.take(sample(at_ms, [("hopline_lane_lag_records", zero)]))
    asked = "1 / hopline_lane_lag_records"
    assert (value(store, asked, T0), value(store, asked, T0 + 1_000)) == (float("inf"), float("-inf"))


def counting(moments: int, seed: int) -> Iterator[Sample]:
    """Yield a counter that begins anew now and then, and a gauge, each two seconds."""
    rolled, count = random.Random(seed), 0.0
    for moment in range(moments):
        count = 0.0 if rolled.random() < 0.002 else count + rolled.randint(0, 5)
        points = [("done_total", count), ("level", rolled.random()), ("same", 1.0)]
        yield sample(T0 + moment * 2_000, points, whole=True)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_thinning_loses_no_rise_of_a_counter(seed: int) -> None:
    moments = 6_000
    tiers = (Tier(60_000, 15_000), Tier(1_800_000, 120_000))
    store, whole = SeriesStore(Limits(tiers=tiers)), SeriesStore(Limits(tiers=()))
    for each in counting(moments, seed):
        store.take(each)
        whole.take(each)
    end_ms = T0 + moments * 2_000
    assert store.points < whole.points / 3
    for window in ("30s", "10m", "1h", "3h"):
        thinned = value(store, f"increase(done_total[{window}])", end_ms)
        exact = value(whole, f"increase(done_total[{window}])", end_ms)
        assert thinned == pytest.approx(exact, rel=0.02)
    levels = value(store, "avg_over_time(level[2h])", end_ms)
    assert levels == pytest.approx(0.5, abs=0.1)
    assert value(store, "max_over_time(same[3h])", end_ms) == 1


# ---- what ends a series
def test_what_is_not_told_is_as_it_was() -> None:
    store = SeriesStore()
    store.take(sample(T0, [("a", 1), ("b", 2)], whole=True))
    store.take(sample(T0 + 2_000, [("a", 3)]))
    assert (value(store, "a", T0 + 2_000), value(store, "b", T0 + 2_000)) == (3, 2)
    assert value(store, "timestamp(b)", T0 + 2_500) == (T0 + 2_000) / 1000
    assert value(store, "count_over_time(b[1m])", T0 + 2_500) == 2


def test_what_a_whole_sample_does_not_have_has_ended_at_once() -> None:
    store = SeriesStore()
    store.take(sample(T0, [("a", 1), ("b", 2)], whole=True))
    store.take(sample(T0 + 2_000, [("a", 1)], whole=True))
    assert value(store, "b", T0 + 1_999) == 2
    assert value(store, "b", T0 + 2_000) is None
    store.take(sample(T0 + 4_000, [("b", 5)]))
    assert value(store, "b", T0 + 4_000) == 5


def test_a_process_that_leaves_is_gone_with_all_of_it_and_is_not_missed() -> None:
    store = SeriesStore()
    store.take(sample(T0, [("a_total", 1)], whole=True))
    store.take(sample(T0 + 2_000, [("a_total", 4)], leaving=True))
    assert value(store, "up", T0 + 2_000) == 1
    assert value(store, "up", T0 + 2_001) is None
    assert value(store, "a_total", T0 + 2_001) is None
    assert value(store, "delta(a_total[2s])", T0 + 2_000) == 3
    store.silent(T0 + 600_000)
    assert value(store, "up", T0 + 600_000) is None
    assert store.instances() == []


def test_a_process_that_is_silent_is_down_and_its_series_have_ended() -> None:
    store = SeriesStore(Limits(silent_ms=10_000, missed_ms=600_000))
    store.take(sample(T0, [("a", 1)], whole=True))
    store.silent(T0 + 10_000)
    assert (value(store, "up", T0 + 10_000), value(store, "a", T0 + 10_000)) == (1, 1)
    store.silent(T0 + 12_000)
    assert (value(store, "up", T0 + 12_000), value(store, "a", T0 + 12_000)) == (0, None)
    assert store.instances() == [("worker", "w0", False)]
    for later_ms in range(14_000, 600_000, 2_000):
        store.silent(T0 + later_ms)
    assert value(store, "up", T0 + 599_000) == 0
    store.silent(T0 + 602_000)
    assert value(store, "up", T0 + 602_000) is None


def test_who_comes_back_is_known_without_telling_all() -> None:
    store = SeriesStore(Limits(silent_ms=10_000))
    store.take(sample(T0, [("a", 1), ("b", 2)], whole=True))
    store.silent(T0 + 30_000)
    store.take(sample(T0 + 20_000, [("a", 7)]))
    now_ms = T0 + 30_100
    assert (value(store, "up", now_ms), value(store, "a", now_ms), value(store, "b", now_ms)) == (1, 7, 2)


def test_a_silence_is_seen_though_nobody_looked() -> None:
    store = SeriesStore(Limits(silent_ms=10_000))
    store.take(sample(T0, [("a", 1)], whole=True))
    store.take(sample(T0 + 60_000, [("a", 1)], whole=True))
    assert (value(store, "up", T0 + 30_000), value(store, "a", T0 + 30_000)) == (0, None)
    assert value(store, "count_over_time(a[5m])", T0 + 60_000) == 2


def test_a_process_that_restarts_goes_on_and_its_counter_has_risen() -> None:
    store = SeriesStore()
    for second, count in ((0, 10), (2, 12)):
        store.take(sample(T0 + second * 1_000, [("a_total", count)], whole=True))
    store.take(sample(T0 + 3_000, [("a_total", 12)], leaving=True))
    for second, count in ((6, 1), (8, 5)):
        store.take(sample(T0 + second * 1_000, [("a_total", count)], whole=True))
    edges = store.select("a_total", (), T0, T0 + 8_000)[0].edges(T0, T0 + 8_000)
    assert edges is not None
    assert edges.last - edges.first + sum(edges.lost) == 7


def test_a_clock_that_goes_back_begins_anew() -> None:
    store = SeriesStore()
    store.take(sample(T0 + 3_600_000, [("a", 1)], whole=True))
    store.take(sample(T0, [("a", 2)], whole=True))
    assert value(store, "a", T0) == 2
    assert value(store, "a", T0 + 3_600_000) is None
    store.take(sample(T0 + 2_000, [("a", 3)]))
    assert value(store, "count_over_time(a[1m])", T0 + 2_000) == 2


def test_labels_that_a_process_must_not_give_itself() -> None:
    store = SeriesStore()
    point = Point("a", (("instance", "me"), ("job", "mine"), ("tenant", "")), 1.0)
    store.take(Sample(VERSION, "worker", "w0", T0, whole=True, leaving=False, points=(point,)))
    labels = store.select("a", (), T0, T0)[0].labels
    assert labels == {
        NAME: "a",
        "exported_instance": "me",
        "exported_job": "mine",
        "instance": "w0",
        "job": "worker",
    }


# ---- bounds
def test_a_series_that_stands_still_costs_nearly_nothing() -> None:
    store = SeriesStore()
    for moment in range(20_000):
        store.take(sample(T0 + moment * 2_000, [("a", 1)] if moment % 15 == 0 else [], whole=moment % 15 == 0))
    assert store.points < 10
    axis = store.select("a", (), T0, T0 * 2)[0].axis
    assert len(axis.times) < 3_000
    assert value(store, "count_over_time(a[5m])", T0 + 19_999 * 2_000) == 151


def test_what_is_above_the_limit_of_series_is_refused_and_counted_once() -> None:
    store = SeriesStore(Limits(series_max=5))
    for moment in range(4):
        store.take(sample(T0 + moment * 2_000, [(f"m{number}", moment) for number in range(9)], whole=True))
    assert len(store) == 5
    assert store.refused == 5
    assert value(store, "m0", T0 + 6_000) == 3


def test_room_is_made_for_points_by_thinning_earlier_and_at_last_by_putting_one_for_another() -> None:
    limits = Limits(points_max=4_000)
    store = SeriesStore(limits)
    for moment in range(3_000):
        store.take(sample(T0 + moment * 2_000, [(f"m{number}", moment + number) for number in range(20)], whole=True))
        assert store.points <= limits.points_max + 21
    assert store.squeezed > 0
    assert value(store, "m7", T0 + 2_999 * 2_000) == 2_999 + 7
    assert store.points == sum(len(run) for run in store.select("", (), 0, T0 * 2))


def test_what_is_older_than_anybody_asks_is_forgotten() -> None:
    store = SeriesStore(Limits(oldest_ms=600_000, missed_ms=60_000))
    store.take(sample(T0, [("a", 1)], whole=True, leaving=True, name="w1"))
    for moment in range(2_000):
        store.take(sample(T0 + moment * 2_000, [("b", moment)], whole=True))
        store.silent(T0 + moment * 2_000)
    assert len(store) == 2
    assert store.select("a", (), 0, T0 * 2) == []
    assert store.points < 700


def test_processes_that_come_and_go_do_not_add_up() -> None:
    store = SeriesStore()
    for number in range(INSTANCES_MAX + 50):
        store.take(sample(T0 + number * 2_000, [("a", 1)], whole=True, leaving=True, name=f"w{number}"))
    assert len(store) <= 2 * INSTANCES_MAX
    assert store.refused == 0
    assert len(store.select("up", (), T0 + (INSTANCES_MAX + 40) * 2_000, T0 * 2)) == 10


def test_one_whose_clock_is_ahead_does_not_make_all_others_old() -> None:
    store = SeriesStore()
    store.silent(T0)
    for moment in range(100):
        store.silent(T0 + moment * 2_000)
        store.take(sample(T0 + moment * 2_000, [("a", moment)], whole=True))
        store.take(sample(T0 + 30 * 86_400_000 + moment, [("a", moment)], whole=True, name="w1"))
    assert value(store, 'count_over_time(a{instance="w0"}[5m])', T0 + 99 * 2_000) == 100
