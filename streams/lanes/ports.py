"""What a lane's owner needs from outside: Kafka's side, the local store, agents and clocks.

The owner speaks to these protocols only, so that the simulation runs the very same owner against a
simulated log with transactions, crashes and zombies.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from processors.lane import Commit
from processors.state import Store
from processors.vocabulary.record import Record


class LaneLostError(Exception):
    """Another owner has fenced this one. Only a new assignment may take the lane again."""


class OutcomeUnknownError(Exception):
    """A transaction failed somewhere: its outcome is unknown. Discard the producer, retake the lane."""


class Writer(Protocol):
    """The lane's transactional producer. Starting it fenced every owner before this one."""

    async def commit(self, commit: Commit, *, due: Mapping[str, int]) -> int:
        """Write the commit in one transaction; return the changelog's next offset at the least.

        `due` are the input offsets. Raises `LaneLostError` when fenced, `OutcomeUnknownError` on any
        other failure; the writer is of no use after either.
        """

    async def discard(self) -> None:
        """Close it in whatever state it is, within a bounded time."""


class Reader(Protocol):
    """Reads the input topics of one lane, committed records only."""

    async def fetch(self, records_max: int, wait_ms: int) -> Mapping[str, Sequence[Record]]:
        """Return records by topic as they come, none after the wait."""

    def positions(self) -> Mapping[str, int]:
        """Return for each topic the offset of the next record, past markers and aborted ones."""

    def lag(self) -> Mapping[str, int]:
        """Return for each topic the records up to the last stable offset that are not read yet."""

    async def close(self) -> None:
        """Stop reading, within a bounded time."""


class ChangelogBatch(Protocol):
    """Some records of the changelog, and the offset after them."""

    @property
    def changes(self) -> Mapping[bytes, bytes | None]:
        """The newest value of each key."""

    @property
    def next_offset(self) -> int:
        """The offset to go on from."""

    @property
    def end_offset(self) -> int:
        """Where the changelog ends now."""

    @property
    def restart(self) -> bool:
        """Whether the start that was asked for is not in the log: forget what was there before this."""


class Kafka(Protocol):
    """The cluster, as far as one lane's owner deals with it."""

    async def fence(self, lane: int) -> Writer:
        """Start the lane's transactional producer: older owners can commit no more."""

    async def committed(self, lane: int) -> Mapping[str, int]:
        """Return the group's committed offsets of the lane's inputs, where there are any."""

    def changelog(self, lane: int, start: int | None) -> AsyncIterator[ChangelogBatch]:
        """Yield the changelog from an offset (None: its beginning) to its last stable offset now."""

    async def read(self, lane: int, start: Mapping[str, int]) -> Reader:
        """Begin to read the lane's inputs at the given offsets; the earliest for those not named."""


class LaneStore(Store, Protocol):
    """The local copy of a lane's state. It may be old or gone, never ahead of the changelog."""

    def changelog_offset(self) -> int | None:
        """Return up to where the changelog is in here; None if nothing usable is."""

    def apply(self, changes: Mapping[bytes, bytes | None], changelog_offset: int) -> None:
        """Put the changes and the offset in together, or not at all."""

    def clear(self) -> None:
        """Forget everything of this lane."""


class Agents(Protocol):
    """Carries out a hop's work in that hop's agent."""

    async def call(self, hop: str, work: Callable[[], None]) -> None:
        """Return when it is done; raise what it raised, or `TimeoutError`."""


@dataclass(frozen=True, slots=True)
class Took:
    """Where a batch's time went, in milliseconds."""

    stepped_ms: float
    """From the fetch to the end of the last hop; the waits for agents that were busy are in it."""
    committed_ms: float
    hops_ms: Mapping[str, float]
    """Each hop's own work."""
    polled_ms: float = 0.0
    """From asking for records to having them."""


class Observer(Protocol):
    """Told what happened. It changes nothing, and its failure is its own."""

    def restored(self, lane: int, done: int, end: int) -> None:
        """Report how far the changelog has been read."""

    def began(self, lane: int, records: Mapping[str, int]) -> None:
        """Report that a batch is stepped: for each topic how many records."""

    def committed(self, lane: int, commit: Commit, took: Took) -> None:
        """Report a commit and how long it took."""

    def failed(self, lane: int, hop: str, hop_error: BaseException) -> None:
        """Report that a hop failed on a batch."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """The wall for what is written, the steady one for what is measured; both in milliseconds."""

    wall_ms: Callable[[], int]
    steady_ms: Callable[[], float]
