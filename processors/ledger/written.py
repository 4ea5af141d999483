"""What a lane has written, by the time of the commit that wrote it: counted, and each record looked at once.

All records of a commit carry the lane's time, which never runs backwards. So the records of some commits are those of
their times, whatever partition they stand in.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from processors.directives.record import HOP as DIRECTIVES
from processors.ingest.tenant import HOP as INGEST
from processors.ledger.ended import DEAD, SIGNAL, Ended, Place
from processors.ledger.finding import LANE, Fault, Finding
from processors.ledger.telling import Tally, Telling
from processors.vocabulary import headers as names
from processors.vocabulary import topics
from processors.vocabulary.partition import lane_of
from processors.vocabulary.record import Record

OUTPUTS: Final = (topics.SIGNALS, topics.DIRECTIVES, topics.DEAD_LETTERS, topics.AUDIT)
"""Written by the lane alone, in its transactions, and counted. `exports` and `access` are not looked at."""
RUNS: Final = (*OUTPUTS, topics.STATE, topics.JOURNAL)
ORDER_TENANTS_MAX: Final = 131_072
"""Of all lanes: tenants whose order is followed."""
_QUEUES: Final = (b"queue/", b"replayqueue/")
_KEY_PARTS: Final = 3


@dataclass(slots=True)
class Group:
    """What a lane has written at one time."""

    signals: int = 0
    """Those that the door let in."""
    directives: int = 0
    looped: int = 0
    """Of the directives: those that were stepped in the transaction that wrote them."""
    dead: dict[str, int] = field(default_factory=dict)
    """By the hop that set them aside."""
    ended: list[Place] = field(default_factory=list)
    """The input records of which these are the ends."""
    queued: int = 0
    """Records put into queues in state, less those taken out."""
    outputs: int = 0
    example: str = ""
    tally: Tally = field(default_factory=Tally)

    def add(self, other: "Group") -> None:
        """Add what was written at another time."""
        self.signals += other.signals
        self.directives += other.directives
        self.looped += other.looped
        for hop, count in other.dead.items():
            self.dead[hop] = self.dead.get(hop, 0) + count
        self.ended += other.ended
        self.queued += other.queued
        self.outputs += other.outputs
        self.tally.add(other.tally)


@dataclass(slots=True)
class _Run:
    """Where one topic's reading stands."""

    offset: int = -1
    """Of the last record; the next one of another time needs a marker between them."""
    timestamp: int = 0
    begins: deque[tuple[int, int]] = field(default_factory=deque)
    """For each time not judged yet: the time, and the offset of its first record."""


@dataclass(slots=True)
class Written:
    """What one lane has written and nobody has judged yet."""

    lane: int
    lanes: int
    ended: Ended
    telling: Telling
    order_max: int
    groups: dict[int, Group] = field(default_factory=dict)
    closed_ms: int = -1
    """What was written before this time has been judged; what comes of it now is too late."""
    runs: dict[str, _Run] = field(default_factory=lambda: {topic: _Run() for topic in RUNS})
    directives_from: int = 0
    """Those before it were written before the check began, and are read for what they are to their hop."""
    _order: dict[bytes, int] = field(default_factory=dict)

    def restart(self) -> None:
        """Forget what was not judged."""
        self.groups.clear()
        self.closed_ms = -1
        self.telling.restart()
        for run in self.runs.values():
            run.offset, run.timestamp = -1, 0
            run.begins.clear()

    def outputs(self) -> int:
        """Return how many outputs wait to be judged."""
        return sum(group.outputs for group in self.groups.values())

    def needed_from(self, topic: str) -> int | None:
        """Return the offset from which on a topic is still needed; None if all of it was judged."""
        begins = self.runs[topic].begins
        return begins[0][1] if begins else None

    def take(self, topic: str, records: Sequence[Record]) -> Iterator[Finding]:
        """Take the next records of one of `OUTPUTS`."""
        run = self.runs[topic]
        for record in records:
            if topic == topics.DIRECTIVES and record.offset < self.directives_from:
                continue
            yield from self.follows(topic, run, record)
            if record.timestamp < self.closed_ms:
                yield from self._late(topic, record)
                continue
            group = self._group(record.timestamp)
            group.outputs += 1
            if not group.example:
                group.example = f"{topic} {self.lane}/{record.offset}"
            if topic == topics.SIGNALS:
                yield from self._signal(record, group)
            elif topic == topics.DEAD_LETTERS:
                yield from self._dead(record, group)
            elif topic == topics.DIRECTIVES:
                yield from self._directive(record, group)
            else:
                yield from self._placed(topic, record)
                yield from self.telling.take_line(record, group.tally)

    def follows(self, topic: str, run: _Run, record: Record) -> Iterator[Finding]:
        """See that a marker stands between two commits' records: who writes without a transaction leaves none."""
        if record.timestamp != run.timestamp or run.offset < 0:
            if run.offset == record.offset - 1 >= 0:
                yield self._outside(topic, run.offset, record.timestamp)
            run.begins.append((record.timestamp, record.offset))
        run.offset, run.timestamp = record.offset, record.timestamp

    def tail(self, topic: str, end: int) -> Iterator[Finding]:
        """See that a marker stands behind the last record, where the partition ends for now."""
        run = self.runs[topic]
        if run.offset >= 0 and run.offset == end - 1:
            yield self._outside(topic, run.offset, run.timestamp)
            run.offset = -1

    def _outside(self, topic: str, offset: int, at_ms: int) -> Finding:
        text = f"no transaction's end stands behind {topic} {self.lane}/{offset}"
        return Finding(Fault.OUTSIDE_TRANSACTION, self.lane, LANE, text, at_ms=at_ms)

    def _group(self, at_ms: int) -> Group:
        group = self.groups.get(at_ms)
        if group is None:
            group = self.groups[at_ms] = Group()
        return group

    def _late(self, topic: str, record: Record) -> Iterator[Finding]:
        """Say of a record of a commit that was judged what it is."""
        found: Finding | None = None
        if topic == topics.SIGNALS:
            found = self._twice(record)
        elif topic == topics.DEAD_LETTERS:
            found = self._dead_twice(record)
        text = f"{topic} {self.lane}/{record.offset} came after the books of {record.timestamp} ms were closed"
        yield found or Finding(Fault.WITHOUT_COMMIT, self.lane, LANE, text, at_ms=record.timestamp)

    def _placed(self, topic: str, record: Record) -> Iterator[Finding]:
        key = record.key or b""
        if (own := lane_of(key, self.lanes)) != self.lane:
            text = f"{topic} {self.lane}/{record.offset} is {key.decode(errors='replace')}'s, whose lane is {own}"
            yield Finding(Fault.WRONG_LANE, self.lane, LANE, text, at_ms=record.timestamp)

    def _signal(self, record: Record, group: Group) -> Iterator[Finding]:
        came: bytes | None = None
        by: bytes | None = None
        replayed = False
        for name, value in record.headers:
            if name == names.CAME:
                came = value
            elif name == names.BY:
                by = value
            elif name == names.REPLAYED:
                replayed = True
        yield from self._placed(topics.SIGNALS, record)
        if by is not None:
            if by == DIRECTIVES.encode():
                yield from self.telling.take_told(record, group.tally)
            return
        offset = _offset_of(came)
        if offset is not None:
            fault = self.ended.add((topics.SIGNALS_IN, offset), SIGNAL)
            if fault is not None:
                yield self._again(fault, topics.SIGNALS, record, offset)
                if fault is Fault.OUTPUT_TWICE:
                    group.outputs -= 1
                    return
            else:
                yield from () if replayed else self._ordered(record, offset)
            group.ended.append((topics.SIGNALS_IN, offset))
        group.signals += 1

    def _twice(self, record: Record) -> Finding | None:
        if names.last(record.headers, names.BY) is not None:
            return None
        offset = _offset_of(names.last(record.headers, names.CAME))
        fault = None if offset is None else self.ended.add((topics.SIGNALS_IN, offset), SIGNAL)
        return None if fault is None or offset is None else self._again(fault, topics.SIGNALS, record, offset)

    def _again(self, fault: Fault, topic: str, record: Record, offset: int) -> Finding:
        text = f"{topic} {self.lane}/{record.offset} is the end of the input's {offset}, which has ended before"
        return Finding(fault, self.lane, INGEST, text, at_ms=record.timestamp)

    def _ordered(self, record: Record, offset: int) -> Iterator[Finding]:
        """See that a tenant's live signals come in the order of the log."""
        order, tenant = self._order, record.key or b""
        before = order.pop(tenant, -1)
        order[tenant] = max(before, offset)
        if len(order) > self.order_max:
            del order[next(iter(order))]
        if offset < before:
            text = f"{topics.SIGNALS} {self.lane}/{record.offset} came at {offset}, the tenant's one before at {before}"
            yield Finding(Fault.OUT_OF_ORDER, self.lane, INGEST, text, at_ms=record.timestamp)

    def _dead(self, record: Record, group: Group) -> Iterator[Finding]:
        hop = (names.last(record.headers, names.DEAD_HOP) or INGEST.encode()).decode(errors="replace")
        place = _dead_place(record)
        if place is not None:
            fault = self.ended.add(place, DEAD)
            if fault is not None:
                yield self._again(fault, topics.DEAD_LETTERS, record, place[1])
                if fault is Fault.DEAD_TWICE:
                    group.outputs -= 1
                    return
            group.ended.append(place)
        group.dead[hop] = group.dead.get(hop, 0) + 1

    def _dead_twice(self, record: Record) -> Finding | None:
        place = _dead_place(record)
        fault = None if place is None else self.ended.add(place, DEAD)
        return None if fault is None or place is None else self._again(fault, topics.DEAD_LETTERS, record, place[1])

    def _directive(self, record: Record, group: Group) -> Iterator[Finding]:
        yield from self._placed(topics.DIRECTIVES, record)
        group.directives += 1
        group.looped += any(name == names.STEPPED for name, _ in record.headers)

    def take_queues(self, records: Sequence[Record]) -> None:
        """Count which records of the state put something into a queue, or take it out."""
        if records:
            self.runs[topics.STATE].timestamp = records[-1].timestamp
        for record in records:
            parts = (record.key or b"").split(b"\0", _KEY_PARTS - 1)
            queued = len(parts) == _KEY_PARTS and parts[1] == INGEST.encode() and parts[2].startswith(_QUEUES)
            if queued and record.timestamp >= self.closed_ms:
                self._group(record.timestamp).queued += 1 if record.value is not None else -1

    def close(self, upto_ms: int | None) -> dict[int, Group]:
        """Hand over what was written up to a time, or all of it."""
        found = {at_ms: self.groups.pop(at_ms) for at_ms in sorted(self.groups) if upto_ms is None or at_ms <= upto_ms}
        for run in self.runs.values():
            while run.begins and (upto_ms is None or run.begins[0][0] <= upto_ms):
                run.begins.popleft()
        return found


def _offset_of(came: bytes | None) -> int | None:
    """Read where a record came from; None if nothing says it, as in what older versions wrote."""
    first = (came or b"").partition(b"/")[0]
    return int(first) if first.isdigit() else None


def _dead_place(record: Record) -> Place | None:
    """Return which input record of the lane a dead letter was; None if it was stepped before it had an offset."""
    topic = names.last(record.headers, names.DEAD_TOPIC)
    offset = names.last(record.headers, names.DEAD_OFFSET)
    lane = names.last(record.headers, names.DEAD_PARTITION)
    if topic is None or offset is None or not offset.isdigit() or lane != b"%d" % record.partition:
        return None
    return topic.decode(errors="replace"), int(offset)
