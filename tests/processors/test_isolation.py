"""No input of one tenant changes another's state, outputs, limits or counts.

Two worlds with the same clock: in one a lane steps what all of its tenants send, in the other only what one of them
does, at the same offsets. For that one nothing may be different, byte by byte.
"""

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from processors.ingest import queue
from processors.vocabulary import headers as names
from processors.vocabulary import ids, topics
from processors.vocabulary.record import PlainRecord
from processors.vocabulary.timestamps import rfc3339
from tests.processors.lanes import LaneInMemory, event

OURS = "ours"
TENANTS = (OURS, "ours2", "b")
SET = "hopline.tenant.set"
LIMITS: tuple[dict[str, Any], ...] = (
    {"rate_per_second": 1.0, "burst": 1, "queue_records": 2},
    {"rate_per_second": 1.0, "burst": 1, "over": "refuse"},
    {"rate_per_second": 0.0},
    {"dedupe_window_ms": 0},
    {"dedupe_window_ms": 2_000},
    {"burst": 0},
)
PLAIN = (
    *(f"hopline.tenant.{what}" for what in ("create", "suspend", "resume", "delete")),
    "hopline.agent.pause",
    "hopline.agent.resume",
)

Action: TypeAlias = tuple[str, dict[str, Any]]
"""The topic, and what is special about the event."""
Sent: TypeAlias = tuple[str, Action]
Batches: TypeAlias = list[tuple[int, list[Sent]]]


def command(type_: str, data: dict[str, Any], key: str = "", delay_ms: int = 0) -> Action:
    keyed = {"idempotencykey": key} if key else {}
    return topics.COMMANDS, {"type": type_, "data": data, "delay_ms": delay_ms, **keyed}


def signal(id_: str, source: str = "/shop") -> Action:
    return topics.SIGNALS_IN, {"id": id_, "source": source}


KEYS = st.sampled_from(["", "k1", "k2"])
DELAYS = st.sampled_from([0, 0, 700])
ACTIONS = st.one_of(
    st.builds(signal, st.sampled_from(["1", "2", "3"]), st.sampled_from(["/s", "/t"])),
    st.builds(signal, st.sampled_from(["1", "2", "3"])),
    st.builds(command, st.just(SET), st.sampled_from(LIMITS), KEYS, DELAYS),
    st.builds(command, st.sampled_from(PLAIN), st.just({}), KEYS, DELAYS),
    st.builds(
        command, st.just("hopline.directive.cancel"), st.sampled_from([{"key": "k1"}, {"key": "k2"}]), st.just("")
    ),
    st.just((topics.SIGNALS_IN, {"type": "a..b"})),
)
BATCHES = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 400, 1_000, 5_000]),
        st.lists(st.tuples(st.sampled_from(TENANTS), ACTIONS), max_size=6),
    ),
    min_size=1,
    max_size=8,
)


class World:
    """A lane, and what one tenant sees of it."""

    def __init__(self) -> None:
        self.lane = LaneInMemory()

    def step(self, by_ms: int, records: Iterable[PlainRecord]) -> Iterator[Any]:
        self.lane.now_ms += by_ms
        commit = self.lane.step(*records)
        for (topic, lane), outputs in sorted(commit.outputs.items()):
            yield from ((topic, lane, output) for output in outputs if _whose(output) == OURS)
        yield {term: by[OURS] for term, by in commit.tally.items() if OURS in by}
        begin = b"K%b\x00" % OURS.encode()
        yield {key: value for key, value in self.lane.store.values.items() if key.startswith(begin)}


def _whose(output: Any) -> str:
    key, _, headers = output
    dead = names.last(headers, names.DEAD_TENANT)
    return (dead if dead is not None else key or b"").decode()


def differences(batches: Batches) -> list[tuple[Any, Any]]:
    """Return what our tenant sees beside the others, and alone, where the two are not the same."""
    beside, alone = World(), World()
    found, count = [], 0
    for by_ms, sent in batches:
        records, ours = [], []
        for tenant, (topic, special) in sent:
            count += 1
            attributes = {"id": f"n{count}", **special}
            if delay_ms := attributes.pop("delay_ms", 0):
                attributes["notbefore"] = rfc3339(beside.lane.now_ms + by_ms + delay_ms)
            records.append(beside.lane.record(event(tenant, **attributes), topic=topic))
            if tenant == OURS:
                ours.append(records[-1])
        seen, seen_alone = list(beside.step(by_ms, records)), list(alone.step(by_ms, ours))
        if seen != seen_alone:
            found.append((seen, seen_alone))
    return found


@settings(max_examples=400)
@given(BATCHES)
@example([(0, [("b", signal("1")), (OURS, signal("1"))])])
@example([(0, [(OURS, command(SET, LIMITS[0], "k1", 700)), ("b", command(SET, LIMITS[0], "k1"))]), (1_000, [])])
def test_a_tenant_sees_the_same_as_if_it_were_alone(batches: Batches) -> None:
    assert not differences(batches)


def test_the_comparison_finds_ids_that_all_tenants_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processors.ingest.hop._member", lambda _topic, _record, signal: ids.digest(signal.id.encode()))
    assert differences([(0, [("b", signal("1")), (OURS, signal("1"))])])


def test_the_comparison_finds_a_release_that_others_use_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many are released in one tick as may be, for all tenants together: with far too few of them it shows."""
    monkeypatch.setattr(queue, "RELEASES_MAX", 1)
    slow = [(tenant, command(SET, LIMITS[0])) for tenant in ("b", OURS)]
    both = [(tenant, signal(id_)) for tenant in ("b", OURS) for id_ in ("1", "2")]
    assert differences([(0, slow), (0, both), (1_000, [])])
