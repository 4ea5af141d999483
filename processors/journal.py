"""The journal: one small record a commit, enough to fold a lane again exactly as it was."""

from collections.abc import Mapping

import msgspec

from processors.formats import readable
from processors.step import Verdict
from processors.vocabulary.reasons import Reason


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """What one commit stepped, in which order, at what time."""

    v: int
    sequence: int
    now_ms: int
    ranges: tuple[tuple[str, int, int], ...]
    """Topic, first offset, next offset; in the order stepped. A tick has none."""
    verdicts: tuple[tuple[str, int, str, str], ...] = ()
    """Topic, offset, reason, stack of records that were condemned instead of stepped."""
    ticked: bool = True


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Entry).decode


def pack(entry: Entry) -> bytes:
    """Return the bytes of the journal's record."""
    return _encode(entry)


def unpack(packed: bytes) -> Entry | None:
    """Read what `pack` wrote; None if it is of a format that this worker cannot read."""
    entry = _decode(packed)
    return entry if readable(entry.v) else None


def verdicts_of(entry: Entry) -> dict[tuple[str, int], Verdict]:
    """Return the entry's verdicts as a step takes them."""
    return {(topic, offset): Verdict(Reason(reason), stack) for topic, offset, reason, stack in entry.verdicts}


def listed(verdicts: Mapping[tuple[str, int], Verdict]) -> tuple[tuple[str, int, str, str], ...]:
    """Return verdicts as an entry keeps them."""
    return tuple((topic, offset, verdict.reason.value, verdict.stack) for (topic, offset), verdict in verdicts.items())
