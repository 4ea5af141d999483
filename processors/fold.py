"""Fold a journal: the same state and outputs as the lane had, exactly, from its records alone."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from processors.journal import Entry, verdicts_of
from processors.lane import Batch, Commit, LaneSettings, advance
from processors.memory import MemoryStore
from processors.position import Position
from processors.vocabulary.record import Record


class GapError(Exception):
    """The journal misses an entry, so what follows cannot be folded exactly."""


def fold(
    settings: LaneSettings,
    start: Position,
    store: MemoryStore,
    entries: Iterable[Entry],
    records_of: Callable[[str, int, int], Sequence[Record]],
) -> Iterator[Commit]:
    """Yield each commit again. `records_of` gives a topic's records from an offset to before another.

    The store is changed as the lane's was. Entries that the start has in it already are passed over.
    """
    last = start
    for entry in entries:
        if entry.sequence <= last.sequence:
            continue
        if entry.sequence != last.sequence + 1:
            message = f"after commit {last.sequence} the journal goes on with {entry.sequence}"
            raise GapError(message)
        batch = Batch(
            {topic: found for topic, first, after in entry.ranges if (found := records_of(topic, first, after))},
            {topic: after for topic, _, after in entry.ranges},
            verdicts_of(entry),
            ticks=entry.ticked,
        )
        # In the format of its day: a fleet in the middle of an upgrade writes both.
        then = replace(settings, write_format=entry.v)
        commit = advance(then, last, store, batch, entry.now_ms)
        store.apply(commit.changes)
        last = commit.position
        yield commit
