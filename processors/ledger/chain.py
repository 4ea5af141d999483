"""The lane's journal and its positions as they go on: each follows from the one before, and both say the same."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from processors import journal, position
from processors.journal import Entry
from processors.lane import ledger_mismatches
from processors.ledger.finding import LANE, Fault, Finding
from processors.position import Position, UnreadableFormatError
from processors.step import Outcome
from processors.vocabulary.record import Record

_FALLS: Final = f"/{Outcome.DEFERRED}"
"""The one kind of term that may become less: what waited has gone on."""


class NewerFormatError(Exception):
    """Written by a newer version than this one: nothing can be said about the lane."""


@dataclass(slots=True)
class Chain:
    """What is known of one lane's commits that are not judged yet."""

    lane: int
    entries: dict[int, Entry] = field(default_factory=dict)
    """By commit number: those behind the last judged one."""
    offsets: dict[int, int] = field(default_factory=dict)
    """Where each of them stands in the journal."""
    positions: dict[int, Position] = field(default_factory=dict)
    """By commit number, as far as the state's topic has them."""
    last: Entry | None = None
    newest: Position | None = None
    applied: dict[str, int] = field(default_factory=dict)
    """Up to where the journal says that each topic was stepped."""
    repeated: int = 0

    def begin(self, base: Position) -> None:
        """Go on behind a position that was judged."""
        self.newest = base
        self.applied = dict(base.applied)
        self.last = Entry(0, base.sequence, base.now_ms, ())

    def restart(self) -> None:
        """Forget all but the newest position: what comes next need not follow."""
        self.entries.clear()
        self.offsets.clear()
        self.positions.clear()
        self.applied.clear()
        self.last = None

    def _found(self, fault: Fault, text: str, records: int = 1, at_ms: int = 0) -> Finding:
        return Finding(fault, self.lane, LANE, text, records, at_ms)

    def take_entry(self, record: Record) -> Iterator[Finding]:
        """Take the next record of the journal. Raises `NewerFormatError`."""
        try:
            entry = journal.unpack(record.value or b"")
        except msgspec.DecodeError as error:
            yield self._found(Fault.UNREADABLE, f"journal {self.lane}/{record.offset}: {error}")
            return
        if entry is None:
            raise NewerFormatError
        last = self.last
        if last is not None and entry.sequence <= last.sequence:
            text = f"commit {entry.sequence} stands in the journal at {record.offset}, after commit {last.sequence}"
            yield self._found(Fault.JOURNAL_REPEATED, text, at_ms=entry.now_ms)
            self.repeated += 1
            return
        if last is not None and entry.sequence > last.sequence + 1:
            missing = entry.sequence - last.sequence - 1
            text = f"commit {last.sequence} is followed by commit {entry.sequence}"
            yield self._found(Fault.JOURNAL_GAP, text, missing, entry.now_ms)
        if last is not None and entry.now_ms < last.now_ms:
            text = f"commit {entry.sequence} says {entry.now_ms} ms, the one before {last.now_ms} ms"
            yield self._found(Fault.TIME_WENT_BACK, text, at_ms=entry.now_ms)
        yield from self._ranges(entry)
        self.last = entry
        self.entries[entry.sequence] = entry
        self.offsets[entry.sequence] = record.offset

    def _ranges(self, entry: Entry) -> Iterator[Finding]:
        for topic, first, after in entry.ranges:
            before = self.applied.get(topic, first)
            where = f"commit {entry.sequence} steps {topic} {first} to {after}; the one before ended at {before}"
            if first > before:
                yield self._found(Fault.RANGE_JUMPS, where, first - before, entry.now_ms)
            elif first < before or after <= first:
                yield self._found(Fault.RANGE_OVERLAPS, where, max(1, before - first), entry.now_ms)
            self.applied[topic] = max(after, before)

    def take_position(self, record: Record) -> Iterator[Finding]:
        """Take the next position of the state's topic. Raises `NewerFormatError`."""
        try:
            found = position.unpack(record.value or b"")
        except msgspec.DecodeError as error:
            yield self._found(Fault.UNREADABLE, f"position at state {self.lane}/{record.offset}: {error}")
            return
        except UnreadableFormatError as error:
            raise NewerFormatError from error
        newest = self.newest
        if newest is not None:
            if why := _went_back(newest, found):
                yield self._found(Fault.POSITION_WENT_BACK, f"state {record.offset}: {why}", at_ms=found.now_ms)
                # What comes next is compared with the furthest that was seen.
                return
            yield from self._terms(newest, found)
        self.newest = found
        self.positions[found.sequence] = found

    def _terms(self, before: Position, after: Position) -> Iterator[Finding]:
        for term, count in before.ledger.items():
            now = after.ledger.get(term, 0)
            if now < count and not term.endswith(_FALLS):
                hop = term.partition("/")[0]
                text = f"{term} was {count} at commit {before.sequence} and is {now} at commit {after.sequence}"
                yield Finding(Fault.TERM_WENT_BACK, self.lane, hop, text, now - count, after.now_ms)
        known = ledger_mismatches(before.ledger)
        for hop, by in ledger_mismatches(after.ledger).items():
            if by != known.get(hop, 0):
                text = f"at commit {after.sequence} {by} records more came in than have ended"
                yield Finding(Fault.UNBALANCED, self.lane, hop, text, by - known.get(hop, 0), after.now_ms)

    def disagreement(self, sequence: int) -> Finding | None:
        """Compare what journal and state say of one commit; the latter must be there."""
        entry, found = self.entries[sequence], self.positions[sequence]
        said = {topic: after for topic, _, after in entry.ranges}
        stands = {topic: found.applied.get(topic, 0) for topic in said}
        if said == stands and found.now_ms == entry.now_ms:
            return None
        text = (
            f"commit {sequence}: the journal has {said} at {entry.now_ms} ms, the state {stands} at {found.now_ms} ms"
        )
        return self._found(Fault.POSITION_DIFFERS, text, at_ms=entry.now_ms)

    def forget(self, upto: int) -> None:
        """Let go of what was judged. The last position stays the newest."""
        for kept in (self.entries, self.offsets, self.positions):
            for sequence in [sequence for sequence in kept if sequence <= upto]:
                del kept[sequence]


def _went_back(before: Position, after: Position) -> str:
    """Say how a position goes back; nothing if it does not."""
    if after.sequence < before.sequence:
        return f"commit {after.sequence} after commit {before.sequence}"
    if after.now_ms < before.now_ms:
        return f"{after.now_ms} ms after {before.now_ms} ms"
    for topic, offset in before.applied.items():
        if after.applied.get(topic, 0) < offset:
            return f"{topic} {after.applied.get(topic, 0)} after {offset}"
    if after.sequence == before.sequence and not _same(before.applied, after.applied):
        return f"commit {after.sequence} has applied {dict(before.applied)}, and then {dict(after.applied)}"
    return ""


def _same(one: Mapping[str, int], other: Mapping[str, int]) -> bool:
    return dict(one) == dict(other)
