"""A lane's state in memory: for folding a journal, for tests, for builders without a broker."""

from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from processors.state import SEGMENT_KIND, Segment, segment_hop


@dataclass(slots=True)
class MemoryStore:
    """See `processors.state.Store`. `values` holds what the changelog would, and nothing else."""

    values: dict[bytes, bytes] = field(default_factory=dict)
    _order: list[bytes] = field(default_factory=list)
    _seen: dict[tuple[str, bytes], int] = field(default_factory=dict)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `Store`."""
        return [self.values.get(key) for key in keys]

    def seen_many(self, hop: str, members: Sequence[bytes]) -> list[int | None]:
        """See `Store`."""
        return [self._seen.get((hop, member)) for member in members]

    def scan(self, prefix: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """See `Store`."""
        found: list[tuple[bytes, bytes]] = []
        for key in self._order[bisect_left(self._order, prefix) :]:
            if not key.startswith(prefix) or len(found) >= limit:
                break
            found.append((key, self.values[key]))
        return found

    def apply(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Put the changes in, dropped segments first: their members may stand in newer ones."""
        for key, value in sorted(changes.items(), key=lambda change: change[1] is not None):
            if value is None:
                self._drop(key)
            else:
                self._set(key, value)

    def _set(self, key: bytes, value: bytes) -> None:
        if key not in self.values:
            insort(self._order, key)
        self.values[key] = value
        if key[:1] == SEGMENT_KIND:
            segment, hop = Segment.unpack(value), segment_hop(key)
            for member in segment:
                self._seen[hop, member] = segment.seen_ms

    def _drop(self, key: bytes) -> None:
        value = self.values.pop(key, None)
        if value is None:
            return
        del self._order[bisect_left(self._order, key)]
        if key[:1] == SEGMENT_KIND:
            segment, hop = Segment.unpack(value), segment_hop(key)
            for member in segment:
                if self._seen.get((hop, member)) == segment.seen_ms:
                    del self._seen[hop, member]
