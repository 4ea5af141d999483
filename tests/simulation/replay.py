"""Fold each lane's journal again from nothing, and compare everything that was written with what comes out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from processors import journal, lane, position
from processors.lane import Batch, Commit, LaneSettings
from processors.position import POSITION_KEY, Position
from processors.vocabulary import topics
from tests.simulation.log import Cluster, Stored, Transaction
from tests.simulation.store import Database, lane_store
from tests.simulation.violation import ensure

CHANGELOG_LIKE: Final = (topics.STATE, topics.JOURNAL)
Written = dict[tuple[str, int], list[Stored]]
"""What one transaction has put where."""


@dataclass(slots=True)
class Folded:
    """A lane's journal, carried out once more."""

    position: Position
    database: Database
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
    cluster: Cluster, settings: LaneSettings, written: Mapping[Transaction, Written], start: int = 0
) -> Folded:
    """Fold a lane's journal, from its beginning or from the changelog as it was at an entry."""
    number = settings.lane
    entries = cluster.partitions[topics.JOURNAL, number].committed()
    folded = Folded(Position(), Database())
    store = lane_store(folded.database, number, lambda: 0)
    if start:
        before = _transaction_of(entries[start - 1])
        for change in _changelog_up_to(cluster, number, before):
            store.apply(change, 0)
        folded.position = position.unpack(store.get_many((POSITION_KEY,))[0] or b"")
    for record in entries[start:]:
        transaction = _transaction_of(record)
        entry = journal.unpack(record.value or b"")
        ensure(entry is not None, "journal", "an entry cannot be read")
        assert entry is not None
        _check_entry(entry, folded.position, number)
        batch = _batch_of(cluster, entry, number)
        as_then = replace(settings, write_format=entry.v)
        commit = lane.advance(as_then, folded.position, store, batch, entry.now_ms)
        _compare(commit, written[transaction], entry, number)
        store.apply(commit.changes, 0)
        folded.position = commit.position
        folded.commits += 1
        for topic, first, after in entry.ranges:
            for offset in range(first, after):
                folded.stepped_at[topic, offset] = entry.now_ms
    return folded


def _transaction_of(record: Stored) -> Transaction:
    ensure(record.transaction is not None, "journal", "an entry stands outside of a transaction")
    assert record.transaction is not None
    return record.transaction


def _changelog_up_to(cluster: Cluster, number: int, last: Transaction) -> list[dict[bytes, bytes | None]]:
    """Return the changelog's records up to the end of a transaction, one after the other."""
    records = cluster.partitions[topics.STATE, number].committed()
    end = max(at for at, record in enumerate(records) if record.transaction is last) + 1
    return [{record.key or b"": record.value} for record in records[:end]]


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


def _batch_of(cluster: Cluster, entry: journal.Entry, number: int) -> Batch:
    records: dict[str, Sequence[Stored]] = {}
    for topic, first, after in entry.ranges:
        archive = cluster.partitions[topic, number].archive
        found = [record for record in archive[first:after] if record.committed]
        if found:
            records[topic] = found
    return Batch(
        records,
        {topic: after for topic, _, after in entry.ranges},
        journal.verdicts_of(entry),
        ticks=entry.ticked,
    )


def _compare(commit: Commit, found: Written, entry: journal.Entry, number: int) -> None:
    """What the transaction has written is what folding its entry gives, record by record."""
    where = f"lane {number}, commit {entry.sequence}"
    outputs = {place: records for place, records in found.items() if place[0] not in CHANGELOG_LIKE}
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
        ensure(key == POSITION_KEY and value and got_value, "state", f"{where}: {key!r} is {got_value!r}, not {value!r}")
        got_position, wanted_position = normal(got_value or b""), normal(value or b"")
        ensure(got_position == wanted_position, "position", f"{where}: {got_position}, not {wanted_position}")


def compare_state(database: Database, other: Database, number: int, rule: str, what: str) -> None:
    """Two copies of a lane's state hold the same keys, derived ones included."""
    ours, theirs = _keys(database, number), _keys(other, number)
    extra = sorted(map(repr, theirs.keys() - ours.keys()))
    ensure(not extra, rule, f"lane {number}: {what} has {extra[:3]} beyond the journal")
    missing = sorted(map(repr, ours.keys() - theirs.keys()))
    ensure(not missing, rule, f"lane {number}: {what} lacks {missing[:3]}")
    for key, value in ours.items():
        if value != theirs[key] and (key != POSITION_KEY or normal(value) != normal(theirs[key])):
            ensure(False, rule, f"lane {number}: {what} has {theirs[key]!r} for {key!r}, not {value!r}")


def _keys(database: Database, number: int) -> dict[bytes, bytes]:
    prefix = number.to_bytes(2, "big")
    return {
        key[2:]: value
        for key, value in database.data.items()
        if key.startswith(prefix) and not key.startswith(prefix + b"\x00")
    }
