"""A Kafka of plain objects: partitions, transactions that span them, markers, fencing, compaction.

What is modelled is what a client can see of it. A transaction's records take offsets at once and are held
back by the last stable offset until its marker stands in that partition; the markers are written one by
one, some time after the commit was decided; the group's offsets are one more partition in this. A new
producer of a transactional id raises its epoch, ends the open transaction, and must wait until all of its
markers are written. Requests of an older epoch are refused, however late they come.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from processors.step import Output
from processors.vocabulary import topics as names
from processors.vocabulary.record import Header

TRANSACTION_TIMEOUT_MS: Final = 12_000
ECHO: Final = "echo"
"""The output of the simulation's own second hop."""
TOPICS: Final = (
    names.SIGNALS_IN,
    names.COMMANDS,
    names.DIRECTIVES,
    names.AUDIT,
    names.EXPORTS,
    names.SIGNALS,
    names.DEAD_LETTERS,
    names.STATE,
    names.JOURNAL,
    ECHO,
)
ACTIVE_RECORDS: Final = 3
"""The end of a compacted partition that the cleaner leaves alone."""


class FencedError(Exception):
    """A request of an epoch that is not the newest."""


class InvalidStateError(Exception):
    """A request that does not fit the transaction's state."""


class BusyError(Exception):
    """The transaction before is not finished yet: ask again."""


@dataclass(slots=True, eq=False)
class Transaction:
    """One transaction: open until it is decided, pending until every marker is written."""

    producer: str
    epoch: int
    began_ms: int
    commits: bool | None = None
    """None while it is open."""
    unmarked: list["Partition"] = field(default_factory=list)
    """Partitions that hold records of it and no marker yet."""
    offsets: dict[tuple[str, int], int] = field(default_factory=dict)

    @property
    def pending(self) -> bool:
        """Whether it is decided and some marker is still to be written."""
        return self.commits is not None and bool(self.unmarked or self.offsets)


@dataclass(slots=True, eq=False)
class Stored:
    """A record in a partition; to a reader it is a `Record` as it stands."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[Header]
    producer: str = ""
    transaction: Transaction | None = None
    control: bool = False
    horizon_ms: int = 0
    """Of a tombstone: until when the cleaner keeps it. Set when the cleaner first meets it."""

    @property
    def committed(self) -> bool:
        """Whether a reader of committed records may see it, once it is below the last stable offset."""
        return not self.control and (self.transaction is None or self.transaction.commits is True)


@dataclass(slots=True, eq=False)
class Partition:
    """Offsets never change; compaction leaves gaps. `archive` keeps what was compacted away."""

    topic: str
    number: int
    records: list[Stored] = field(default_factory=list)
    archive: list[Stored] = field(default_factory=list)
    next_offset: int = 0
    open: dict[Transaction, int] = field(default_factory=dict)
    """Transactions without a marker here, each with its first offset."""

    @property
    def stable(self) -> int:
        """The last stable offset: nothing below it is undecided."""
        return min(self.open.values(), default=self.next_offset)

    def append(
        self,
        key: bytes | None,
        value: bytes | None,
        headers: Iterable[Header],
        timestamp: int,
        *,
        producer: str,
        transaction: Transaction | None = None,
        control: bool = False,
    ) -> int:
        """Add a record at the end; return its offset."""
        offset = self.next_offset
        if transaction is not None and not control and transaction not in self.open:
            self.open[transaction] = offset
            transaction.unmarked.append(self)
        stored = Stored(
            self.topic, self.number, offset, timestamp, key, value, tuple(headers),
            producer, transaction, control,
        )  # fmt: skip
        self.records.append(stored)
        self.archive.append(stored)
        self.next_offset = offset + 1
        return offset

    def mark(self, transaction: Transaction, now_ms: int) -> None:
        """Write the marker that ends a transaction here."""
        del self.open[transaction]
        self.append(
            None, None, (), now_ms,
            producer=transaction.producer, transaction=transaction, control=True,
        )  # fmt: skip

    def read(self, start: int, limit: int) -> tuple[list[Stored], int]:
        """Return committed records from an offset on, and the offset after the last one looked at."""
        end = self.stable
        found: list[Stored] = []
        records = self.records
        at = start
        for index in range(bisect_left(records, start, key=_offset), len(records)):
            record = records[index]
            if len(found) >= limit:
                return found, at
            if record.offset >= end:
                break
            at = record.offset + 1
            if record.committed:
                found.append(record)
        return found, max(at, end)

    def committed(self) -> list[Stored]:
        """Return everything that was ever committed here and is visible."""
        end = self.stable
        return [record for record in self.archive if record.offset < end and record.committed]

    def compact(self, now_ms: int, delete_retention_ms: int) -> int:
        """Keep the newest record of each key, forget old tombstones; return how many are gone."""
        end = min(self.stable, self.next_offset - ACTIVE_RECORDS)
        newest = {record.key: record.offset for record in self.records if record.offset < end and record.committed}
        before = len(self.records)
        for record in self.records:
            if record.value is None and record.offset < end and not record.horizon_ms:
                record.horizon_ms = now_ms + delete_retention_ms
        self.records = [
            record
            for record in self.records
            if record.offset >= end
            or (
                record.committed
                and newest[record.key] == record.offset
                and (record.value is not None or now_ms < record.horizon_ms)
            )
        ]
        return before - len(self.records)


def _offset(record: Stored) -> int:
    return record.offset


@dataclass(slots=True)
class Cluster:
    """All partitions, the transaction coordinator and the group's offsets."""

    lanes: int
    clock: Callable[[], int]
    partitions: dict[tuple[str, int], Partition] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    current: dict[str, Transaction] = field(default_factory=dict)
    offsets: dict[tuple[str, int], int] = field(default_factory=dict)
    timed_out: int = 0
    aborted: int = 0
    refused: int = 0
    """Requests of producers that were fenced before."""

    def __post_init__(self) -> None:
        for topic in TOPICS:
            for lane in range(self.lanes):
                self.partitions[topic, lane] = Partition(topic, lane)

    def send(
        self, topic: str, lane: int, key: bytes | None, value: bytes | None, headers: Iterable[Header], timestamp: int
    ) -> int:
        """Append a record of a producer outside, without a transaction."""
        partition = self.partitions[topic, lane]
        return partition.append(key, value, headers, timestamp, producer="outside")

    def fence(self, producer: str) -> int:
        """Raise the epoch and end what is open; raise `BusyError` until it is ended. Return the epoch."""
        transaction = self.current.get(producer)
        if transaction is not None and transaction.commits is None:
            self.epochs[producer] = self.epochs[producer] + 1
            self.decide(transaction, commits=False)
        if transaction is not None and transaction.pending:
            raise BusyError
        self.epochs[producer] = self.epochs.get(producer, -1) + 1
        self.current.pop(producer, None)
        return self.epochs[producer]

    def _check(self, producer: str, epoch: int) -> None:
        if self.epochs.get(producer) != epoch:
            self.refused += 1
            raise FencedError(producer)

    def begin(self, producer: str, epoch: int) -> Transaction:
        """Return the producer's open transaction, a new one if there is none."""
        self._check(producer, epoch)
        found = self.current.get(producer)
        if found is not None and found.pending:
            raise BusyError
        if found is None or found.commits is not None:
            found = self.current[producer] = Transaction(producer, epoch, self.clock())
        return found

    def produce(
        self, producer: str, epoch: int, topic: str, lane: int, outputs: Iterable[Output], timestamp: int
    ) -> int:
        """Append records within the transaction; return the offset after the last of them."""
        transaction = self.begin(producer, epoch)
        partition = self.partitions[topic, lane]
        end = 0
        for key, value, headers in outputs:
            offset = partition.append(
                key, value, headers, timestamp,
                producer=producer, transaction=transaction,
            )  # fmt: skip
            end = offset + 1
        return end

    def add_offsets(self, producer: str, epoch: int, offsets: Mapping[tuple[str, int], int]) -> None:
        """Let the group's offsets move with the transaction."""
        self.begin(producer, epoch).offsets.update(offsets)

    def end(self, producer: str, epoch: int, *, commits: bool) -> None:
        """Decide the open transaction."""
        self._check(producer, epoch)
        transaction = self.current.get(producer)
        if transaction is None or transaction.commits is not None:
            raise InvalidStateError(producer)
        self.decide(transaction, commits=commits)

    def decide(self, transaction: Transaction, *, commits: bool) -> None:
        """Log the decision; the markers follow."""
        transaction.commits = commits
        if not commits:
            self.aborted += 1
            transaction.offsets.clear()

    def pending(self) -> list[Transaction]:
        """Return what is decided and not marked everywhere."""
        return [transaction for transaction in self.current.values() if transaction.pending]

    def mark_one(self, transaction: Transaction, choice: int) -> None:
        """Write one of the markers that are still to be written."""
        places = len(transaction.unmarked) + bool(transaction.offsets)
        at = choice % places
        if at < len(transaction.unmarked):
            transaction.unmarked.pop(at).mark(transaction, self.clock())
        else:
            self.offsets.update(transaction.offsets)
            transaction.offsets.clear()

    def time_out(self) -> None:
        """End transactions that are open for too long, and fence their producers."""
        for transaction in self.current.values():
            if transaction.commits is None and self.clock() - transaction.began_ms > TRANSACTION_TIMEOUT_MS:
                self.epochs[transaction.producer] += 1
                self.decide(transaction, commits=False)
                self.timed_out += 1
