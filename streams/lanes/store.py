"""A lane's state on this machine's disk (RocksDB): it saves time, the changelog is the truth.

One database a worker slot, each lane under its own two bytes. The write-ahead log is off: a crash loses
the last writes as a whole, offset included, and the changelog's tail brings them back.
"""

import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from struct import Struct
from typing import Any, Final

from rocksdict import (
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    Options,
    Rdict,
    ReadOptions,
    WriteBatch,
    WriteOptions,
)

from processors.state import (
    INDEX_KIND,
    META_KIND,
    SEGMENT_KIND,
    VALUE_KIND,
    Segment,
    segment_hop,
)
from streams.topics import DELETE_RETENTION_MS

log = logging.getLogger(__name__)

_LANE: Final = Struct(">H")
_MARK: Final = Struct(">QQ")
_SEEN: Final = Struct(">Q")
_OFFSET_KIND: Final = b"\x00"
"""Local only: changelog offset and when it was written. Sorts before all of the lane's keys."""
LAYOUT: Final = b"1"
BLOCK_CACHE_BYTES: Final = 64 * 1_048_576
WRITE_BUFFER_BYTES: Final = 16 * 1_048_576
WRITE_BUFFER_BLOOM: Final = 0.05
"""Of the write buffer, for a filter: most ids that are looked up are new, and a miss in its list costs the most."""
CLOCK_AHEAD_MS_MAX: Final = 3_600_000
SNAPSHOT_AGE_MS_MAX: Final = DELETE_RETENTION_MS // 2


class StoreLockedError(Exception):
    """Another process, perhaps a stopped one, holds this folder."""


class SlotStore:
    """The database of one worker slot, for all the lanes that it owns."""

    def __init__(self, path: Path, *, cluster: str) -> None:
        self._path = path
        self._write = WriteOptions()
        self._write.disable_wal = True  # type: ignore[method-assign,assignment]  # a property; its stub is wrong
        self._db = _open(path, cluster)

    def lane(self, number: int, wall_ms: Callable[[], int]) -> "RocksLaneStore":
        """Return the part of one lane."""
        return RocksLaneStore(self._db, self._write, number, wall_ms)

    def flush(self) -> None:
        """Put what is in memory on disk, so that the next start has less to restore."""
        self._db.flush()

    def bytes_on_disk(self) -> int:
        """Return about how much disk the state takes."""
        return int(self._db.property_int_value("rocksdb.total-sst-files-size") or 0)

    def close(self) -> None:
        """Flush and unlock."""
        self._db.flush()
        self._db.close()


def open_slot(root: Path, slot: int, *, cluster: str) -> SlotStore:
    """Open the slot's store; where a zombie still holds it, another folder, restored from nothing."""
    wanted = root / f"slot-{slot}"
    try:
        return SlotStore(wanted, cluster=cluster)
    except StoreLockedError:
        elsewhere = root / f"slot-{slot}-{time.time_ns()}"
        log.warning("%s is locked by another process; restoring into %s", wanted, elsewhere)
        return SlotStore(elsewhere, cluster=cluster)


def _options() -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    table = BlockBasedOptions()
    table.set_bloom_filter(10, False)
    table.set_block_cache(Cache(BLOCK_CACHE_BYTES))
    options.set_block_based_table_factory(table)
    options.set_write_buffer_size(WRITE_BUFFER_BYTES)
    options.set_max_write_buffer_number(3)
    options.set_memtable_prefix_bloom_ratio(WRITE_BUFFER_BLOOM)
    options.set_memtable_whole_key_filtering(True)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_max_background_jobs(2)
    return options


def _open(path: Path, cluster: str) -> Rdict:
    """Open a database that belongs to this cluster; throw away one that is torn or another's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    identity = LAYOUT + cluster.encode()
    for _ in range(2):
        try:
            db = Rdict(str(path), _options())
            found = db.get(b"identity")
            if found is None:
                db.put(b"identity", identity)
            if found in (None, identity):
                return db
            log.warning("%s holds another cluster's state; it is thrown away", path)
            db.close()
        except Exception as error:  # boundary: rocksdict raises plain Exception with RocksDB's words
            if "lock" in str(error).lower():
                raise StoreLockedError(str(error)) from error
            log.warning("%s cannot be read and is thrown away: %s", path, error)
        shutil.rmtree(path, ignore_errors=True)
    message = f"cannot open a state store in {path}: is the disk full or read-only?"
    raise OSError(message)


class RocksLaneStore:
    """One lane's keys. See `streams.lanes.ports.LaneStore`."""

    def __init__(self, db: Rdict, write: WriteOptions, lane: int, wall_ms: Callable[[], int]) -> None:
        self._db = db
        self._options = write
        self._lane = _LANE.pack(lane)
        self._next_lane = _LANE.pack(lane + 1)
        self._wall_ms = wall_ms

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `processors.state.Store`."""
        lane = self._lane
        if len(keys) == 1:
            return [self._db.get(lane + keys[0])]
        return self._get_many([lane + key for key in keys]) if keys else []

    def _get_many(self, keys: list[Any]) -> list[bytes | None]:
        found: list[bytes | None] = self._db.get(keys)  # type: ignore[assignment]  # a list gives a list
        return found

    def seen_many(self, hop: str, members: Sequence[bytes]) -> list[int | None]:
        """See `processors.state.Store`."""
        if not members:
            return []
        prefix = self._index(hop)
        found = self._get_many([prefix + member for member in members])
        return [None if value is None else _SEEN.unpack(value)[0] for value in found]

    def scan(self, prefix: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """See `processors.state.Store`."""
        found = []
        for key, value in self._from(self._lane + prefix):
            found.append((key[len(self._lane) :], value))
            if len(found) >= limit:
                break
        return found

    def _from(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        cursor = self._db.iter(ReadOptions())
        cursor.seek(prefix)
        while cursor.valid():
            key = cursor.key()
            if not key.startswith(prefix):
                return
            yield key, cursor.value()
            cursor.next()

    def changelog_offset(self) -> int | None:
        """See `streams.lanes.ports.LaneStore`. A copy too old to be safe counts as none."""
        packed = self._db.get(self._lane + _OFFSET_KIND)
        if packed is None:
            return None
        offset, written_ms = _MARK.unpack(packed)
        age_ms = self._wall_ms() - written_ms
        # Written "in the future": a clock was wrong, so the age is unknown.
        return offset if -CLOCK_AHEAD_MS_MAX <= age_ms <= SNAPSHOT_AGE_MS_MAX else None

    def apply(self, changes: Mapping[bytes, bytes | None], changelog_offset: int) -> None:
        """See `streams.lanes.ports.LaneStore`."""
        lane, batch = self._lane, WriteBatch(raw_mode=True)
        put = batch.put
        segments = [key for key in changes if key[:1] == SEGMENT_KIND]
        # Dropped ones first: a member of theirs may stand in a newer segment of the same batch.
        for key in sorted(segments, key=lambda key: changes[key] is not None):
            self._index_segment(batch, key, changes[key])
        for key, value in changes.items():
            if value is None:
                batch.delete(lane + key)
            else:
                put(lane + key, value)
        put(lane + _OFFSET_KIND, _MARK.pack(changelog_offset, self._wall_ms()))
        self._db.write(batch, self._options)

    def _index(self, hop: str) -> bytes:
        return self._lane + INDEX_KIND + hop.encode() + b"\x00"

    def _index_segment(self, batch: Any, key: bytes, value: bytes | None) -> None:
        """Keep the index of members in step with the segments."""
        prefix = self._index(segment_hop(key))
        if value is not None:
            segment = Segment.unpack(value)
            seen = _SEEN.pack(segment.seen_ms)
            for member in segment:
                batch.put(prefix + member, seen)
            return
        packed = self._db.get(self._lane + key)
        if packed is not None:
            segment = Segment.unpack(packed)
            members = [prefix + member for member in segment]
            mine = _SEEN.pack(segment.seen_ms)
            # A member that was seen again later belongs to that later segment.
            for member, found in zip(members, self._get_many(members), strict=True):
                if found == mine:
                    batch.delete(member)

    def pairs(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield all that the changelog would have, as it stands now, whatever is written meanwhile.

        The lane's position comes first.
        """
        frozen = self._db.snapshot()
        for kind in (META_KIND, VALUE_KIND, SEGMENT_KIND):
            prefix = self._lane + kind
            cursor = frozen.iter()
            cursor.seek(prefix)
            while cursor.valid() and (key := cursor.key()).startswith(prefix):
                yield key[len(self._lane) :], cursor.value()
                cursor.next()

    def clear(self) -> None:
        """See `streams.lanes.ports.LaneStore`."""
        self._db.delete_range(self._lane, self._next_lane, self._options)
