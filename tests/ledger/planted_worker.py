"""A worker that breaks a commit when a record asks for it: `python -m tests.ledger.planted_worker`."""

import sys
from collections.abc import Iterator, Mapping
from typing import Final
from unittest.mock import patch

from aiokafka import AIOKafkaConsumer

from processors.lane import Commit
from streams.lanes import kafka
from streams.lanes.kafka import ClusterLanes, LaneReader
from streams.lanes.writer import TransactionalWriter
from tests.ledger.plants import MARK, PLANTS, UNCOMMITTED_LANE, Plant, Struck, Trigger

_UNCOMMITTED: Final = {"isolation_level": "read_uncommitted"}
_BY_NAME: Final = {plant.name.encode(): plant for plant in PLANTS}


def _asked(commit: Commit) -> Iterator[bytes]:
    """Yield the marks that a commit's outputs and changes have."""
    values = [value for outputs in commit.outputs.values() for _, value, _ in outputs]
    for value in (*values, *commit.changes.values()):
        at = (value or b"").find(MARK)
        if at >= 0:
            yield (value or b"")[at + len(MARK) :].partition(b"/")[0]


def _ready(plant: Plant, commit: Commit, mark: bytes) -> bool:
    if plant.trigger is not Trigger.SIGNALS:
        return True
    return sum(mark in (value or b"") for outputs in commit.outputs.values() for _, value, _ in outputs) > 1


def plant() -> None:
    """Break commits from now on, each fault once."""
    whole, done = TransactionalWriter.commit, set[bytes]()

    async def commit(writer: TransactionalWriter, what: Commit, *, due: Mapping[str, int]) -> int:
        for name in _asked(what):
            found = _BY_NAME.get(name)
            mark = MARK + name + b"/"
            if found is not None and name not in done and _ready(found, what, mark):
                done.add(name)
                return await found.apply(Struck(writer, whole, what, due, mark))
        return await whole(writer, what, due=due)

    setattr(TransactionalWriter, "commit", commit)  # noqa: B010  mypy does not let a method be assigned
    _read_uncommitted()


def _read_uncommitted() -> None:
    """Let one lane read its input as if nothing were ever aborted."""
    read, make, consumer = ClusterLanes.read, ClusterLanes._consumer, AIOKafkaConsumer
    careless: list[int] = []

    def made(lanes: ClusterLanes, *, wait_ms: int) -> AIOKafkaConsumer:
        if not careless:
            return make(lanes, wait_ms=wait_ms)
        careless.clear()
        with patch.object(kafka, "AIOKafkaConsumer", lambda **options: consumer(**{**options, **_UNCOMMITTED})):
            return make(lanes, wait_ms=wait_ms)

    async def reading(lanes: ClusterLanes, lane: int, start: Mapping[str, int]) -> LaneReader:
        # The consumer is the first thing that is made: nobody else comes in between.
        careless.extend([lane] if lane == UNCOMMITTED_LANE else [])
        return await read(lanes, lane, start)

    setattr(ClusterLanes, "_consumer", made)  # noqa: B010
    setattr(ClusterLanes, "read", reading)  # noqa: B010


def main() -> int:
    """Plant, then work as any worker does."""
    from streams import worker  # noqa: PLC0415  after the faults are in place

    plant()
    return worker.main()


if __name__ == "__main__":
    sys.exit(main())
