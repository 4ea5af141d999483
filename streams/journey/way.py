"""A signal's way as stages with a beginning and an end, and what came of it as ways of their own. Pure.

Times are those that the log and the lanes have written down. A stage begins where the one before it ends, so that all
of them together are the whole time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from processors.telemetry.trace import flagged
from streams.history.causality import Graph, Node
from streams.history.rows import AUDITED, DEAD, Row
from streams.history.shown import end_of

CHILDREN_MAX: Final = 200
"""Of all that came of a signal; a graph may have more."""
MOVED: Final = "moved"
WAITED: Final = "waited in the log"
DEFERRED: Final = "deferred"
CAUSED: Final = "until then"


@dataclass(frozen=True, slots=True)
class Found:
    """What the topics tell of a signal beside its row of history. 0 and empty where nothing does."""

    traceparent: str = ""
    entered_ms: int = 0
    """When it was written to the lane that it came to first, if it was moved from there."""
    taken_ms: int = 0
    """When its lane first stepped it; later it was let go, if it had to wait for its turn."""
    replay: str = ""


@dataclass(frozen=True, slots=True)
class Stage:
    """One piece of the way."""

    name: str
    began_ms: int
    ended_ms: int
    detail: str = ""

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.ended_ms - self.began_ms) / 1_000


@dataclass(frozen=True, slots=True)
class Way:
    """One signal's way, and what came of it."""

    ref: str
    tenant: str
    type: str
    id: str
    ends: tuple[str, ...]
    """How it ended at each hop, in words."""
    failed: bool
    stages: tuple[Stage, ...]
    trace_id: str = ""
    sampled: bool = False
    replay: str = ""
    caused: "tuple[Way, ...]" = ()
    causes: tuple[str, ...] = field(default=())
    """What led to it, as references."""

    @property
    def began_ms(self) -> int:
        """When it entered the log, or was made."""
        return self.stages[0].began_ms

    @property
    def ended_ms(self) -> int:
        """When all that came of it had come."""
        return max((self.stages[-1].ended_ms, *(each.ended_ms for each in self.caused)))

    @property
    def seconds(self) -> float:
        """How long its own way took."""
        return (self.stages[-1].ended_ms - self.began_ms) / 1_000


def way_of(graph: Graph, ref: str, found: Mapping[str, Found]) -> Way | None:
    """Return the way of one signal of a graph, with all below it; None if it is not there."""
    nodes = {node.ref: node for node in graph.nodes}
    below: dict[str, list[str]] = {}
    above: dict[str, list[str]] = {}
    for cause, effect in graph.edges:
        below.setdefault(cause, []).append(effect)
        above.setdefault(effect, []).append(cause)
    if ref not in nodes:
        return None
    # Depth by depth, each signal once: what has two causes stands below the first.
    order, children, seen = [ref], dict[str, list[str]](), {ref}
    for each in order:
        for effect in below.get(each, ()):
            if effect not in seen and effect in nodes and len(order) < CHILDREN_MAX:
                seen.add(effect)
                order.append(effect)
                children.setdefault(each, []).append(effect)
    made: dict[str, Way] = {}
    for each in reversed(order):
        own = _own(nodes[each], found.get(each, Found()))
        caused = sorted((made[effect] for effect in children.get(each, ())), key=lambda way: (way.began_ms, way.ref))
        made[each] = replace(own, caused=tuple(caused), causes=tuple(above.get(each, ())))
    return made[ref]


def _own(node: Node, found: Found) -> Way:
    rows = sorted(
        (row for row in node.rows if row.status != AUDITED), key=lambda row: (row.at_ms, row.topic, row.offset)
    )
    rows = rows or list(node.rows)
    first = rows[0]
    return Way(
        ref=node.ref,
        tenant=first.tenant,
        type=first.type,
        id=first.id,
        ends=tuple(dict.fromkeys(map(end_of, rows))),
        failed=any(row.status == DEAD for row in rows),
        stages=_stages(rows, found),
        trace_id=found.traceparent[3:35],
        sampled=flagged(found.traceparent.encode()),
        replay=found.replay,
    )


def _stages(rows: Sequence[Row], found: Found) -> tuple[Stage, ...]:
    first = rows[0]
    entered_ms = first.entered_ms or first.at_ms
    at_ms = min(found.entered_ms or entered_ms, entered_ms)
    stages = []
    if at_ms < entered_ms:
        stages.append(Stage(MOVED, at_ms, entered_ms, first.origin))
        at_ms = entered_ms
    for row in rows:
        done_ms = max(row.at_ms, at_ms)
        place = f"{row.topic} {row.lane}/{row.offset}"
        taken_ms = min(max(found.taken_ms, at_ms), done_ms) if found.taken_ms else done_ms
        if row is first and first.entered_ms:
            stages.append(Stage(WAITED, at_ms, taken_ms, first.origin))
            if taken_ms < done_ms:
                stages.append(Stage(DEFERRED, taken_ms, done_ms, "for its turn: the tenant's rate, or it was held"))
        elif done_ms > at_ms:
            stages.append(Stage(CAUSED, at_ms, done_ms))
        stages.append(Stage(end_of(row), done_ms, done_ms, place))
        at_ms = done_ms
    return tuple(stages)
