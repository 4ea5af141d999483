"""The map of the pipeline: processes, hops and topics with their figures now, and what flows between them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from processors.alerting.rule import Severity
from processors.step import Outcome
from processors.telemetry import catalogue
from processors.vocabulary import topics
from streams.watch.figures import Now

GATEWAY: Final = "gateway"
WORKER: Final = "worker"
HISTORY: Final = "history"
WATCH: Final = "watch"
INGEST: Final = "ingest"
DIRECTIVES: Final = "directives"


class Kind(StrEnum):
    """What a node is."""

    PROCESS = "process"
    HOP = "hop"
    TOPIC = "topic"


class State(StrEnum):
    """How it is."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"
    UNKNOWN = "unknown"
    """Nobody has told of it lately."""


@dataclass(frozen=True, slots=True)
class Node:
    """Something on the map."""

    id: str
    title: str
    kind: Kind
    job: str
    """Whose samples tell of it."""


NODES: Final = (
    Node(GATEWAY, "Gateway", Kind.PROCESS, GATEWAY),
    Node(topics.SIGNALS_IN, "Signals in", Kind.TOPIC, WORKER),
    Node(topics.COMMANDS, "Commands", Kind.TOPIC, WORKER),
    Node(INGEST, "Ingest", Kind.HOP, WORKER),
    Node(DIRECTIVES, "Directives", Kind.HOP, WORKER),
    Node(topics.SIGNALS, "Signals", Kind.TOPIC, WORKER),
    Node(topics.DEAD_LETTERS, "Dead letters", Kind.TOPIC, WORKER),
    Node(HISTORY, "History", Kind.PROCESS, HISTORY),
    Node(WATCH, "Watch", Kind.PROCESS, WATCH),
)
"""In the order in which signals pass them. A hop that is added belongs in here: a test says so."""
EDGES: Final = (
    (GATEWAY, topics.SIGNALS_IN),
    (GATEWAY, topics.COMMANDS),
    (topics.SIGNALS_IN, INGEST),
    (topics.COMMANDS, INGEST),
    (INGEST, topics.SIGNALS),
    (INGEST, DIRECTIVES),
    (INGEST, topics.DEAD_LETTERS),
    (DIRECTIVES, topics.SIGNALS),
    (DIRECTIVES, topics.DEAD_LETTERS),
    (topics.SIGNALS, HISTORY),
    (topics.DEAD_LETTERS, HISTORY),
)
_WAITS: Final = {INGEST: (topics.SIGNALS_IN, topics.COMMANDS), DIRECTIVES: (topics.DIRECTIVES,)}
"""What waits for a hop lies in these topics."""
_NAMES_A_NODE: Final = ("hop", "topic", "flow", "job")
"""Labels of an alert that say what it is about."""


@dataclass(frozen=True, slots=True)
class Flow:
    """How much happens now, a second."""

    into: Mapping[str, float] = field(default_factory=dict)
    """By hop."""
    handled: Mapping[str, float] = field(default_factory=dict)
    dead: Mapping[str, float] = field(default_factory=dict)
    accepted: float | None = None
    """By gateways."""


def pipeline_map(now: Now, alerts: Iterable[Mapping[str, Any]], *, only: str = "") -> dict[str, Any]:
    """Return the map. `alerts` are those that are raised; for one tenant's eyes it shows that tenant's signals only."""
    flow = _flow_of_one(now) if only else _flow(now)
    figures = _figures(now, flow, only)
    states = _states(now, alerts)
    return {
        "at_ms": now.at_ms,
        "nodes": [
            {
                "id": node.id,
                "title": node.title,
                "kind": node.kind.value,
                "state": states[node.id].value,
                "figures": {name: value for name, value in figures[node.id].items() if value is not None},
            }
            for node in NODES
        ],
        "edges": [{"from": a, "to": b, "per_second": _along(a, b, flow)} for a, b in EDGES],
    }


def _flow(now: Now) -> Flow:
    accepted = 'result="accepted"'
    return Flow(
        into=now.rates(catalogue.HOP_INPUT, "hop"),
        handled=now.rates(catalogue.SIGNALS, "hop", f'outcome="{Outcome.HANDLED}"'),
        dead=now.rates(catalogue.DEAD_LETTERS, "hop"),
        accepted=now.rate(catalogue.GATEWAY_EVENTS, accepted),
    )


def _flow_of_one(now: Now) -> Flow:
    """Return a tenant's flow: what ended is all that is counted by tenant."""
    return Flow(
        into=now.rates(catalogue.SIGNALS, "hop"),
        handled=now.rates(catalogue.SIGNALS, "hop", f'outcome="{Outcome.HANDLED}"'),
        dead=now.rates(catalogue.SIGNALS, "hop", f'outcome="{Outcome.DEAD}"'),
    )


def _figures(now: Now, flow: Flow, only: str) -> dict[str, dict[str, float | None]]:
    found: dict[str, dict[str, float | None]] = {node.id: {} for node in NODES}
    for hop in (INGEST, DIRECTIVES):
        found[hop] |= {"per_second": flow.into.get(hop), "dead_per_second": flow.dead.get(hop)}
    found[topics.SIGNALS]["per_second"] = _sum(flow.handled.values())
    found[topics.DEAD_LETTERS]["per_second"] = _sum(flow.dead.values())
    if only:
        return found
    lags = now.sums(catalogue.LAG_RECORDS, "topic")
    ages = now.worst(catalogue.LAG_SECONDS, "topic")
    slowest = now.quantiles(0.99, catalogue.END_TO_END, "flow")
    for hop, waits in _WAITS.items():
        found[hop] |= {"lag": _sum(lags[one] for one in waits if one in lags), "p99_seconds": slowest.get(hop)}
    for topic in (topics.SIGNALS_IN, topics.COMMANDS):
        found[topic] |= {"lag": lags.get(topic), "lag_seconds": ages.get(topic)}
    found[topics.SIGNALS_IN]["per_second"] = flow.accepted
    found[topics.DEAD_LETTERS] |= {"waiting": now.highest(catalogue.DEAD_LETTERS_WAITING)}
    found[GATEWAY] |= {
        "per_second": flow.accepted,
        "p99_seconds": now.quantile(0.99, catalogue.GATEWAY_DURATION),
        "refused_per_second": now.rate(catalogue.GATEWAY_REFUSED),
        "inflight": now.one(f"sum ({catalogue.GATEWAY_INFLIGHT.name})"),
    }
    found[HISTORY] |= {
        "per_second": now.rate(catalogue.HISTORY_ROWS),
        "lag_seconds": now.highest(catalogue.HISTORY_LAG),
    }
    found[WATCH] |= {
        "per_second": now.rate(catalogue.SAMPLES),
        "lag_seconds": now.highest(catalogue.WATCH_BEHIND),
        "series": now.highest(catalogue.WATCH_SERIES),
    }
    return found


def _states(now: Now, alerts: Iterable[Mapping[str, Any]]) -> dict[str, State]:
    up = now.by("job", "max by (job) (up)")
    found = {node.id: State.OK if up.get(node.job) else State.UNKNOWN for node in NODES}
    for node in NODES:
        if up.get(node.job) == 0:
            found[node.id] = State.CRITICAL if node.kind is not Kind.TOPIC else State.UNKNOWN
    for alert in alerts:
        if alert["state"] != "firing" or alert["severity"] == Severity.INFO:
            continue
        worse = State.CRITICAL if alert["severity"] == Severity.CRITICAL else State.WARNING
        for name in _NAMES_A_NODE:
            node = alert["labels"].get(name, "")
            if node in found and found[node] is not State.CRITICAL:
                found[node] = worse
    return found


def _along(begin: str, end: str, flow: Flow) -> float | None:
    """Return how much goes from one node to another, as far as that is counted."""
    if end == topics.DEAD_LETTERS:
        return flow.dead.get(begin)
    if end == topics.SIGNALS:
        return flow.handled.get(begin)
    if (begin, end) == (INGEST, DIRECTIVES):
        return flow.into.get(DIRECTIVES)
    if (begin, end) == (GATEWAY, topics.SIGNALS_IN):
        return flow.accepted
    if (begin, end) == (topics.SIGNALS_IN, INGEST):
        # Commands are few and not counted apart on their way in; those that came through are taken off.
        into = flow.into.get(INGEST)
        return None if into is None else max(0.0, into - flow.into.get(DIRECTIVES, 0.0))
    if (begin, end) == (topics.COMMANDS, INGEST):
        return flow.into.get(DIRECTIVES)
    if begin == topics.SIGNALS:
        return _sum(flow.handled.values())
    if begin == topics.DEAD_LETTERS:
        return _sum(flow.dead.values())
    return None


def _sum(values: Iterable[float]) -> float | None:
    found = list(values)
    return sum(found) if found else None
