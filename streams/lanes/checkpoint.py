"""Checkpoints: a lane's whole state at one journal position, as a file that checks itself."""

import logging
import os
import zlib
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path
from struct import Struct
from typing import Final

from processors import position
from processors.memory import MemoryStore
from processors.position import POSITION_KEY, Position

log = logging.getLogger(__name__)

MAGIC: Final = b"hopline-checkpoint-1\n"
_LENGTHS: Final = Struct(">II")
_DIGEST_BYTES: Final = 32
CHUNK_KEYS: Final = 1_000
KEPT_MIN: Final = 2


class DamagedCheckpointError(Exception):
    """The file is not what was written."""


def folder(data_dir: Path, lane: int) -> Path:
    """Return where a lane's checkpoints are kept."""
    return data_dir / "checkpoints" / f"lane-{lane}"


def write(path: Path, pairs: Iterable[tuple[bytes, bytes]]) -> int:
    """Write the pairs, whole or not at all; return how many."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    digest, packer, count = blake2b(digest_size=_DIGEST_BYTES), zlib.compressobj(1), 0
    with draft.open("wb") as file:
        file.write(MAGIC)
        for key, value in pairs:
            piece = _LENGTHS.pack(len(key), len(value)) + key + value
            digest.update(piece)
            file.write(packer.compress(piece))
            count += 1
        file.write(packer.flush())
        file.write(digest.digest())
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    return count


def read(path: Path) -> tuple[Position, MemoryStore]:
    """Read a checkpoint back. Raises `DamagedCheckpointError` rather than give wrong state."""
    packed = path.read_bytes()
    if not packed.startswith(MAGIC) or len(packed) < len(MAGIC) + _DIGEST_BYTES:
        message = f"{path} is not a checkpoint"
        raise DamagedCheckpointError(message)
    try:
        body = zlib.decompress(packed[len(MAGIC) : -_DIGEST_BYTES])
    except zlib.error as error:
        message = f"{path} is damaged: {error}"
        raise DamagedCheckpointError(message) from error
    if blake2b(body, digest_size=_DIGEST_BYTES).digest() != packed[-_DIGEST_BYTES:]:
        message = f"{path} is damaged: its digest differs; take an older one"
        raise DamagedCheckpointError(message)
    store = MemoryStore()
    store.apply(dict(_pairs(body)))
    found = store.values.get(POSITION_KEY)
    return (Position() if found is None else position.unpack(found)), store


def _pairs(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(body):
        key_length, value_length = _LENGTHS.unpack_from(body, at)
        at += _LENGTHS.size
        yield body[at : at + key_length], body[at + key_length : at + key_length + value_length]
        at += key_length + value_length


def name(sequence: int) -> str:
    """Return a checkpoint's file name; names sort as the journal runs."""
    return f"{sequence:020d}.checkpoint"


def prune(directory: Path, *, now_seconds: float, age_seconds_max: float) -> None:
    """Remove checkpoints that are older than the journal they would be folded with."""
    found = sorted(directory.glob("*.checkpoint"))
    for path in found[:-KEPT_MIN]:
        if now_seconds - path.stat().st_mtime > age_seconds_max:
            path.unlink(missing_ok=True)


def newest(directory: Path) -> Path | None:
    """Return the newest checkpoint, if there is one."""
    return max(directory.glob("*.checkpoint"), default=None)
