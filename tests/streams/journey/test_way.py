"""A signal's way: its stages are the whole time and no more, each signal stands once, and bars lie where stages do."""

from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from processors.vocabulary import topics
from streams.cli.trace import BAR_CHARACTERS, bar, drawn, link_of
from streams.history.causality import Graph, Node, graph_of
from streams.history.rows import AUDITED, DEAD, Row
from streams.journey.way import CHILDREN_MAX, DEFERRED, MOVED, WAITED, Found, Stage, Way, way_of
from streams.settings import Settings
from tests.streams.history.made import row, rows_

AT: Final = 1_000_000


def alone(*rows: Row, **found: Any) -> Way:
    node = Node(rows[0].ref, 0, rows)
    way = way_of(Graph((node,), (), (), ()), node.ref, {node.ref: Found(**found)})
    assert way is not None
    return way


def stages(way: Way) -> list[tuple[str, int, int]]:
    return [(stage.name, stage.began_ms - AT, stage.ended_ms - AT) for stage in way.stages]


def test_all_that_can_happen_to_a_signal_is_a_stage_each() -> None:
    admitted = row(at_ms=AT + 900, entered_ms=AT + 30, origin="signals.in 3/7 from 1/4", lane=3, offset=5)
    dead = row(at_ms=AT + 950, topic=topics.DEAD_LETTERS, status=DEAD, hop="skills", reason="bug", lane=3, offset=1)
    way = alone(admitted, dead, entered_ms=AT, taken_ms=AT + 40, traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
    assert stages(way) == [
        (MOVED, 0, 30),
        (WAITED, 30, 40),
        (DEFERRED, 40, 900),
        ("admitted", 900, 900),
        ("until then", 900, 950),
        ("dead-lettered by skills: bug", 950, 950),
    ]
    assert (way.seconds, way.failed, way.trace_id) == (0.95, True, "a" * 32)


def test_what_nothing_tells_of_is_left_out() -> None:
    assert stages(alone(row(at_ms=AT + 9, entered_ms=AT))) == [(WAITED, 0, 9), ("admitted", 9, 9)]
    assert stages(alone(row(at_ms=AT, by="directives"))) == [("made by directives", 0, 0)]
    # Clocks that disagree make no stage that goes backwards.
    assert stages(alone(row(at_ms=AT, entered_ms=AT + 5), taken_ms=AT - 9, entered_ms=AT + 20)) == [
        (WAITED, 5, 5),
        ("admitted", 5, 5),
    ]


@given(rows_(most=40), st.data())
def test_stages_follow_each_other_and_each_signal_stands_once(rows: list[Row], data: st.DataObject) -> None:
    told = [one for one in rows if one.status != AUDITED and one.id]
    if not told:
        return
    start = data.draw(st.sampled_from(told))
    mine = [one for one in rows if one.tenant == start.tenant]
    graph = graph_of(
        [one for one in mine if one.ref == start.ref],
        lambda ids, most: [one for one in mine if one.id in ids and one.status != AUDITED][:most],
        lambda ids, most: [one for one in mine if one.cause in ids][:most],
    )
    found = {
        node.ref: Found(entered_ms=data.draw(st.integers(0, 2_000)), taken_ms=data.draw(st.integers(0, 2_000)))
        for node in graph.nodes
    }
    way = way_of(graph, start.ref, found)
    assert way is not None
    seen: list[str] = []
    waiting = [way]
    while waiting:
        one = waiting.pop()
        seen.append(one.ref)
        waiting += one.caused
        assert one.stages
        assert all(stage.began_ms <= stage.ended_ms for stage in one.stages)
        assert [stage.ended_ms for stage in one.stages[:-1]] == [stage.began_ms for stage in one.stages[1:]]
        assert round(one.seconds * 1_000) == sum(stage.ended_ms - stage.began_ms for stage in one.stages)
        assert one.ended_ms >= one.began_ms
    assert len(seen) == len(set(seen)) <= CHILDREN_MAX
    assert set(seen) >= {effect for cause, effect in graph.edges if cause == start.ref and effect != start.ref}
    lines = list(drawn(way))
    assert sum(ref in line for ref in seen for line in lines) >= len(seen)


def test_a_tree_is_bounded() -> None:
    rows = [row(id="0", offset=0, at_ms=AT), *(row(id=str(n), offset=n, cause="0", at_ms=AT) for n in range(1, 400))]
    nodes = tuple(Node(one.ref, int(one.id != "0"), (one,)) for one in rows)
    edges = tuple((rows[0].ref, one.ref) for one in rows[1:])
    way = way_of(Graph(nodes, edges, (), ()), rows[0].ref, {})
    assert way is not None
    assert len(way.caused) == CHILDREN_MAX - 1
    assert way_of(Graph(nodes, edges, (), ()), "0" * 32, {}) is None


@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 200))
def test_a_bar_is_as_wide_as_all_and_lies_within(before: int, took: int, after: int) -> None:
    stage = Stage("x", AT + before, AT + before + took)
    drawn_ = bar(stage, (AT, max(AT + before + took + after, AT + 1)))
    assert len(drawn_) == BAR_CHARACTERS
    assert drawn_.strip()
    assert set(drawn_.strip()) in ({"█"}, {"▏"})


def test_a_link_is_the_settings_own_or_zipkins() -> None:
    grafana = Settings(trace_link="http://grafana/explore?id={trace_id}&x=1", trace_zipkin_url="http://z/api/v2/spans")
    assert link_of(grafana, "abc") == "http://grafana/explore?id=abc&x=1"
    assert link_of(Settings(trace_zipkin_url="http://[::1]:9411/api/v2/spans"), "abc") == (
        "http://[::1]:9411/zipkin/traces/abc"
    )
    assert link_of(Settings(trace_zipkin_url="https://u:p@z/api/v2/spans"), "abc") == "https://z/zipkin/traces/abc"
    assert link_of(Settings(), "abc") == link_of(grafana, "") == ""
