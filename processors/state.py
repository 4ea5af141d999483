"""A lane's state as a hop sees it: committed keys below, this batch's changes above.

Keys, by their first byte (`docs/state.md` has the table):

    K tenant NUL hop NUL name   a value of a tenant ("" for what belongs to the lane itself)
    S hop NUL time sequence     a segment: members first seen at one time, for dedupe
    M name                      the lane's own position; written by the lane alone

A segment holds many members in one record, so remembering an id costs no record of its own. The store
keeps an index of members (`I`), which is derived from the segments and never written to the changelog.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from struct import Struct
from typing import Final, Protocol

from processors.vocabulary.ids import DIGEST_BYTES

VALUE_KIND: Final = b"K"
SEGMENT_KIND: Final = b"S"
META_KIND: Final = b"M"
INDEX_KIND: Final = b"I"
LANE: Final = ""
"""The tenant part of a key that belongs to the lane itself."""
SCAN_KEYS_MAX: Final = 1_024

_SEGMENT_HEAD: Final = Struct(">QQ")
_SEGMENT_KEY: Final = Struct(">QQ")


class Store(Protocol):
    """What has been committed. Reading it never waits."""

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return a value for each key, None where there is none."""

    def seen_many(self, hop: str, members: Sequence[bytes]) -> list[int | None]:
        """Return for each member when it was first seen, None where it is unknown."""

    def scan(self, prefix: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Return the first keys of a prefix in their order, with their values."""


def value_key(tenant: str, hop: str, name: bytes) -> bytes:
    """Return the key of one value."""
    return b"K%b\x00%b\x00%b" % (tenant.encode(), hop.encode(), name)


def meta_key(name: str) -> bytes:
    """Return the key of something that the lane keeps about itself."""
    return META_KIND + name.encode()


def segment_prefix(hop: str) -> bytes:
    """Return what all segments of a hop begin with; they sort by time."""
    return b"S%b\x00" % hop.encode()


def segment_hop(key: bytes) -> str:
    """Return the hop whose segment this key names."""
    return key[1 : key.index(0, 1)].decode()


@dataclass(frozen=True, slots=True)
class Segment:
    """Members first seen at one time, and until when they are kept."""

    seen_ms: int
    expires_ms: int
    members: bytes

    def __iter__(self) -> Iterator[bytes]:
        """Yield each member."""
        for at in range(0, len(self.members), DIGEST_BYTES):
            yield self.members[at : at + DIGEST_BYTES]

    def pack(self) -> bytes:
        """Return the bytes of the changelog."""
        return _SEGMENT_HEAD.pack(self.seen_ms, self.expires_ms) + self.members

    @classmethod
    def unpack(cls, value: bytes) -> "Segment":
        """Read what `pack` wrote."""
        seen_ms, expires_ms = _SEGMENT_HEAD.unpack_from(value)
        return cls(seen_ms, expires_ms, value[_SEGMENT_HEAD.size :])


@dataclass(slots=True)
class Overlay:
    """This batch's changes over the committed store. Dropping it undoes them all."""

    store: Store
    changes: dict[bytes, bytes | None] = field(default_factory=dict)
    _seen: dict[str, dict[bytes, int | None]] = field(default_factory=dict)
    _fresh: dict[str, dict[bytes, int]] = field(default_factory=dict)
    _kept_until: dict[str, int] = field(default_factory=dict)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return values as this batch has made them so far, all at once: one by one costs a call each."""
        found = self.store.get_many(keys)
        changes = self.changes
        if changes:
            found = [changes.get(key, value) for key, value in zip(keys, found, strict=True)]
        return found

    def get(self, key: bytes) -> bytes | None:
        """Return the value as this batch has made it so far."""
        if key in self.changes:
            return self.changes[key]
        return self.store.get_many((key,))[0]

    def put(self, key: bytes, value: bytes | None) -> None:
        """Set a value; None deletes it."""
        self.changes[key] = value

    def scan(self, prefix: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Return the first keys of a prefix, as this batch has made them so far."""
        changed = [key for key in self.changes if key.startswith(prefix)]
        # Each change may hide one committed key, so that many more are read.
        below = dict(self.store.scan(prefix, limit + len(changed)))
        for key in changed:
            value = self.changes[key]
            if value is None:
                below.pop(key, None)
            else:
                below[key] = value
        return sorted(below.items())[:limit]

    def prefetch_seen(self, hop: str, members: Sequence[bytes]) -> None:
        """Look many members up at once."""
        found = zip(members, self.store.seen_many(hop, members), strict=True)
        self._seen.setdefault(hop, {}).update(found)

    def seen(self, hop: str, member: bytes) -> int | None:
        """Return when a member was first seen, this batch included."""
        fresh = self._fresh.get(hop)
        if fresh is not None and member in fresh:
            return fresh[member]
        known = self._seen.get(hop)
        if known is None or member not in known:
            self.prefetch_seen(hop, (member,))
            known = self._seen[hop]
        return known[member]

    def remember(self, hop: str, member: bytes, now_ms: int) -> None:
        """Note a member as seen now."""
        self._fresh.setdefault(hop, {})[member] = now_ms

    def seal(self, hop: str, *, now_ms: int, expires_ms: int, sequence: int) -> None:
        """Write all that this batch has remembered as one segment; sealing again replaces it by more."""
        fresh = self._fresh.get(hop)
        if fresh:
            until_ms = max(expires_ms, self._kept_until.get(hop, 0))
            self._kept_until[hop] = until_ms
            key = segment_prefix(hop) + _SEGMENT_KEY.pack(now_ms, sequence)
            self.changes[key] = Segment(now_ms, until_ms, b"".join(fresh)).pack()

    def expire(self, hop: str, now_ms: int, limit: int) -> int:
        """Drop the oldest segments whose time has come; return how many."""
        dropped = 0
        for key, value in self.scan(segment_prefix(hop), limit):
            if Segment.unpack(value).expires_ms > now_ms:
                break
            self.changes[key] = None
            dropped += 1
        return dropped
