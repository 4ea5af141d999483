"""Records on their way between lanes: what one says it has moved, against what arrives at the others.

A move is judged when all inputs have been read up to where they ended after the move was known. An input is read no
further than its lane has stepped it, so that a move to a lane that is behind is judged as late as the lane gets there.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from processors.ingest.tenant import HOP as INGEST
from processors.ledger.ended import MOVED, Ended
from processors.ledger.finding import Fault, Finding
from processors.vocabulary import headers as names
from processors.vocabulary.record import Record

EXPECTED_MAX: Final = 128
"""Of one lane. Beyond it the latest ones are judged together."""
TIMES_MAX: Final = 4_096
"""Of one expectation. Beyond it arrivals count whatever their time: one that a producer made up would, too."""
ARRIVALS_MAX: Final = 200_000
"""Of one lane, not judged yet. Beyond it those of the past are forgotten, and nothing is said of them."""

Ends = Mapping[tuple[str, int], int]


@dataclass(slots=True)
class _Expected:
    """What a lane has moved in some commits."""

    from_ms: int
    upto_ms: int
    moved: int
    times: set[int] | None
    also_from: bool
    """Whether one of them has the very time from which on it is: time may stand still."""
    unsure: bool = False
    """Whether others of that very time were passed over, so that nothing can be said."""
    ends: Ends | None = None
    """Where the inputs ended after that; None until somebody has asked."""


@dataclass(slots=True)
class Moves:
    """What one lane has moved to others."""

    lane: int
    ended: Ended
    _expected: deque[_Expected] = field(default_factory=deque)
    _arrived: dict[int, list[tuple[str, int, str]]] = field(default_factory=dict)
    """By the time of the move: topic and offset where it came from, and where it stands now."""
    _count: int = 0
    _fresh: bool = True

    def restart(self) -> None:
        """Forget what is on its way."""
        self._expected.clear()
        self._arrived.clear()
        self._count = 0
        self._fresh = True

    def arrived(self, topic: str, record: Record, offset: int) -> None:
        """Note a record that says that this lane has moved it."""
        where = f"{topic} {record.partition}/{record.offset}"
        self._arrived.setdefault(record.timestamp, []).append((topic, offset, where))
        self._count += 1
        if self._count > ARRIVALS_MAX:
            self.restart()

    def moved(self, from_ms: int, upto_ms: int, count: int, times: set[int]) -> None:
        """Expect what some commits have moved: those after a time, up to another."""
        latest = self._expected[-1] if self._expected else None
        also_from = from_ms in times
        if latest is not None and (latest.ends is None or also_from or len(self._expected) >= EXPECTED_MAX):
            latest.upto_ms, latest.moved, latest.ends = upto_ms, latest.moved + count, None
            if latest.times is not None:
                latest.times |= times
                latest.times = latest.times if len(latest.times) <= TIMES_MAX else None
        else:
            unsure = also_from and self._fresh
            self._expected.append(_Expected(from_ms, upto_ms, count, times, also_from, unsure))
            self._fresh = unsure

    def look(self, ends: Ends, reached: Callable[[Ends], bool], past_ms: int) -> Iterator[Finding]:
        """Judge what must have arrived by now. Of the time `past_ms` and after it there may be more to expect."""
        while self._expected:
            head = self._expected[0]
            if head.ends is None or head.upto_ms >= past_ms or not reached(head.ends):
                break
            yield from self._judge(self._expected.popleft())
        for expected in self._expected:
            if expected.ends is None:
                expected.ends = ends

    def _judge(self, expected: _Expected) -> Iterator[Finding]:
        there = 0
        for at_ms in sorted(at_ms for at_ms in self._arrived if at_ms <= expected.upto_ms):
            arrivals = self._arrived.pop(at_ms)
            self._count -= len(arrivals)
            before = at_ms < expected.from_ms or (at_ms == expected.from_ms and not expected.also_from)
            if before or (expected.times is not None and at_ms not in expected.times):
                # Before the check began; or of no commit: somebody outside has made the header up.
                continue
            for topic, offset, where in arrivals:
                fault = self.ended.add((topic, offset), MOVED)
                if fault is None:
                    there += 1
                    continue
                text = f"{where} says it was moved from {topic} {self.lane}/{offset}, which has ended before"
                yield Finding(fault, self.lane, INGEST, text, at_ms=at_ms)
                there += fault is not Fault.MOVED_TWICE
        if there != expected.moved and not expected.unsure:
            text = f"{expected.moved} records were moved up to {expected.upto_ms} ms, {there} have arrived"
            fault = Fault.MOVED_LOST if there < expected.moved else Fault.MOVED_TWICE
            yield Finding(fault, self.lane, INGEST, text, there - expected.moved, expected.upto_ms)


def origins(records: Sequence[Record]) -> Iterator[tuple[int, int, Record]]:
    """Yield those records that say they were moved, with the lane and the offset that they came from."""
    for record in records:
        for name, value in record.headers:
            if name == names.MOVED:
                lane, _, offset = bytes(value or b"").partition(b"/")
                if lane.isdigit() and offset.isdigit():
                    yield int(lane), int(offset), record
                break
