"""Answers worked out by hand, and bounds: what holds where no Prometheus is at hand to compare with."""

import math
from collections.abc import Iterator, Sequence

import pytest

from processors.telemetry.promql import (
    STALE,
    Labels,
    Matcher,
    Matrix,
    PromqlError,
    Recorded,
    Vector,
    instant,
    parse,
    ranged,
)
from processors.telemetry.promql import evaluate as evaluating
from processors.telemetry.promql.limits import LOOKBACK_MS, SERIES_MAX, STEPS_MAX
from processors.telemetry.promql.series import NAME

MINUTE: int = 60_000
NOW: int = 10 * MINUTE


class Table:
    """Series with a value each minute, up to now."""

    def __init__(self, *rows: tuple[str, Labels, Sequence[float]]) -> None:
        self._series = [
            Recorded(
                {NAME: name, **labels},
                [NOW - (len(values) - 1 - index) * MINUTE for index in range(len(values))],
                values,
            )
            for name, labels, values in rows
        ]

    def select(self, name: str, matchers: tuple[Matcher, ...], from_ms: int, to_ms: int) -> Iterator[Recorded]:
        assert from_ms <= to_ms
        for one in self._series:
            if name not in {"", one.labels[NAME]}:
                continue
            if all(matcher.matches(one.labels.get(matcher.label, "")) for matcher in matchers):
                yield one


WORLD = Table(
    ("done_total", {"hop": "a", "out": "ok"}, [0, 60, 120, 180, 240, 300]),
    ("done_total", {"hop": "a", "out": "bad"}, [0, 6, 12, 3, 6, 9]),
    ("done_total", {"hop": "b", "out": "ok"}, [7, 7, 7, 7, 7, 7]),
    ("limit", {"hop": "a"}, [100]),
    ("limit", {"hop": "b"}, [5]),
    ("level", {"hop": "a"}, [3, 1, 2]),
    ("level", {"hop": "b"}, [math.nan]),
    ("level", {"hop": "c"}, [9]),
    ("gone", {"hop": "a"}, [1, STALE]),
)


def answer(text: str, source: Table = WORLD, at_ms: int = NOW) -> Vector:
    value = instant(parse(text), source, at_ms)
    assert isinstance(value, Vector)
    return value


def short(text: str) -> dict[str, float]:
    """Return values by the labels' values, for a test to be read."""
    return {" ".join(value for _, value in sorted(labels.items())): number for labels, number in answer(text)}


@pytest.mark.parametrize(
    "text, expected",
    [
        ("rate(done_total[5m])", {"a ok": 1.0, "a bad": 0.07, "b ok": 0.0}),
        ("increase(done_total[5m])", {"a ok": 300.0, "a bad": 21.0, "b ok": 0.0}),
        ("delta(done_total[2m])", {"a ok": 120.0, "a bad": 6.0, "b ok": 0.0}),
        ('resets(done_total{out="bad"}[5m])', {"a bad": 1.0}),
        ("sum by (hop) (done_total)", {"a": 309.0, "b": 7.0}),
        ("sum without (out) (done_total)", {"a": 309.0, "b": 7.0}),
        ("sum(done_total)", {"": 316.0}),
        ("count(level)", {"": 3.0}),
        ("max(level)", {"": 9.0}),
        ("level > 2", {"level c": 9.0}),
        ("level == bool 2", {"a": 1.0, "b": 0.0, "c": 0.0}),
        ("2 < level", {"level c": 9.0}),
        ("done_total > on (hop) group_left () limit", {"done_total a ok": 300.0, "done_total b ok": 7.0}),
        ("limit / ignoring (out) group_right () done_total", {"a ok": 1 / 3, "a bad": 100 / 9, "b ok": 5 / 7}),
        ("limit and on (hop) level", {"limit a": 100.0, "limit b": 5.0}),
        ("limit unless on (hop) level{hop='a'}", {"limit b": 5.0}),
        ("limit{hop='a'} or level{hop='c'}", {"limit a": 100.0, "level c": 9.0}),
        ("-limit", {"a": -100.0, "b": -5.0}),
        ("avg_over_time(level[5m])", {"a": 2.0, "b": math.nan, "c": 9.0}),
        ("last_over_time(level{hop='a'}[5m])", {"level a": 2.0}),
        ("max_over_time(rate(done_total{out='ok',hop='a'}[2m])[3m:1m])", {"a ok": 1.0}),
        ("absent(nothing{a='b',c=~'d'})", {"b": 1.0}),
        ("absent(level)", {}),
        ("gone", {}),
        ("gone offset 1m", {"gone a": 1.0}),
        ("count_over_time(gone[5m])", {"a": 1.0}),
        ("timestamp(limit)", {"a": 600.0, "b": 600.0}),
        ("vector(scalar(limit{hop='a'}) + time())", {"": 700.0}),
        ("label_join(limit, 'x', '-', 'hop', 'hop')", {"limit a a-a": 100.0, "limit b b-b": 5.0}),
        ("clamp(limit, 10, 50)", {"a": 50.0, "b": 10.0}),
        ("clamp(limit, 50, 10)", {}),
        ("round(limit / 30, 0.5)", {"a": 3.5, "b": 0.0}),
        ("quantile(0.5, limit)", {"": 52.5}),
        ("histogram_quantile(0.5, level)", {}),
    ],
)
def test_answers(text: str, expected: dict[str, float]) -> None:
    found = short(text)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, nan_ok=True)


def test_order_is_kept_where_it_was_asked_for() -> None:
    assert [labels["hop"] for labels, _ in answer("sort(level)")] == ["a", "c", "b"]
    assert [labels["hop"] for labels, _ in answer("sort_desc(level)")] == ["c", "a", "b"]
    assert [labels["hop"] for labels, _ in answer("topk(2, level)")] == ["c", "a"]
    assert [labels["hop"] for labels, _ in answer("bottomk(2, level)")] == ["a", "c"]
    assert answer("topk(0, level)") == []


def test_a_value_counts_for_five_minutes_and_not_a_moment_longer() -> None:
    assert len(answer("limit", at_ms=NOW + LOOKBACK_MS)) == 2
    assert answer("limit", at_ms=NOW + LOOKBACK_MS + 1) == []
    value = instant(parse("limit"), WORLD, NOW + 2_000, lookback_ms=1_000)
    assert value == []


def test_scalars_texts_and_windows_are_answers_too() -> None:
    assert instant(parse("1 + 2 * -3 ^ 2"), WORLD, NOW) == -17
    assert instant(parse("'text'"), WORLD, NOW) == "text"
    window = instant(parse("level{hop='a'}[1m]"), WORLD, NOW)
    assert isinstance(window, Matrix)
    assert [(one.labels["hop"], one.points) for one in window] == [("a", [(NOW - MINUTE, 1), (NOW, 2)])]


def test_over_time_each_step_is_a_question_of_its_own() -> None:
    found = ranged(parse("done_total{hop='a',out='ok'} > 100"), WORLD, NOW - 4 * MINUTE, NOW, MINUTE)
    assert [one.points for one in found] == [[(NOW - (3 - i) * MINUTE, 120.0 + 60 * i) for i in range(4)]]
    scalar = ranged(parse("time()"), WORLD, 0, 2_000, 1_000)
    assert [(one.labels, one.points) for one in scalar] == [({}, [(0, 0.0), (1_000, 1.0), (2_000, 2.0)])]


@pytest.mark.parametrize(
    "text, hint",
    [
        ("limit + on () level", "belong to one of the other"),
        ("done_total * on (hop) limit", "write group_left"),
        ("limit * on (hop) group_left () done_total", "belong to one of the other"),
        ("done_total - on (hop) group_left (out) (limit * 0)", "gives"),
        ("max_over_time({__name__=~'limit|level'}[5m])", "same labels"),
        ("label_replace(limit, 'hop', 'x', '', '')", "same labels"),
        ("label_replace(limit, 'h-p', 'x', '', '')", "no name of a label"),
        ("label_replace(limit, 'hop', 'x', '', '(')", "regular expression"),
        ("topk(NaN, limit)", "cannot count"),
    ],
)
def test_what_has_no_answer_says_why(text: str, hint: str) -> None:
    with pytest.raises(PromqlError, match=hint):
        answer(text)


# ---- bounds
def test_steps_are_bounded() -> None:
    assert len(ranged(parse("1"), WORLD, 0, STEPS_MAX - 1, 1)[0].points) == STEPS_MAX
    with pytest.raises(PromqlError, match="longer"):
        ranged(parse("1"), WORLD, 0, STEPS_MAX, 1)
    with pytest.raises(PromqlError, match="longer"):
        answer("max_over_time(limit[365d:1s])")
    with pytest.raises(PromqlError, match="step"):
        ranged(parse("1"), WORLD, 0, 10, 0)
    with pytest.raises(PromqlError, match="instant vector"):
        ranged(parse("limit[5m]"), WORLD, 0, 10, 1)


def test_values_looked_at_are_bounded_also_in_subqueries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluating, "SAMPLES_MAX", 1_000)
    assert len(answer("max_over_time(level[10m])")) == 3
    for text in ("max_over_time(max_over_time(level[10m])[10m:1s])", "sum_over_time(level[10m:100ms])"):
        with pytest.raises(PromqlError, match="shorter time"):
            answer(text)
    with pytest.raises(PromqlError, match="fewer series"):
        ranged(parse("level"), WORLD, 0, 500, 1)


def test_series_of_a_selector_are_bounded() -> None:
    class Many:
        def select(self, name: str, matchers: tuple[Matcher, ...], from_ms: int, to_ms: int) -> list[Recorded]:
            assert (name, matchers, from_ms <= to_ms) == ("a", (), True)
            return [Recorded({NAME: "a"}, [0], [0])] * (SERIES_MAX + 1)

    with pytest.raises(PromqlError, match="more than"):
        instant(parse("a"), Many(), 0)
