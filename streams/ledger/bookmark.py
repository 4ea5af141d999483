"""How far the ledger check has come, in a file: so that what happened while it was away is checked, too."""

import base64
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from processors import position
from processors.formats import NEWEST
from processors.position import Position, UnreadableFormatError

log = logging.getLogger(__name__)

FILE: Final = "watch/ledger.json"
"""Below the data folder."""
VERSION: Final = 1
BYTES_MAX: Final = 16 * 1_048_576


class Bookmark(msgspec.Struct, frozen=True):
    """Where to go on: behind the last cut of each lane, from the records that are still needed."""

    v: int
    cluster: str
    """Cluster and prefix: of another one nothing here is true."""
    positions: dict[int, str]
    """Lane → its position at the last cut."""
    offsets: dict[str, dict[int, int]]
    """Topic → lane → the first record that is needed."""


def of(cluster: str, positions: Mapping[int, Position], offsets: Mapping[tuple[str, int], int]) -> Bookmark:
    """Return a bookmark."""
    packed = {lane: base64.b64encode(position.pack(at, NEWEST)).decode() for lane, at in positions.items()}
    by_topic: dict[str, dict[int, int]] = {}
    for (topic, lane), offset in offsets.items():
        by_topic.setdefault(topic, {})[lane] = offset
    return Bookmark(VERSION, cluster, packed, by_topic)


def position_of(bookmark: Bookmark, lane: int) -> Position | None:
    """Return a lane's position at its last cut, if there was one."""
    packed = bookmark.positions.get(lane)
    return None if packed is None else position.unpack(base64.b64decode(packed))


def write(path: Path, bookmark: Bookmark) -> None:
    """Write it down, whole or not at all. A disk that is full costs the bookmark and nothing else."""
    # Several watches may share a folder.
    draft = path.with_suffix(f".{os.getpid()}.draft")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(msgspec.json.encode(bookmark))
        draft.replace(path)
    except OSError as error:
        log.warning("the ledger check cannot write down how far it is, %s: %s", path, error)


def read(path: Path, cluster: str) -> Bookmark | None:
    """Return what was written down; None if there is nothing that fits."""
    try:
        if path.stat().st_size > BYTES_MAX:
            return None
        found = msgspec.json.decode(path.read_bytes(), type=Bookmark)
        for lane in found.positions:
            position_of(found, lane)
    except (OSError, ValueError, msgspec.MsgspecError, UnreadableFormatError):
        return None
    return found if found.v == VERSION and found.cluster == cluster else None
