"""Where a lane stands: what it has applied, when, and what became of it. One record, in every commit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from processors.formats import readable
from processors.state import meta_key

POSITION_KEY: Final = meta_key("position")


class UnreadableFormatError(Exception):
    """The lane was written by a newer version than this worker reads."""


@dataclass(frozen=True, slots=True)
class Position:
    """The lane after its last commit. Its truth is in the changelog; the local store only saves time."""

    applied: Mapping[str, int] = field(default_factory=dict)
    """For each topic the offset of the next record to step."""
    now_ms: int = 0
    sequence: int = 0
    takeovers: int = 0
    """Owners that took the lane since its last commit of records. More than one died young."""
    attempting: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """In careful mode, by topic, the offset of the record that is being stepped, and the owners it has had."""
    careful: Mapping[str, int] = field(default_factory=dict)
    """For each topic the offset up to which records are stepped one by one."""
    backlog: Mapping[str, int] = field(default_factory=dict)
    """Own outputs that were not looped back and have not been read back yet, by topic."""
    ledger: Mapping[str, int] = field(default_factory=dict)
    """`hop/term` → records, since the lane began."""


class _Wire1(msgspec.Struct, frozen=True):
    """Format 1: JSON."""

    v: int
    applied: dict[str, int]
    now_ms: int
    sequence: int
    takeovers: int
    attempting: dict[str, tuple[int, int]]
    careful: dict[str, int]
    backlog: dict[str, int]
    ledger: dict[str, int]


class _Wire2(msgspec.Struct, frozen=True, array_like=True):
    """Format 2: MessagePack. The version stands first in both formats, so a reader can tell."""

    v: int
    applied: dict[str, int]
    now_ms: int
    sequence: int
    takeovers: int
    attempting: dict[str, tuple[int, int]]
    careful: dict[str, int]
    backlog: dict[str, int]
    ledger: dict[str, int]


_encode_1 = msgspec.json.Encoder().encode
_decode_1 = msgspec.json.Decoder(_Wire1).decode
_encode_2 = msgspec.msgpack.Encoder().encode
_decode_2 = msgspec.msgpack.Decoder(_Wire2).decode


def pack(position: Position, version: int) -> bytes:
    """Return the bytes of the changelog in the format that the operator chose."""
    if version == 1:
        return _encode_1(
            _Wire1(
                1,
                dict(position.applied),
                position.now_ms,
                position.sequence,
                position.takeovers,
                dict(position.attempting),
                dict(position.careful),
                dict(position.backlog),
                dict(position.ledger),
            )
        )
    return _encode_2(
        _Wire2(
            version,
            dict(position.applied),
            position.now_ms,
            position.sequence,
            position.takeovers,
            dict(position.attempting),
            dict(position.careful),
            dict(position.backlog),
            dict(position.ledger),
        )
    )


def unpack(packed: bytes) -> Position:
    """Read what `pack` wrote, in this format or the one before."""
    if packed[:1] == b"{":
        wire: _Wire1 | _Wire2 = _decode_1(packed)
    else:
        wire = _decode_2(packed)
    if not readable(wire.v):
        message = f"the lane's state has format {wire.v}; this worker reads up to 2: upgrade it"
        raise UnreadableFormatError(message)
    return Position(
        wire.applied,
        wire.now_ms,
        wire.sequence,
        wire.takeovers,
        wire.attempting,
        wire.careful,
        wire.backlog,
        wire.ledger,
    )
