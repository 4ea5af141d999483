"""The graph of causes: both ways, whatever came first, whatever points in circles, and bounded."""

from collections.abc import Callable, Sequence

from hypothesis import given
from hypothesis import strategies as st

from streams.history.causality import Graph, graph_of
from streams.history.rows import Row
from tests.streams.history.made import row


def around(rows: Sequence[Row], start: str, **bounds: int) -> Graph:
    """Return the graph around the signal with this id."""

    def look(name: str) -> Callable[[Sequence[str], int], Sequence[Row]]:
        return lambda ids, most: [each for each in rows if getattr(each, name) in ids][:most]

    return graph_of([each for each in rows if each.id == start], look("id"), look("cause"), **bounds)


def ids(graph: Graph) -> dict[str, int]:
    """Return how deep each id lies."""
    return {node.rows[0].id: node.depth for node in graph.nodes}


def chain(length: int) -> list[Row]:
    """Return signals each of which caused the next."""
    return [row(id=str(n), cause=str(n - 1) if n else "", offset=n) for n in range(length)]


def test_it_leads_to_causes_and_effects() -> None:
    rows = [*chain(4), row(id="side", cause="1", offset=9)]
    found = around(rows, "1")
    assert ids(found) == {"0": -1, "1": 0, "2": 1, "side": 1, "3": 2}
    assert len(found.edges) == 4
    assert not found.missing
    assert not found.stopped


@given(st.permutations(chain(5)), st.integers(0, 4))
def test_what_came_first_does_not_matter(rows: list[Row], start: int) -> None:
    found = around(rows, str(start))
    assert ids(found) == {str(n): n - start for n in range(5)}
    assert found == around(chain(5), str(start))


def test_a_cause_that_is_not_there_yet_is_named_and_linked_when_it_comes() -> None:
    effect = row(id="2", cause="1")
    assert around([effect], "2").missing == ("1",)
    found = around([effect, row(id="1", offset=1)], "2")
    assert not found.missing
    assert len(found.edges) == 1


def test_circles_end() -> None:
    rows = [row(id="1", cause="3"), row(id="2", cause="1", offset=1), row(id="3", cause="2", offset=2)]
    for start in "123":
        found = around(rows, start)
        assert len(found.nodes) == len(found.edges) == 3
        assert not found.stopped
    itself = around([row(id="1", cause="1")], "1")
    assert len(itself.nodes) == len(itself.edges) == 1


def test_what_is_too_deep_is_cut_off_and_says_so() -> None:
    found = around(chain(50), "25", depth_max=3)
    assert ids(found) == {str(n): n - 25 for n in range(22, 29)}
    assert found.stopped == ("it has causes more than 3 steps back", "it has effects more than 3 steps on")
    assert not around(chain(7), "3", depth_max=3).stopped


def test_what_is_too_wide_is_cut_off_and_says_so() -> None:
    rows = [row(id="0"), *(row(id=f"e{n}", cause="0", offset=n) for n in range(1, 20))]
    found = around(rows, "0", nodes_max=10)
    assert len(found.nodes) == 10
    assert found.stopped == ("there are more than 10 signals in it",)


def test_an_id_of_two_sources_may_be_either() -> None:
    rows = [row(id="1"), row(id="1", source="/b", offset=1), row(id="2", cause="1", offset=2)]
    found = around(rows, "2")
    assert len(found.edges) == 2


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["", *"abcdx"])), max_size=12),
    st.sampled_from("abcd"),
    st.integers(1, 4),
    st.integers(1, 5),
)
def test_any_rows_give_a_graph_within_its_bounds(
    pairs: list[tuple[str, str]], start: str, depth_max: int, nodes_max: int
) -> None:
    rows = [row(id=id_, cause=cause, offset=n, source=f"/{n % 2}") for n, (id_, cause) in enumerate(pairs)]
    found = around(rows, start, depth_max=depth_max, nodes_max=nodes_max)
    assert len(found.nodes) <= nodes_max
    assert all(abs(node.depth) <= depth_max for node in found.nodes)
    refs = {node.ref for node in found.nodes}
    assert all(cause in refs and effect in refs for cause, effect in found.edges)
