"""All lanes' books, kept from the outside: fed with what the topics hold, they say what does not add up.

A caller feeds the committed records of each partition in their order (`take`), and between two feedings asks where the
partitions end (`look`). A commit's outputs take their offsets before its journal record does. So once its journal
record is known, all that it wrote lies below the ends that are asked for then.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from processors.ledger.chain import Chain, NewerFormatError
from processors.ledger.ended import ENDED_MAX, Ended
from processors.ledger.finding import LANE, Fault, Finding
from processors.ledger.inputs import DOOR, INPUTS
from processors.ledger.lane import LaneBooks
from processors.ledger.moves import Ends, Moves, origins
from processors.ledger.telling import TENANTS_MAX, WAITING_MAX, Telling
from processors.ledger.written import ORDER_TENANTS_MAX, OUTPUTS, Written
from processors.position import POSITION_KEY, Position
from processors.vocabulary import topics
from processors.vocabulary.record import Record

WRITTEN: Final = (*OUTPUTS, topics.STATE)
OWN: Final = (*WRITTEN, topics.JOURNAL)
"""Topics of which a lane's partition is written by the lane alone."""
TOPICS: Final = (*DOOR, *OWN)
"""All that is read."""
COMMITS_FULL: Final = 1_000
OUTPUTS_FULL: Final = 50_000
"""Of one lane, not judged yet: a caller should read on where the lane is behind, and nowhere else."""
FINDINGS_MAX: Final = 1_000
"""Kept until somebody takes them; more are counted only."""


@dataclass(frozen=True, slots=True)
class _Barrier:
    """Once these ends are reached, all that was written up to a commit has been read."""

    sequence: int
    ends: Ends


@dataclass(slots=True)
class Books:
    """The books of all lanes."""

    count: int
    lanes: list[LaneBooks] = field(init=False)
    found: list[Finding] = field(default_factory=list)
    unsaid: int = 0
    """Findings that were too many to be kept."""
    newer: set[int] = field(default_factory=set)
    """Lanes of which a newer version writes: nothing can be said of them."""
    _barriers: dict[int, _Barrier] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lanes = [self._make(lane) for lane in range(self.count)]

    def _make(self, lane: int) -> LaneBooks:
        share = max(1, self.count)
        ended = Ended(max(1_024, ENDED_MAX // share))
        telling = Telling(lane, max(256, TENANTS_MAX // share), max(256, WAITING_MAX // share))
        written = Written(lane, self.count, ended, telling, max(1_024, ORDER_TENANTS_MAX // share))
        return LaneBooks(lane, Chain(lane), written, Moves(lane, ended))

    def begin(self, lane: int, base: Position | None, directives_from: int = 0) -> None:
        """Begin a lane's books behind its position, of which all that was written after it will be fed."""
        self.restart(lane, directives_from)
        self.lanes[lane].begin(base)

    def restart(self, lane: int, directives_from: int = 0, passed: int = -1) -> None:
        """Begin a lane's books anew with what comes: all that is written after the first commit that will be fed.

        What `directives` holds before an offset is what waits to be read back. Commits up to `passed` will not be fed.
        """
        self.newer.discard(lane)
        self.lanes[lane].restart()
        self.lanes[lane].pass_over(passed)
        self.lanes[lane].written.directives_from = directives_from
        self._barriers.pop(lane, None)

    def take(self, topic: str, lane: int, records: Sequence[Record]) -> None:
        """Take the next committed records of a partition."""
        if lane in self.newer:
            return
        books = self.lanes[lane]
        try:
            self._note(self._taken(books, topic, lane, records))
        except NewerFormatError:
            self.restart(lane)
            self.newer.add(lane)

    def overfull(self) -> bool:
        """Tell whether more waits than is kept: the caller is to begin anew with what comes."""
        return any(books.overfull() for books in self.lanes)

    def _taken(self, books: LaneBooks, topic: str, lane: int, records: Sequence[Record]) -> Iterator[Finding]:
        if topic in INPUTS:
            books.inputs.take(topic, records)
        if topic in OUTPUTS:
            yield from books.written.take(topic, records)
        elif topic == topics.STATE:
            for record in records:
                if record.key == POSITION_KEY:
                    yield from books.chain.take_position(record)
            books.written.take_queues(records)
        elif topic == topics.JOURNAL:
            for record in records:
                yield from books.written.follows(topic, books.written.runs[topic], record)
                yield from books.chain.take_entry(record)
        else:
            for origin, offset, record in origins(records):
                if origin < self.count and origin != lane:
                    self.lanes[origin].moves.arrived(topic, record, offset)

    def _note(self, findings: Iterator[Finding]) -> None:
        for finding in findings:
            if finding.fault is Fault.JOURNAL_GAP:
                # Of what lies around it nothing can be said.
                self.lanes[finding.lane].lose()
            if len(self.found) < FINDINGS_MAX:
                self.found.append(finding)
            else:
                self.unsaid += 1

    def drain(self) -> list[Finding]:
        """Return what was found since the last time."""
        found, self.found = self.found, []
        return found

    def look(self, ends: Ends, read: Ends, live: Container[int] = ()) -> None:
        """Judge what can be judged.

        `ends` are the high watermarks of all partitions, asked for after all that was fed; `read` is up to where each
        has been fed. `live` are the lanes of which the state was read up to its end, as it was at the look before.
        """
        doors = {(topic, lane): ends[topic, lane] for topic in DOOR for lane in range(self.count)}
        for lane, books in enumerate(self.lanes):
            if lane not in self.newer:
                self._note(self._look(lane, books, ends, read, live=lane in live))
                self._note(books.moves.look(doors, lambda wanted: _reached(wanted, read), books.past_ms))

    def _look(self, lane: int, books: LaneBooks, ends: Ends, read: Ends, *, live: bool) -> Iterator[Finding]:
        chain = books.chain
        known = chain.last.sequence if chain.last is not None else 0
        books.past_ms = books.anchor.now_ms if books.anchor is not None else 0
        if not live:
            books.sure_from = known
        yield from self._beyond(lane, books, ends)
        barrier = self._barriers.get(lane)
        if barrier is not None and _reached(barrier.ends, read):
            del self._barriers[lane]
            yield from books.complete(barrier.sequence, quiet=False)
        if (passed := self._passed(lane, ends, read)) is not None:
            yield from books.complete(passed, quiet=False)
        own = {(topic, lane): ends[topic, lane] for topic in OWN}
        stepped = self._stepped(lane, ends)
        if _reached({**own, **stepped}, read):
            for topic in (*OUTPUTS, topics.JOURNAL):
                yield from books.written.tail(topic, ends[topic, lane])
            yield from books.complete(known, quiet=True)
            self._barriers.pop(lane, None)
        elif lane not in self._barriers and chain.entries:
            del own[topics.JOURNAL, lane]
            self._barriers[lane] = _Barrier(known, {**own, **stepped})

    def _passed(self, lane: int, ends: Ends, read: Ends) -> int | None:
        """Return up to which commit the reading has passed in every partition: it met a later time there, or the end.

        This is what goes on while the check catches up, and the ends are far away.
        """
        books, found = self.lanes[lane], None
        runs = books.written.runs
        behind = [runs[topic].timestamp for topic in WRITTEN if read.get((topic, lane), 0) < ends[topic, lane]]
        horizon_ms = min(behind, default=None)
        for sequence, entry in sorted(books.chain.entries.items()):
            if horizon_ms is not None and entry.now_ms >= horizon_ms:
                break
            if any(t in DOOR and read.get((t, lane), 0) < min(after, ends[t, lane]) for t, _, after in entry.ranges):
                break
            found = sequence
        return found

    def full(self, lane: int) -> bool:
        """Tell whether so much of a lane waits that only what is behind should be read: see `reached_ms`."""
        books = self.lanes[lane]
        return len(books.chain.entries) > COMMITS_FULL or books.written.outputs() > OUTPUTS_FULL

    def reached_ms(self, topic: str, lane: int) -> int:
        """Return the time of the last record that was taken of one of the lane's own partitions."""
        return self.lanes[lane].written.runs[topic].timestamp

    def _beyond(self, lane: int, books: LaneBooks, ends: Ends) -> Iterator[Finding]:
        """See that nothing was stepped that is not there."""
        applied = books.chain.applied
        for topic in INPUTS:
            end = ends[topic, lane]
            if applied.get(topic, 0) > end:
                text = f"{topic} was stepped up to {applied[topic]}, and ends at {end}"
                yield Finding(Fault.RANGE_BEYOND_END, lane, LANE, text, applied[topic] - end)
                applied[topic] = end

    def _stepped(self, lane: int, ends: Ends) -> dict[tuple[str, int], int]:
        """Return up to where the door's topics must be read to judge its commits."""
        applied = self.lanes[lane].chain.applied
        return {(topic, lane): min(applied.get(topic, 0), ends[topic, lane]) for topic in DOOR}

    def wanted(self, topic: str, lane: int) -> int:
        """Return up to where an input of the door is wanted now: no further than its lane has stepped it."""
        return self.lanes[lane].chain.applied.get(topic, 0)

    def needed_from(self, topic: str, lane: int) -> int | None:
        """Return from where on a partition would be needed again to go on from the last cut; None if not at all."""
        books = self.lanes[lane]
        if topic == topics.JOURNAL:
            return min(books.chain.offsets.values(), default=None)
        if topic in DOOR:
            return books.inputs.first(topic)
        return books.written.needed_from(topic) if topic in OUTPUTS else None

    @property
    def judged(self) -> int:
        """How many commits' books were checked."""
        return sum(books.judged for books in self.lanes)

    @property
    def skipped(self) -> int:
        """How many commits were passed over: at the beginning, when too much waited, or after something unreadable."""
        return sum(books.skipped for books in self.lanes)


def _reached(wanted: Mapping[tuple[str, int], int], read: Ends) -> bool:
    return all(read.get(at, 0) >= offset for at, offset in wanted.items())
