"""Fold each lane's journal again from nothing, and compare everything that was written with what comes out."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from processors import journal, position
from processors.fold import fold
from processors.lane import Commit, LaneSettings
from processors.memory import MemoryStore
from processors.position import POSITION_KEY, Position
from processors.state import INDEX_KIND
from processors.vocabulary import topics
from tests.simulation.log import Cluster, Stored, Transaction
from tests.simulation.store import Database
from tests.simulation.violation import ensure

NOT_OUTPUTS: Final = (topics.STATE, topics.JOURNAL)
Written = dict[tuple[str, int], list[Stored]]
"""What one transaction has put where."""


@dataclass(slots=True)
class Folded:
    """A lane's journal, carried out once more."""

    position: Position
    store: MemoryStore
    commits: int = 0
    stepped_at: dict[tuple[str, int], int] = field(default_factory=dict)
    """For each input record (topic, offset) the lane's time when it was stepped."""


def by_transaction(cluster: Cluster) -> dict[Transaction, Written]:
    """Return what each committed transaction has written."""
    found: dict[Transaction, Written] = {}
    for (topic, number), partition in cluster.partitions.items():
        for record in partition.committed():
            if record.transaction is not None:
                found.setdefault(record.transaction, {}).setdefault((topic, number), []).append(record)
    return found


def normal(packed: bytes) -> Position:
    """Return a position without what marks say: they are not in the journal."""
    return replace(position.unpack(packed), takeovers=0, careful={}, attempting={})


def fold_lane(
    cluster: Cluster,
    settings: LaneSettings,
    written: Mapping[Transaction, Written],
    checkpoint: Mapping[bytes, bytes] | None = None,
) -> Folded:
    """Fold a lane's journal, from its beginning or from a checkpoint."""
    number = settings.lane
    records = cluster.partitions[topics.JOURNAL, number].committed()
    store = MemoryStore()
    folded = Folded(Position(), store)
    if checkpoint is not None:
        store.apply(checkpoint)
        folded.position = position.unpack(checkpoint[POSITION_KEY])
    start = folded.position.sequence
    entries = [_entry_of(record) for record in records]

    def records_of(topic: str, first: int, after: int) -> list[Stored]:
        return [record for record in cluster.partitions[topic, number].archive[first:after] if record.committed]

    commits = fold(settings, folded.position, store, entries, records_of)
    for record, entry in zip(records[start:], entries[start:], strict=True):
        _check_entry(entry, folded.position, number)
        commit = next(commits)
        _compare(commit, written[_transaction_of(record)], entry, number)
        folded.position = commit.position
        folded.commits += 1
        for topic, first, after in entry.ranges:
            for offset in range(first, after):
                folded.stepped_at[topic, offset] = entry.now_ms
    ensure(next(commits, None) is None, "journal", f"lane {number}: the fold goes on after the last entry")
    return folded


def _entry_of(record: Stored) -> journal.Entry:
    entry = journal.unpack(record.value or b"")
    ensure(entry is not None, "journal", "an entry cannot be read")
    assert entry is not None
    return entry


def _transaction_of(record: Stored) -> Transaction:
    ensure(record.transaction is not None, "journal", "an entry stands outside of a transaction")
    assert record.transaction is not None
    return record.transaction


def _check_entry(entry: journal.Entry, last: Position, number: int) -> None:
    """Each entry goes on where the one before has ended."""
    ensure(entry.sequence == last.sequence + 1, "journal", f"lane {number}: {last.sequence} then {entry.sequence}")
    ensure(entry.now_ms >= last.now_ms, "time", f"lane {number}: {last.now_ms} then {entry.now_ms}")
    for topic, first, after in entry.ranges:
        ensure(
            first == last.applied.get(topic, 0) and after > first,
            "journal",
            f"lane {number}: entry {entry.sequence} steps {topic} {first}..{after} after {dict(last.applied)}",
        )


def _compare(commit: Commit, found: Written, entry: journal.Entry, number: int) -> None:
    """What the transaction has written is what folding its entry gives, record by record."""
    where = f"lane {number}, commit {entry.sequence}"
    outputs = {place: records for place, records in found.items() if place[0] not in NOT_OUTPUTS}
    expected = {place: wanted for place, wanted in commit.outputs.items() if wanted}
    ensure(outputs.keys() == expected.keys(), "replay", f"{where} wrote {sorted(outputs)}, not {sorted(expected)}")
    for place, wanted in expected.items():
        got = [(record.key, record.value, record.headers) for record in outputs[place]]
        same = got == [(key, value, tuple(headers)) for key, value, headers in wanted]
        ensure(same, "replay", f"{where} wrote something else to {place}")
        late = [record.offset for record in outputs[place] if record.timestamp != entry.now_ms]
        ensure(not late, "replay", f"{where}: records of {place} carry another time")
    changes = {record.key: record.value for record in found.get((topics.STATE, number), ())}
    ensure(
        changes.keys() == commit.changes.keys(),
        "state",
        f"{where} changed {sorted(map(repr, changes.keys() ^ commit.changes.keys()))} differently",
    )
    for key, value in commit.changes.items():
        got_value = changes[key]
        if got_value == value:
            continue
        ensure(
            key == POSITION_KEY and value and got_value, "state", f"{where}: {key!r} is {got_value!r}, not {value!r}"
        )
        got_position, wanted_position = normal(got_value or b""), normal(value or b"")
        ensure(got_position == wanted_position, "position", f"{where}: {got_position}, not {wanted_position}")


def compare_state(ours: MemoryStore, theirs: dict[bytes, bytes], number: int, rule: str, what: str) -> None:
    """A copy of a lane's state holds the keys that the journal gives, no more, no less."""
    extra = sorted(map(repr, theirs.keys() - ours.values.keys()))
    ensure(not extra, rule, f"lane {number}: {what} has {extra[:3]} beyond the journal")
    missing = sorted(map(repr, ours.values.keys() - theirs.keys()))
    ensure(not missing, rule, f"lane {number}: {what} lacks {missing[:3]}")
    for key, value in ours.values.items():
        if value != theirs[key] and (key != POSITION_KEY or normal(value) != normal(theirs[key])):
            ensure(False, rule, f"lane {number}: {what} has {theirs[key]!r} for {key!r}, not {value!r}")


def compare_index(ours: MemoryStore, theirs: dict[bytes, bytes], number: int, what: str) -> None:
    """The index of members says what the segments of the journal say."""
    wanted = {
        INDEX_KIND + hop.encode() + b"\x00" + member: seen_ms.to_bytes(8, "big")
        for (hop, member), seen_ms in ours._seen.items()
    }
    differ = sorted(map(repr, wanted.items() ^ theirs.items()))
    ensure(not differ, "index", f"lane {number}: {what} differs from the journal in {differ[:2]}")


def keys_of(database: Database, number: int) -> tuple[dict[bytes, bytes], dict[bytes, bytes]]:
    """Return a lane's keys in a local store, and its index of members apart."""
    prefix = number.to_bytes(2, "big")
    state: dict[bytes, bytes] = {}
    index: dict[bytes, bytes] = {}
    for key, value in database.data.items():
        if key.startswith(prefix) and not key.startswith(prefix + b"\x00"):
            (index if key.startswith(prefix + INDEX_KIND) else state)[key[len(prefix) :]] = value
    return state, index
