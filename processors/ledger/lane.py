"""One lane's books: commits are judged as soon as all that they wrote has been read, by their terms and their records.

Theory of operation. A *cut* is a commit behind which the lane's time has moved on, or the lane has come to rest: what
was written up to its time is what it and those before it wrote. Between two cuts of which the positions are known, the
ledger's terms must have grown by what the topics hold: records in the ranges, outputs, dead letters, audit lines.
What all of it needs is that everything up to the cut was read: see `books.Books.look`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from processors.directives.record import HOP as DIRECTIVES
from processors.ingest.tenant import HOP as INGEST
from processors.lane import IN
from processors.ledger.chain import Chain
from processors.ledger.finding import LANE, Fault, Finding
from processors.ledger.inputs import DOOR, INPUTS, Inputs, Taken
from processors.ledger.moves import Moves
from processors.ledger.written import Group, Written
from processors.position import Position
from processors.step import Outcome
from processors.vocabulary import topics

COMMITS_MAX: Final = 10_000
"""Of one lane, not judged yet. Beyond it, or beyond the records, the lane begins anew and says what it left out."""
RECORDS_MAX: Final = 400_000


@dataclass(frozen=True, slots=True)
class _Counted:
    """What the topics hold between two cuts."""

    group: Group
    taken: Mapping[str, Taken]
    first: Mapping[str, int]
    queues_known: bool
    """Whether the state was read as it was written: the cleaner has taken nothing out of it."""


@dataclass(slots=True)
class LaneBooks:
    """What is known of one lane and not judged yet."""

    lane: int
    chain: Chain
    written: Written
    moves: Moves
    inputs: Inputs = field(default_factory=Inputs)
    anchor: Position | None = None
    """The last cut; None until there is one to begin from."""
    sure_from: int = 0
    """The commit number from which on the state was read as it was written, before the cleaner came."""
    past_ms: int = 0
    """Commits of this time or later may still come to be judged."""
    judged: int = 0
    skipped: int = 0
    reached: int = -1
    """The last commit number that was judged or passed over; -1 before the first."""

    def begin(self, base: Position | None) -> None:
        """Begin behind a position of which nothing after it has been missed."""
        self.anchor = base or Position()
        self.pass_over(self.anchor.sequence)
        self.written.closed_ms = self.anchor.now_ms
        self.sure_from = self.anchor.sequence
        self.chain.begin(self.anchor)

    def lose(self) -> None:
        """Begin anew with the next cut: what lies before it cannot be judged. Nothing was left out in the reading."""
        self.anchor = None
        self.written.closed_ms = -1
        self.chain.entries.clear()
        self.chain.offsets.clear()

    def restart(self) -> None:
        """Begin anew with what comes, for something was left out in the reading."""
        self.lose()
        self.chain.restart()
        self.written.restart()
        self.inputs.restart()
        self.moves.restart()

    def pass_over(self, sequence: int) -> None:
        """Note that commits up to a number are not judged; before the first one that is, they do not count."""
        self.skipped += max(0, sequence - self.reached) if self.reached >= 0 else 0
        self.reached = max(self.reached, sequence)

    def overfull(self) -> bool:
        """Tell whether more waits than is kept."""
        waiting = self.written.outputs() + self.inputs.count()
        return len(self.chain.entries) > COMMITS_MAX or waiting > RECORDS_MAX

    def complete(self, upto: int, *, quiet: bool) -> Iterator[Finding]:
        """Judge what was committed up to a number, all of which has been read.

        `quiet`: all that was read of the lane belongs to its commits so far.
        """
        for sequence in self._cuts(upto, quiet=quiet):
            last = quiet and self.chain.last is not None and sequence == self.chain.last.sequence
            if self.anchor is None:
                self._anchor(sequence)
            else:
                yield from self._judge(self.anchor, sequence, everything=last)
        if quiet and self.anchor is not None:
            yield from self._at_rest()
        if self.anchor is not None:
            self.past_ms = self.anchor.now_ms + quiet

    def _cuts(self, upto: int, *, quiet: bool) -> list[int]:
        entries, positions = self.chain.entries, self.chain.positions
        last = max(entries, default=-1)
        return [
            sequence
            for sequence, entry in sorted(entries.items())
            if sequence <= upto
            and sequence in positions
            and (
                (sequence + 1 in entries and entries[sequence + 1].now_ms > entry.now_ms)
                or (quiet and sequence == last)
            )
        ]

    def _anchor(self, sequence: int) -> None:
        """Begin here: what was written up to this commit may have been missed in part."""
        self.anchor = self.chain.positions[sequence]
        self.pass_over(sequence)
        self.sure_from = max(self.sure_from, sequence)
        self._close(self.anchor, everything=False)
        for topic in INPUTS:
            applied = self.anchor.applied.get(topic, 0)
            self.chain.applied.setdefault(topic, applied)
            self.inputs.upto(topic, 0, applied)

    def _close(self, at: Position, *, everything: bool) -> dict[int, Group]:
        groups = self.written.close(None if everything else at.now_ms)
        self.written.closed_ms = at.now_ms
        self.chain.forget(at.sequence)
        return groups

    def _judge(self, before: Position, sequence: int, *, everything: bool) -> Iterator[Finding]:
        chain = self.chain
        numbers = [number for number in sorted(chain.entries) if number <= sequence]
        entries = [chain.entries[number] for number in numbers]
        for number in numbers:
            if number in chain.positions:
                found = chain.disagreement(number)
                if found is not None:
                    yield found
            elif number > self.sure_from:
                text = f"commit {number} is in the journal; the state has no position of it"
                yield Finding(Fault.POSITION_MISSING, self.lane, LANE, text, at_ms=chain.entries[number].now_ms)
        after = chain.positions[sequence]
        first = {topic: at for entry in reversed(entries) for topic, at, _ in entry.ranges} | dict(before.applied)
        taken = {topic: self.inputs.upto(topic, first.get(topic, 0), after.applied.get(topic, 0)) for topic in INPUTS}
        times = {entry.now_ms for entry in entries}
        total = Group()
        for at_ms, group in self._close(after, everything=everything).items():
            if at_ms in times:
                yield from self.written.telling.judge(group.tally, at_ms)
                total.add(group)
            else:
                yield from self._orphan(at_ms, group)
        counted = _Counted(total, taken, first, before.sequence >= self.sure_from)
        yield from self._ends(counted, after)
        yield from self._terms(counted, before, after)
        self.moves.moved(before.now_ms, after.now_ms, _grown(before, after, INGEST, Outcome.MOVED), times)
        self.anchor = after
        self.judged += len(numbers)
        self.reached = sequence

    def _orphan(self, at_ms: int, group: Group) -> Iterator[Finding]:
        if group.outputs:
            text = f"{group.outputs} records of {at_ms} ms, such as {group.example}: no commit has this time"
            yield Finding(Fault.WITHOUT_COMMIT, self.lane, LANE, text, group.outputs, at_ms)

    def _ends(self, counted: _Counted, after: Position) -> Iterator[Finding]:
        """See that what is the end of an input record names one that was there to be stepped."""
        there = {topic: set(counted.taken[topic].offsets) for topic in INPUTS}
        for topic, offset in counted.group.ended:
            if topic not in there:
                continue
            unstepped = offset >= after.applied.get(topic, 0)
            if unstepped or (offset >= counted.first.get(topic, 0) and offset not in there[topic]):
                what = "was not stepped yet" if unstepped else "is not there, or was not committed"
                text = f"a record was written as the end of {topic} {self.lane}/{offset}, which {what}"
                yield Finding(Fault.UNFOUNDED, self.lane, INGEST, text, at_ms=after.now_ms)

    def _terms(self, counted: _Counted, before: Position, after: Position) -> Iterator[Finding]:
        group, tally = counted.group, counted.group.tally
        came = sum(len(counted.taken[topic].offsets) for topic in DOOR)
        dead = group.dead.get(INGEST, 0) + group.dead.get("", 0)
        handled = group.signals + group.directives
        counts: dict[tuple[str, str], int] = {
            (INGEST, IN): came,
            (INGEST, Outcome.HANDLED): handled,
            (INGEST, Outcome.DEAD): dead,
            (DIRECTIVES, IN): len(counted.taken[topics.DIRECTIVES].offsets) + group.looped,
            (DIRECTIVES, Outcome.OUT_OF_SCOPE): counted.taken[topics.DIRECTIVES].stepped,
            (DIRECTIVES, Outcome.HANDLED): tally.handled,
            (DIRECTIVES, Outcome.REJECTED): tally.rejected,
            (DIRECTIVES, Outcome.DEAD): group.dead.get(DIRECTIVES, 0),
        }
        if counted.queues_known:
            counts[INGEST, Outcome.DEFERRED] = group.queued
            # What has left no trace has been seen before, as the lane says.
            moved = _grown(before, after, INGEST, Outcome.MOVED)
            counts[INGEST, Outcome.DUPLICATE] = came - handled - dead - moved - group.queued
        if not tally.unknown:
            counts[DIRECTIVES, Outcome.DEFERRED] = tally.waiting
            counts[DIRECTIVES, Outcome.DUPLICATE] = counts[DIRECTIVES, IN] - sum(
                counts[DIRECTIVES, outcome]
                for outcome in (
                    Outcome.OUT_OF_SCOPE,
                    Outcome.HANDLED,
                    Outcome.REJECTED,
                    Outcome.DEAD,
                    Outcome.DEFERRED,
                )
            )
        commits = f"commits {before.sequence + 1} to {after.sequence}"
        for (hop, term), count in counts.items():
            said = _grown(before, after, hop, term)
            if count != said:
                text = f"{commits}: {hop}/{term} grew by {said} in the ledger, and the topics hold {count}"
                yield Finding(Fault.TERM_DIFFERS, self.lane, hop, text, count - said, after.now_ms)

    def _at_rest(self) -> Iterator[Finding]:
        """With all read and nothing going on: nothing may be left over, and journal and state end alike."""
        for at_ms, group in self.written.close(None).items():
            yield from self._orphan(at_ms, group)
        newest, last = self.chain.newest, self.chain.last
        if newest is None or last is None:
            return
        if newest.sequence > last.sequence:
            text = f"the state is at commit {newest.sequence}, the journal ends with {last.sequence}"
            missing = newest.sequence - last.sequence
            yield Finding(Fault.JOURNAL_MISSING, self.lane, LANE, text, missing, newest.now_ms)
        elif self.chain.entries:
            numbers = sorted(self.chain.entries)
            text = f"the journal has commits {numbers[0]} to {numbers[-1]}, the state ends with {newest.sequence}"
            yield Finding(Fault.POSITION_MISSING, self.lane, LANE, text, len(numbers), last.now_ms)
        if newest.sequence != last.sequence:
            self.lose()


def _grown(before: Position, after: Position, hop: str, term: str) -> int:
    name = f"{hop}/{term}"
    return after.ledger.get(name, 0) - before.ledger.get(name, 0)
