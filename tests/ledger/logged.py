"""A lane in memory and the topics that it leaves behind: transactions with markers, to be changed and read back."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from processors.lane import Commit
from processors.ledger import Books, Finding
from processors.ledger.books import TOPICS
from processors.step import Output
from processors.vocabulary import topics
from processors.vocabulary.record import PlainRecord
from tests.processors.lanes import LaneInMemory

Place = tuple[str, int]
LANE: Final = 0


@dataclass(slots=True)
class Transaction:
    """What one commit writes."""

    now_ms: int
    writes: dict[Place, list[Output]]
    marked: bool = True
    """Whether a marker follows in each partition."""


@dataclass(slots=True)
class Logged:
    """One lane of one, its inputs and its transactions in their order."""

    lane: LaneInMemory = field(default_factory=LaneInMemory)
    transactions: list[Transaction] = field(default_factory=list)
    inputs: list[PlainRecord] = field(default_factory=list)

    def step(self, *values: bytes | None, topic: str = topics.SIGNALS_IN) -> None:
        """Step a batch of one topic at a later time."""
        self.lane.now_ms += 7
        records = [self.lane.record(value, topic=topic) for value in values]
        self.inputs += records
        self.transactions.append(_transaction(self.lane.step(*records)))

    def partitions(self) -> dict[Place, tuple[list[PlainRecord], int]]:
        """Return what each partition holds, and where it ends."""
        found: dict[Place, list[PlainRecord]] = {(topic, LANE): [] for topic in TOPICS}
        ends = dict.fromkeys(found, 0)
        for record in self.inputs:
            found[record.topic, LANE].append(record)
            ends[record.topic, LANE] = record.offset + 1
        for transaction in self.transactions:
            for (topic, number), outputs in transaction.writes.items():
                place = (topic, number)
                if place not in found:
                    continue
                for key, value, headers in outputs:
                    record = PlainRecord(topic, number, ends[place], transaction.now_ms, key, value, tuple(headers))
                    found[place].append(record)
                    ends[place] += 1
                ends[place] += bool(outputs) and transaction.marked
        return {place: (records, ends[place]) for place, records in found.items()}

    def checked(self, choose: Callable[[int], int]) -> Iterator[Finding]:
        """Read it all in an order that is chosen, with looks in between; yield what is found.

        `choose(n)` returns a number below n. All of it has been written when the reading begins: the ends are far.
        """
        partitions, books = self.partitions(), Books(1)
        books.begin(LANE, None)
        ends = {place: end for place, (_, end) in partitions.items()}
        read = dict.fromkeys(partitions, 0)
        while any(read[place] < ends[place] for place in partitions):
            open_ = [place for place in sorted(partitions) if read[place] < ends[place]]
            place = open_[choose(len(open_))]
            records = [record for record in partitions[place][0] if record.offset >= read[place]]
            part = records[: 1 + choose(5)]
            books.take(*place, part)
            # Behind the last one there are only markers, which move the position when nothing is left to read.
            read[place] = part[-1].offset + 1 if part and part != records else ends[place]
            if not choose(3):
                books.look(ends, dict(read), {LANE})
        for _ in range(3):
            books.look(ends, dict(read), {LANE})
        yield from books.drain()


def _transaction(commit: Commit) -> Transaction:
    writes = {place: list(outputs) for place, outputs in commit.outputs.items() if outputs}
    writes[topics.STATE, LANE] = [(key, value, []) for key, value in commit.changes.items()]
    writes[topics.JOURNAL, LANE] = [(b"0", commit.journal, [])]
    return Transaction(commit.position.now_ms, writes)
