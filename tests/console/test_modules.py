"""The page's reckoning, by properties: events cut out of pieces, layers, places, lines with gaps, axes, words."""

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Final, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.console.browser import Page
from tests.console.serving import BLANK

Run: TypeAlias = Callable[[str, str, Any], Any]

CALL: Final = """
const [name, code, value, done] = arguments;
import(new URL(`/console/js/${name}.js`, document.baseURI)).then((module) => {
  done({ found: new Function("module", "value", code)(module, value) });
}).catch((error) => done({ error: String(error) }));
"""
EXAMPLES: Final = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
names = st.sampled_from("abcdefghij")
graphs = st.lists(st.tuples(names, names).filter(lambda edge: edge[0] != edge[1]), max_size=14, unique=True)
finite = st.floats(-1e9, 1e9, allow_nan=False)


@pytest.fixture
def run(page: Page) -> Run:
    """Call a module of the page with a value."""
    page.driver.get(page.url.replace("/console/", BLANK))

    def call(name: str, code: str, value: Any) -> Any:
        answer = page.driver.execute_async_script(CALL, name, code, value)
        assert "error" not in answer, answer
        return answer.get("found")

    return call


def test_events_come_out_whole_however_the_text_was_cut(run: Run) -> None:
    """Events come out whole, however the text was cut into pieces, whichever ends its lines have."""
    event = st.tuples(
        st.sampled_from(["alert", "other", ""]), st.lists(st.text('ab: {}"é', max_size=8), min_size=1, max_size=3)
    )
    comments = st.sampled_from(["", ": alive", "id: 7\nretry: 10"])

    @EXAMPLES
    @given(
        st.lists(st.tuples(event, comments), max_size=6),
        st.sampled_from(["\n", "\r\n", "\r"]),
        st.lists(st.integers(0, 200)),
    )
    def each(events: list[Any], end: str, cuts: list[int]) -> None:
        text, expected = "", []
        for (kind, lines), comment in events:
            block = [f"event: {kind}"] if kind else []
            block += [comment] if comment else []
            block += [f"data: {line}" for line in lines]
            text += end.join("\n".join(block).split("\n")) + end + end
            if "\n".join(lines):
                expected.append({"event": kind or "message", "data": "\n".join(lines)})
        places = sorted({min(place, len(text)) for place in cuts} | {0, len(text)})
        pieces = [text[a:b] for a, b in pairwise(places)]
        # A CR may be half of an end, so the last event shows with what comes next.
        code = "const c = new module.EventCutter(); return [...value, ': x'].flatMap((piece) => c.cut(piece))"
        assert run("events", code, pieces) == expected
        assert run("events", code, list(text)) == expected

    each()


def test_each_node_stands_behind_those_that_lead_to_it(run: Run) -> None:
    """Each node stands behind those that lead to it, but for loops; nobody stands on another."""
    code = """const { spots, layers, loops, alone, ways } = module.layered(value.ids, value.edges);
      return { spots: [...spots.values()], loops: [...loops], alone, ways: [...ways] };"""

    @EXAMPLES
    @given(graphs)
    def each(pairs: list[tuple[str, str]]) -> None:
        ids = list("abcdefghij")
        edges = [{"from": source, "to": target} for source, target in pairs]
        found = run("layout", code, {"ids": ids, "edges": edges})
        layer = {spot["id"]: spot["layer"] for spot in found["spots"]}
        touched = {node for pair in pairs for node in pair}
        assert set(found["alone"]) == set(ids) - touched
        assert touched <= set(layer)
        loops = [(edge["from"], edge["to"]) for edge in found["loops"]]
        assert all(layer[source] < layer[target] for source, target in pairs if (source, target) not in loops)
        if not _has_circle(pairs):
            assert not loops
        assert not _has_circle([pair for pair in pairs if pair not in loops])
        for edge, way in found["ways"]:
            assert [layer[spot] for spot in way] == list(range(layer[edge["from"]], layer[edge["to"]] + 1))
        for number in set(layer.values()):
            row = sorted((spot for spot in found["spots"] if spot["layer"] == number), key=lambda spot: spot["at"])
            # A node takes a row; an edge that passes takes less, but never what a node takes.
            assert all(
                after["at"] - before["at"]
                > (0.199 if before["dummy"] else 0.499) + (0.199 if after["dummy"] else 0.499)
                for before, after in pairwise(row)
            )
            assert all(spot["at"] > -0.001 for spot in row if not spot["dummy"])

    each()


def _has_circle(pairs: list[tuple[str, str]]) -> bool:
    """Take away what nothing leads to until nothing is left, or nothing can be taken."""
    left = list(pairs)
    while left:
        targets = {target for _, target in left}
        rest = [pair for pair in left if pair[0] in targets]
        if len(rest) == len(left):
            return True
        left = rest
    return False


def test_places_keep_their_distance_as_near_to_the_wish_as_can_be(run: Run) -> None:
    """Places keep their order and their distance, and no other such places are nearer to what is wished."""

    @EXAMPLES
    @given(
        st.lists(st.floats(-20, 20, allow_nan=False), min_size=1, max_size=7),
        st.lists(st.floats(0, 3), min_size=8, max_size=8),
    )
    def each(wish: list[float], others: list[float]) -> None:
        found = run("layout", "return module.spread(value, value.map((_, index) => (index ? 1 : 0)))", wish)
        assert all(after - before > 1 - 1e-6 for before, after in pairwise(found))
        for start in (found[0] - others[0], found[0] + others[0], sum(wish) / len(wish) - len(wish) / 2):
            other = [start + index + sum(others[1 : index + 1]) for index in range(len(wish))]
            assert _cost(found, wish) <= _cost(other, wish) + 1e-6

    each()


def _cost(places: list[float], wish: list[float]) -> float:
    return sum((place - each) ** 2 for place, each in zip(places, wish, strict=True))


def test_a_line_has_gaps_where_values_are_missing(run: Run) -> None:
    """A line has as many parts as its values have stretches of two or more; what stands alone is a dot."""
    code = """const { line, lonely } = module.lineOf(value, (ms) => ms, (v) => v, 25);
      return [line.split('M').length - 1, lonely.length];"""

    @EXAMPLES
    @given(st.lists(st.one_of(st.none(), st.floats(-9, 9)), max_size=30), st.sets(st.integers(0, 29)))
    def each(values: list[float | None], missing: set[int]) -> None:
        points = [[index * 10, value] for index, value in enumerate(values) if index not in missing]
        runs, last = [0], None
        for ms, value in points:
            assert ms is not None
            if value is None or (last is not None and ms - last > 25):
                runs.append(0)
            if value is not None:
                runs[-1] += 1
                last = ms
        assert run("scale", code, points) == [sum(length > 1 for length in runs), sum(length == 1 for length in runs)]

    each()


def test_all_values_lie_within_their_axis(run: Run) -> None:
    """All values lie between the ends of their axis, and so do its marks, a few of them, in their order."""

    @EXAMPLES
    @given(st.lists(finite, max_size=10), st.sampled_from(["s", "bytes", "percent", "short"]))
    def each(values: list[float], unit: str) -> None:
        found = run("scale", f"return module.valueAxis(value, {json.dumps(unit)})", values)
        low, high, marks = found["low"], found["high"], found["marks"]
        slack = (high - low) * 1e-6
        assert low < high
        assert all(low - slack <= value <= high + slack for value in [*values, *marks])
        assert marks == sorted(marks)
        assert 1 <= len(marks) <= 12

    each()


def test_the_nearest_value_is_read_if_it_is_near(run: Run) -> None:
    """The value at a time is the one of the nearest point, if that is near enough."""

    @EXAMPLES
    @given(st.lists(st.integers(0, 400), unique=True, max_size=20).map(sorted), st.integers(-50, 450))
    def each(times: list[int], ms: int) -> None:
        found = run("scale", f"return module.valueAt(value, {ms}, 20)", [[time, time] for time in times])
        near = [time for time in times if abs(time - ms) <= 20]
        if not near:
            assert found is None
        else:
            assert abs(found - ms) == min(abs(time - ms) for time in near)

    each()


@pytest.mark.parametrize(
    "code, value, said",
    [
        ("module.shown(value, 's')", 0.0000421, "42.1 µs"),
        ("module.shown(value, 's')", 0.9996, "1 s"),
        ("module.shown(value, 's')", 119.96, "120 s"),
        ("module.shown(value, 's')", 7_300, "2.03 h"),
        ("module.shown(value, 's')", 0, "0 s"),
        ("module.shown(value, 'ms')", 1_500, "1.5 s"),
        ("module.shown(value, 'reqps')", 1_204, "1.2k/s"),
        ("module.shown(value, 'percentunit')", 0.034, "3.4 %"),
        ("module.shown(value, 'percent')", 99.99, "100 %"),
        ("module.shown(value, 'bytes')", 1_048_576, "1 MiB"),
        ("module.shown(value, 'bytes')", -2_048, "-2 KiB"),
        ("module.shown(value, 'short')", 999_999, "1M"),
        ("module.shown(value, 'short')", 0.00042, "4.2e-4"),
        ("module.shown(value, 'short')", 100, "100"),
        ("module.shown(value, 'parsecs')", 3, "3 parsecs"),
        ("module.shown(value, 's')", None, "–"),
        ("module.shown(value, 's')", "NaN", "–"),
        ("module.lasted(value)", 59_999, "59 s"),
        ("module.lasted(value)", 5_400_000, "1 h 30 min"),
        ("module.lasted(value)", 200_000_000, "2 d"),
        ("module.lasted(value)", -5, "0 s"),
    ],
)
def test_values_are_written_for_people(run: Run, code: str, value: Any, said: str) -> None:
    assert run("format", f"return {code}", value).replace("\u202f", " ") == said
