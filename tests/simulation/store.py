"""RocksDB's place taken by a dict that forgets: the real lane store runs on it, over crashes.

The write-ahead log is off in Hopline, so a crash loses the newest writes as a whole, each batch with all
of its keys; that is what `crash` does. A lost disk is `lose`.
"""

import random
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeAlias
from unittest.mock import patch

from rocksdict import WriteOptions

from streams.lanes import store as real
from streams.lanes.store import RocksLaneStore

Write: TypeAlias = tuple[bytes, bytes | None]
_DELETE_RANGE: Final = b"range"


class Batch:
    """Stands for `rocksdict.WriteBatch`: writes that go in together."""

    def __init__(self, raw_mode: bool = False) -> None:  # noqa: FBT002 - RocksDB's signature
        self.raw_mode = raw_mode
        self.writes: list[Write] = []

    def put(self, key: bytes, value: bytes) -> None:
        self.writes.append((key, value))

    def delete(self, key: bytes) -> None:
        self.writes.append((key, None))


class Cursor:
    """Stands for RocksDB's iterator."""

    def __init__(self, data: dict[bytes, bytes], keys: list[bytes]) -> None:
        self._data, self._keys, self._at = data, keys, 0

    def seek(self, key: bytes) -> None:
        self._at = bisect_left(self._keys, key)

    def valid(self) -> bool:
        return self._at < len(self._keys)

    def key(self) -> bytes:
        return self._keys[self._at]

    def value(self) -> bytes:
        return self._data[self._keys[self._at]]

    def next(self) -> None:
        self._at += 1


class Frozen:
    """Stands for RocksDB's snapshot."""

    def __init__(self, data: dict[bytes, bytes], keys: list[bytes]) -> None:
        self._data, self._keys = data, keys

    def iter(self) -> Cursor:
        return Cursor(self._data, self._keys)


class Database:
    """Stands for `rocksdict.Rdict`: one worker slot's database, with what is not on disk yet."""

    def __init__(self) -> None:
        self.data: dict[bytes, bytes] = {}
        self.keys: list[bytes] = []
        self._flushed: dict[bytes, bytes] = {}
        self._unflushed: list[tuple[Write, ...]] = []

    def get(self, key: bytes | Sequence[bytes]) -> Any:
        if isinstance(key, bytes):
            return self.data.get(key)
        return [self.data.get(one) for one in key]

    def iter(self, _options: object) -> Cursor:
        return Cursor(self.data, self.keys)

    def snapshot(self) -> "Frozen":
        return Frozen(dict(self.data), list(self.keys))

    def write(self, batch: Batch, _options: object = None) -> None:
        self._put(tuple(batch.writes))

    def put(self, key: bytes, value: bytes, _options: object = None) -> None:
        self._put(((key, value),))

    def delete(self, key: bytes, _options: object = None) -> None:
        self._put(((key, None),))

    def delete_range(self, start: bytes, end: bytes, _options: object = None) -> None:
        at = bisect_left(self.keys, start)
        self._put(tuple((key, None) for key in self.keys[at : bisect_left(self.keys, end)]))

    def _put(self, writes: tuple[Write, ...]) -> None:
        self._unflushed.append(writes)
        data, keys = self.data, self.keys
        for key, value in writes:
            if value is not None:
                if key not in data:
                    insort(keys, key)
                data[key] = value
            elif key in data:
                del data[key]
                keys.pop(bisect_left(keys, key))

    def flush(self) -> None:
        """Everything is on disk now."""
        self._flushed = dict(self.data)
        self._unflushed.clear()

    def crash(self, chance: random.Random) -> int:
        """Lose the newest batches that are not on disk, some or all; return how many."""
        count = len(self._unflushed)
        # Often few, sometimes all: both ends are where mistakes are.
        lost = min(count, chance.choice((0, 1, 2, chance.randrange(count + 1), count)))
        kept = self._unflushed[: count - lost]
        self.data = dict(self._flushed)
        self.keys = sorted(self.data)
        self._unflushed = []
        for writes in kept:
            self._put(writes)
        self.flush()
        return lost

    def lose(self) -> None:
        """The disk is gone."""
        self.data, self.keys, self._flushed, self._unflushed = {}, [], {}, []


def lane_store(database: Database, lane: int, wall_ms: Callable[[], int]) -> RocksLaneStore:
    """Return the real store of one lane over a simulated database."""
    anything: Any = database
    return RocksLaneStore(anything, WriteOptions(), lane, wall_ms)


@contextmanager
def simulated_batches() -> Iterator[None]:
    """Let the real store write simulated batches."""
    with patch.object(real, "WriteBatch", Batch):
        yield
