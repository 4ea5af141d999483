"""Directives: what the pipeline was told of each, against its line in the audit; and the audit's chain.

A directive's end, its signal and its audit line are one step of the hop, so that signals and lines pair off in their
order, and the lines say how many directives have ended and how many wait.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec

from processors.directives import kinds
from processors.directives.audit import digest_of
from processors.directives.record import HOP, Status
from processors.ledger.finding import Fault, Finding
from processors.vocabulary.record import Record

TENANTS_MAX: Final = 65_536
"""Of all lanes: whose audit's end is remembered. What comes of one that was forgotten begins anew."""
WAITING_MAX: Final = 65_536
"""Of all lanes: directives known to wait."""
_ENDED: Final = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED})

Word = tuple[str, str, str, str]
"""Tenant, key, status and event: what both say."""


class _Line(msgspec.Struct):
    """The part of an audit line that is looked at."""

    sequence: int
    previous: str
    tenant: str
    directive: str
    key: str
    outcome: Status
    event: str = ""
    due_ms: int = 0
    kept: bool = True


class _Data(msgspec.Struct):
    key: str
    status: str


class _Told(msgspec.Struct):
    """The part of a signal that is looked at."""

    tenantid: str
    causationid: str
    data: _Data


_line: Final = msgspec.json.Decoder(_Line).decode
_told: Final = msgspec.json.Decoder(_Told).decode


@dataclass(slots=True)
class Tally:
    """What the lines of one time say, and what was told then."""

    handled: int = 0
    rejected: int = 0
    waiting: int = 0
    """Those that wait more, less those that wait no longer."""
    unknown: int = 0
    """Ends of directives of which it is not known whether they waited: they began before the check."""
    told: list[Word] = field(default_factory=list)
    lines: list[Word] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Add what another time says."""
        self.handled += other.handled
        self.rejected += other.rejected
        self.waiting += other.waiting
        self.unknown += other.unknown
        self.told += other.told
        self.lines += other.lines


@dataclass(slots=True)
class Telling:
    """What is known of one lane's directives."""

    lane: int
    tenants_max: int
    waiting_max: int
    _heads: dict[str, tuple[int, str]] = field(default_factory=dict)
    _waits: dict[tuple[str, str], None] = field(default_factory=dict)

    def restart(self) -> None:
        """Forget what cannot be told any more after records were passed over."""
        self._heads.clear()
        self._waits.clear()

    def take_line(self, record: Record, tally: Tally) -> Iterator[Finding]:
        """Take the next line of the audit."""
        packed = record.value or b""
        try:
            line = _line(packed)
        except msgspec.DecodeError as error:
            yield self._broken(record, f"cannot be read: {error}")
            return
        yield from self._chain(record, line, packed)
        tally.lines.append((line.tenant, line.key, line.outcome.value, line.event))
        if line.outcome is Status.REJECTED:
            tally.rejected += 1
        else:
            self._count(line, tally)

    def _count(self, line: _Line, tally: Tally) -> None:
        at = (line.tenant, line.key)
        waited = at in self._waits
        if line.outcome in _ENDED:
            tally.handled += 1
            if waited:
                del self._waits[at]
                tally.waiting -= 1
            elif _may_have_waited(line):
                tally.unknown += 1
            return
        if not waited:
            tally.waiting += 1
            tally.unknown += line.outcome is Status.RUNNING and line.due_ms > 0
            self._waits[at] = None
            if len(self._waits) > self.waiting_max:
                del self._waits[next(iter(self._waits))]

    def _chain(self, record: Record, line: _Line, packed: bytes) -> Iterator[Finding]:
        before = self._heads.pop(line.tenant, None)
        if before is not None and line.sequence != before[0] + 1:
            yield self._broken(record, f"is entry {line.sequence} of {line.tenant}, after entry {before[0]}")
        elif before is not None and line.previous != before[1]:
            yield self._broken(record, f"does not follow from entry {before[0]} of {line.tenant}")
        self._heads[line.tenant] = (line.sequence, digest_of(packed).hex())
        if len(self._heads) > self.tenants_max:
            del self._heads[next(iter(self._heads))]

    def _broken(self, record: Record, what: str) -> Finding:
        text = f"the line at {self.lane}/{record.offset} {what}"
        return Finding(Fault.AUDIT_BROKEN, self.lane, HOP, text, at_ms=record.timestamp)

    def take_told(self, record: Record, tally: Tally) -> Iterator[Finding]:
        """Take a signal that tells where a directive stands."""
        try:
            told = _told(record.value or b"")
        except msgspec.DecodeError as error:
            text = f"the signal at {self.lane}/{record.offset} that tells of a directive cannot be read: {error}"
            yield Finding(Fault.TELLING_DIFFERS, self.lane, HOP, text, at_ms=record.timestamp)
            return
        tally.told.append((told.tenantid, told.data.key, told.data.status, told.causationid))

    def judge(self, tally: Tally, at_ms: int) -> Iterator[Finding]:
        """Compare what was told with the lines."""
        if tally.told == tally.lines:
            return
        untold = _without(tally.lines, tally.told)
        unsaid = _without(tally.told, tally.lines)
        parts = [f"{len(untold)} lines without a signal"] if untold else []
        parts += [f"{len(unsaid)} signals without a line"] if unsaid else []
        example = (untold or unsaid or tally.told)[0]
        text = f"{' and '.join(parts) or 'in another order'}, such as {example[0]}/{example[1]} {example[2]}"
        yield Finding(Fault.TELLING_DIFFERS, self.lane, HOP, text, max(1, len(untold) + len(unsaid)), at_ms)


def _may_have_waited(line: _Line) -> bool:
    """Tell whether a directive that ends may have been known before: it had a time, or takes several commits."""
    kind = kinds.BY_NAME.get(line.directive)
    return line.due_ms > 0 or (kind is not None and kind.go_on is not None)


def _without(some: list[Word], others: list[Word]) -> list[Word]:
    rest = list(others)
    found = []
    for word in some:
        if word in rest:
            rest.remove(word)
        else:
            found.append(word)
    return found
