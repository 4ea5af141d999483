"""Who caused what: the graph around a signal, both ways, along `causationid`. Pure: lookups come as functions.

A link is a text that names an id of the same tenant. So it does not matter which of the two came first, and a cause
that comes late is linked when it is there. An id may belong to several sources; then each of them may be the cause.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from streams.history.rows import Row

DEPTH_MAX: Final = 64
NODES_MAX: Final = 1_000
ROWS_A_STEP_MAX: Final = 4_000

Look = Callable[[Sequence[str], int], Sequence[Row]]
"""Takes ids and how many rows at most; returns rows of one tenant."""


@dataclass(frozen=True, slots=True)
class Node:
    """A signal of the graph."""

    ref: str
    depth: int
    """Steps from the signal that was asked for: below 0 on the causes' side."""
    rows: tuple[Row, ...]
    """All that history has of it."""


@dataclass(frozen=True, slots=True)
class Graph:
    """What is known of causes and effects."""

    nodes: tuple[Node, ...]
    edges: tuple[tuple[str, str], ...]
    """Cause and effect, by their references."""
    missing: tuple[str, ...]
    """Ids that are named as causes and are not there: a command, something older, or something still to come."""
    stopped: tuple[str, ...]
    """Why it is not the whole; empty if it is."""


@dataclass(slots=True)
class _Walk:
    """What has been met so far."""

    nodes_max: int
    depths: dict[str, int] = field(default_factory=dict)
    rows: dict[str, dict[tuple[str, int, int], Row]] = field(default_factory=dict)
    stopped: dict[str, None] = field(default_factory=dict)

    def add(self, row: Row, depth: int) -> bool:
        """Take a row in; tell whether its signal is new."""
        ref = row.ref
        fresh = ref not in self.depths
        if fresh and len(self.depths) >= self.nodes_max:
            self.stopped[f"there are more than {self.nodes_max} signals in it"] = None
            return False
        self.depths.setdefault(ref, depth)
        self.rows.setdefault(ref, {})[row.topic, row.lane, row.offset] = row
        return fresh


def graph_of(
    start: Sequence[Row], look_up: Look, look_down: Look, *, depth_max: int = DEPTH_MAX, nodes_max: int = NODES_MAX
) -> Graph:
    """Return the graph around a signal, given by its rows. `look_up` finds ids, `look_down` what ids have caused."""
    walk = _Walk(nodes_max)
    for row in start:
        walk.add(row, 0)
    _climb(walk, start, look_up, depth_max)
    _descend(walk, start, look_down, depth_max)
    return _assembled(walk)


def _climb(walk: _Walk, start: Sequence[Row], look: Look, depth_max: int) -> None:
    wanted = _causes(start)
    asked: set[str] = set()
    for depth in range(1, depth_max + 2):
        wanted = [each for each in wanted if each not in asked]
        if not wanted:
            return
        if depth > depth_max:
            walk.stopped[f"it has causes more than {depth_max} steps back"] = None
            return
        asked.update(wanted)
        found = _looked(walk, look, wanted)
        wanted = _causes([row for row in found if walk.add(row, -depth)])


def _descend(walk: _Walk, start: Sequence[Row], look: Look, depth_max: int) -> None:
    wanted = list(dict.fromkeys(row.id for row in start if row.id))
    asked: set[str] = set()
    for depth in range(1, depth_max + 2):
        wanted = [each for each in wanted if each not in asked]
        if not wanted:
            return
        asked.update(wanted)
        found = _looked(walk, look, wanted)
        if depth > depth_max:
            if any(row.ref not in walk.depths for row in found):
                walk.stopped[f"it has effects more than {depth_max} steps on"] = None
            return
        wanted = list(dict.fromkeys(row.id for row in found if walk.add(row, depth)))


def _looked(walk: _Walk, look: Look, wanted: Sequence[str]) -> Sequence[Row]:
    found = look(wanted, ROWS_A_STEP_MAX)
    if len(found) >= ROWS_A_STEP_MAX:
        walk.stopped[f"one step has {ROWS_A_STEP_MAX} rows or more"] = None
    return found


def _causes(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row.cause for row in rows if row.cause))


def _assembled(walk: _Walk) -> Graph:
    nodes = [
        Node(ref, depth, tuple(row for _, row in sorted(walk.rows[ref].items()))) for ref, depth in walk.depths.items()
    ]
    by_id: dict[str, dict[str, None]] = {}
    for node in nodes:
        for row in node.rows:
            by_id.setdefault(row.id, {})[node.ref] = None
    edges: dict[tuple[str, str], None] = {}
    missing: dict[str, None] = {}
    for node in nodes:
        for row in node.rows:
            if row.cause and row.cause not in by_id:
                missing[row.cause] = None
            edges.update(dict.fromkeys((cause, node.ref) for cause in by_id.get(row.cause, {}) if row.cause))
    nodes.sort(key=lambda node: (node.depth, node.rows[0].at_ms, node.ref))
    return Graph(tuple(nodes), tuple(sorted(edges)), tuple(sorted(missing)), tuple(walk.stopped))
