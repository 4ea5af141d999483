"""Compose the hops over one lane's records into a commit that a shell only has to carry out.

Theory of operation. A batch is some records of the lane's input topics and a time. `begin` opens a step
over the committed state; `stages` takes the batch through the hops in flow order; `finish` turns what they
left into a `Commit`: outputs, state changes, the offsets they reflect, one journal record. Nothing is
changed until the shell has carried the commit out; a step that fails is dropped.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from processors import journal, position
from processors.formats import NEWEST
from processors.position import POSITION_KEY, Position
from processors.state import Overlay, Store
from processors.step import LOOPS_MAX, Hop, Outcome, Output, Step, Verdict, Warm
from processors.telemetry import events
from processors.telemetry.event import Told
from processors.telemetry.trace import Span
from processors.vocabulary import headers as names
from processors.vocabulary import topics
from processors.vocabulary.reasons import Reason
from processors.vocabulary.record import PlainRecord, Record

OUTSIDE: Final = (topics.SIGNALS_IN, topics.COMMANDS)
"""Topics that others than the lane write: a header `stepped` means nothing there."""
IN: Final = "in"


@dataclass(frozen=True, slots=True)
class LaneSettings:
    """What a lane is told when it starts."""

    lane: int
    lanes: int
    hops: Sequence[Hop]
    write_format: int = NEWEST
    slow_ms: int = 0
    """A record that is older than this when it is stepped is traced; 0: none is for that."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """The topics that the lane reads."""
        return tuple(topic for hop in self.hops for topic in hop.inputs)


@dataclass(frozen=True, slots=True)
class Batch:
    """Records to step at one time. `next_offsets` may lie beyond them: markers take offsets too."""

    records: Mapping[str, Sequence[Record]] = field(default_factory=dict)
    next_offsets: Mapping[str, int] = field(default_factory=dict)
    verdicts: Mapping[tuple[str, int], Verdict] = field(default_factory=dict)
    ticks: bool = True


@dataclass(frozen=True, slots=True)
class Commit:
    """Everything that one transaction writes, and what it says about itself."""

    position: Position
    outputs: Mapping[tuple[str, int], Sequence[Output]]
    changes: Mapping[bytes, bytes | None]
    """State changes; the lane's position is among them, so restored state knows what it has applied."""
    journal: bytes
    tally: Mapping[tuple[str, Outcome], Mapping[str, int]]
    handled_ms: Sequence[int]
    due_ms: int | None
    records: int
    spans: Sequence[Span] = ()
    told: Sequence[Told] = ()
    """Events that are written in this very transaction."""
    came: Mapping[str, int] = field(default_factory=dict)
    """For each hop how many records it met."""
    dead: Mapping[tuple[str, str, Reason, str], Sequence[int]] = field(default_factory=dict)
    ended: Mapping[tuple[str, str], int] = field(default_factory=dict)
    late_ms: Mapping[str, Sequence[int]] = field(default_factory=dict)
    spans_dropped: int = 0
    warm: Warm = field(default_factory=dict)
    """For the next step, once this commit is carried out."""


def clock(last: Position, wall_ms: int) -> int:
    """Return the lane's time: never behind what was committed, whatever the wall clock does."""
    return max(last.now_ms, wall_ms)


def begin(
    settings: LaneSettings, last: Position, store: Store, batch: Batch, now_ms: int, warm: Warm | None = None
) -> Step:
    """Open a step over the committed state. `warm` is the step's own from now on: a caller must forget it."""
    return Step(
        lane=settings.lane,
        lanes=settings.lanes,
        now_ms=now_ms,
        sequence=last.sequence + 1,
        write_format=settings.write_format,
        overlay=Overlay(store),
        warm={} if warm is None else warm,
        verdicts=batch.verdicts,
        slow_before_ms=now_ms - settings.slow_ms if settings.slow_ms else 0,
    )


def stages(
    settings: LaneSettings, last: Position, step: Step, batch: Batch
) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield the work of a batch piece by piece, each with the name of the hop whose agent does it."""
    step.backlog.update(last.backlog)
    for hop in settings.hops:
        yield hop.name, partial(_first_pass, step, hop, batch)
    budget = LOOPS_MAX
    while (found := _loopable(settings, step, budget)) is not None:
        hop, topic = found
        budget -= _unlooped(step, topic)
        yield hop.name, partial(_loop, step, hop, topic)
    for topic in settings.inputs:
        waiting = _unlooped(step, topic)
        if waiting:
            # One that is not looped makes all after it wait for it: order is the log's.
            step.backlog[topic] = step.backlog.get(topic, 0) + waiting


def _first_pass(step: Step, hop: Hop, batch: Batch) -> None:
    """Step what was fetched, after what has fallen due."""
    if batch.ticks:
        hop.tick(step)
    for topic in hop.inputs:
        records = batch.records.get(topic, ())
        if topic not in OUTSIDE:
            records = _unstepped(step, hop, topic, records)
        if records:
            hop.step(step, topic, records)


def _unstepped(step: Step, hop: Hop, topic: str, records: Sequence[Record]) -> Sequence[Record]:
    """Drop what was stepped in the transaction that wrote it."""
    rest = [r for r in records if not any(name == names.STEPPED for name, _ in r.headers)]
    if len(rest) != len(records):
        step.count(hop.name, "", Outcome.OUT_OF_SCOPE, len(records) - len(rest))
    if rest:
        step.backlog[topic] = step.backlog.get(topic, 0) - len(rest)
    return rest


def _unlooped(step: Step, topic: str) -> int:
    if topic in OUTSIDE:
        return 0
    return len(step.outputs.get((topic, step.lane), ())) - step.looped.get(topic, 0)


def _loopable(settings: LaneSettings, step: Step, budget: int) -> tuple[Hop, str] | None:
    """Return a hop and the topic whose new outputs it may step at once."""
    for hop in settings.hops:
        for topic in hop.inputs:
            if not step.backlog.get(topic, 0) and 0 < _unlooped(step, topic) <= budget:
                return hop, topic
    return None


def _loop(step: Step, hop: Hop, topic: str) -> None:
    """Step the lane's own outputs in the transaction that writes them, and mark them so."""
    outputs = step.outputs[topic, step.lane]
    done = step.looped.get(topic, 0)
    mark = (names.STEPPED, b"%d" % step.sequence)
    looped = []
    for at in range(done, len(outputs)):
        key, value, headers = outputs[at]
        looped.append(PlainRecord(topic, step.lane, -1, step.now_ms, key, value, headers))
        outputs[at] = (key, value, [*headers, mark])
    step.looped[topic] = len(outputs)
    hop.step(step, topic, looped)


def finish(settings: LaneSettings, last: Position, step: Step, batch: Batch) -> Commit:
    """Turn the step into what one transaction writes."""
    applied = {**last.applied, **batch.next_offsets}
    ranges = tuple(
        (topic, last.applied.get(topic, 0), batch.next_offsets[topic])
        for topic in settings.inputs
        if topic in batch.next_offsets
    )
    count = sum(map(len, batch.records.values()))
    came = _came(settings, step, batch)
    after = replace(
        last,
        applied=applied,
        now_ms=step.now_ms,
        sequence=step.sequence,
        backlog={topic: waiting for topic, waiting in step.backlog.items() if waiting},
        ledger=_ledger(last, step, came),
    )
    changes = step.overlay.changes
    changes[POSITION_KEY] = position.pack(after, settings.write_format)
    entry = journal.Entry(
        v=settings.write_format,
        sequence=step.sequence,
        now_ms=step.now_ms,
        ranges=ranges,
        verdicts=journal.listed(batch.verdicts) if batch.verdicts else (),
        ticked=batch.ticks,
    )
    return Commit(
        position=after,
        outputs=step.outputs,
        changes=changes,
        journal=journal.pack(entry),
        tally=step.tally,
        handled_ms=step.handled_ms,
        due_ms=step.due_ms,
        records=count,
        spans=step.spans,
        told=_told(step),
        came=came,
        dead=step.dead,
        ended=step.ended,
        late_ms=step.late_ms,
        spans_dropped=step.spans_dropped,
        warm=step.warm,
    )


def _came(settings: LaneSettings, step: Step, batch: Batch) -> dict[str, int]:
    """Return for each hop how many records it met: those that were fetched, and those that were looped back."""
    return {
        hop.name: sum(len(batch.records.get(topic, ())) + step.looped.get(topic, 0) for topic in hop.inputs)
        for hop in settings.hops
    }


def _told(step: Step) -> Sequence[Told]:
    """Return the events: what was set aside is told by tenant and reason, so that a flood of it stays small."""
    for (hop, tenant, reason, topic), (count, first, last) in step.dead.items():
        metadata = {"reason": reason.value, "topic": topic, "first_offset": first, "last_offset": last}
        step.tell(events.SIGNAL_DEAD, {"count": count}, metadata, hop=hop, tenant=tenant)
        if reason is Reason.RATE_LIMITED:
            step.tell(events.USER_LIMIT_EXCEEDED, {"count": count}, {"limit": "rate"}, hop=hop, tenant=tenant)
    for (hop, tenant, replay), count in step.replayed.items():
        step.tell(events.SIGNAL_REPLAYED, {"count": count}, {"replay": replay}, hop=hop, tenant=tenant)
    return step.told


def _ledger(last: Position, step: Step, came: Mapping[str, int]) -> Mapping[str, int]:
    ledger = dict(last.ledger)
    for hop, count in came.items():
        if count:
            ledger[f"{hop}/{IN}"] = ledger.get(f"{hop}/{IN}", 0) + count
    for (name, outcome), tenants in step.tally.items():
        term = f"{name}/{outcome}"
        ledger[term] = ledger.get(term, 0) + sum(tenants.values())
    return ledger


def advance(
    settings: LaneSettings, last: Position, store: Store, batch: Batch, now_ms: int, warm: Warm | None = None
) -> Commit:
    """Step one batch: `begin`, `stages`, `finish` in one go, for who needs no agents between them."""
    step = begin(settings, last, store, batch, now_ms, warm)
    for _, work in stages(settings, last, step, batch):
        work()
    return finish(settings, last, step, batch)


def ledger_mismatches(ledger: Mapping[str, int]) -> dict[str, int]:
    """Return for each hop what came in and is not accounted for. Empty when nothing disappeared."""
    found = {}
    for term, came in ledger.items():
        hop, _, what = term.partition("/")
        if what == IN:
            ended = sum(ledger.get(f"{hop}/{outcome}", 0) for outcome in Outcome)
            if ended != came:
                found[hop] = came - ended
    return found
