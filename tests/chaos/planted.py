"""Run a worker with a bug planted in it: `python -m tests.chaos.planted NAME`. What cannot fail shows nothing.

Each bug breaks one rule of the lane. The pauses only widen the moment in which it hurts, so that few blows hit it.
"""

import asyncio
import itertools
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from aiokafka import AIOKafkaProducer

from processors.lane import Commit
from processors.vocabulary import topics
from streams.lanes import kafka
from streams.lanes.owner import LaneOwner
from streams.lanes.writer import TransactionalWriter
from streams.settings import load

WIDENED_SECONDS: Final = 0.15
EVERY: Final = 5
_TOLD: Final = (topics.AUDIT, topics.SIGNALS)


def outputs_first() -> None:
    """Write outputs outside of the transaction, a moment before it: a death in there repeats them."""
    whole = TransactionalWriter.commit
    plain: list[AIOKafkaProducer] = []

    async def commit(writer: TransactionalWriter, what: Commit, *, due: Mapping[str, int]) -> int:
        if what.outputs and not plain:
            plain.append(AIOKafkaProducer(**load().settings.cluster().client_options(), acks="all"))
            await plain[0].start()
        for (topic, lane), outputs in what.outputs.items():
            for key, value, headers in outputs:
                await plain[0].send(writer._topics.physical(topic), value, key, lane, headers=list(headers))
        if what.outputs:
            await plain[0].flush()
            await asyncio.sleep(WIDENED_SECONDS)
        return await whole(writer, replace(what, outputs={}), due=due)

    _patch(TransactionalWriter, "commit", commit)


def outputs_last() -> None:
    """Write state and offsets first, then outputs: a death in between loses them."""
    whole = TransactionalWriter.commit

    async def commit(writer: TransactionalWriter, what: Commit, *, due: Mapping[str, int]) -> int:
        end = await whole(writer, replace(what, outputs={}), due=due)
        if what.outputs:
            await asyncio.sleep(WIDENED_SECONDS)
            await whole(writer, replace(what, changes={}, journal=b""), due={})
        return end

    _patch(TransactionalWriter, "commit", commit)


def status_first() -> None:
    """Write outputs before the change that they tell of, and leave a moment in between."""
    whole = TransactionalWriter.commit

    async def commit(writer: TransactionalWriter, what: Commit, *, due: Mapping[str, int]) -> int:
        if what.outputs:
            await whole(writer, replace(what, changes={}, journal=b""), due={})
            await asyncio.sleep(WIDENED_SECONDS)
        return await whole(writer, replace(what, outputs={}), due=due)

    _patch(TransactionalWriter, "commit", commit)


def told_again() -> None:
    """Write the outputs of each fifth commit once more, as who takes a commit for failed that was not."""
    whole, commits = TransactionalWriter.commit, itertools.count(1)

    async def commit(writer: TransactionalWriter, what: Commit, *, due: Mapping[str, int]) -> int:
        end = await whole(writer, what, due=due)
        if what.outputs and next(commits) % EVERY == 0:
            await whole(writer, replace(what, changes={}, journal=b""), due={})
        return end

    _patch(TransactionalWriter, "commit", commit)


def untold() -> None:
    """Leave out what each fifth commit tells, as who takes a transaction for done that was not."""
    whole, commits = TransactionalWriter.commit, itertools.count(1)

    async def commit(writer: TransactionalWriter, what: Commit, *, due: Mapping[str, int]) -> int:
        if what.outputs and next(commits) % EVERY == 0:
            kept = {place: outputs for place, outputs in what.outputs.items() if place[0] not in _TOLD}
            what = replace(what, outputs=kept)
        return await whole(writer, what, due=due)

    _patch(TransactionalWriter, "commit", commit)


def no_fence() -> None:
    """Give each process transactional ids of its own: an old owner that does not know commits on."""
    honest = vars(kafka)["AIOKafkaProducer"]

    def unfenced(*, transactional_id: str, **options: Any) -> Any:
        return honest(transactional_id=f"{transactional_id}-{os.getpid()}", **options)

    _patch(kafka, "AIOKafkaProducer", unfenced)


def restore_first() -> None:
    """Restore before the fence: what the old owner commits in between is stepped once more."""
    restore, take_over = LaneOwner._restore, LaneOwner.take_over

    async def already(_: LaneOwner) -> None:
        return

    async def late_fence(owner: LaneOwner) -> None:
        await restore(owner)
        await asyncio.sleep(WIDENED_SECONDS)
        await take_over(owner)

    _patch(LaneOwner, "_restore", already)
    _patch(LaneOwner, "take_over", late_fence)


PLANTS: Final[Mapping[str, Callable[[], None]]] = {
    bug.__name__: bug
    for bug in (outputs_first, outputs_last, status_first, told_again, untold, no_fence, restore_first)
}


def _patch(where: object, name: str, what: object) -> None:
    if not hasattr(where, name):
        raise AttributeError(f"{where} has no {name} any more: plant this bug anew")
    setattr(where, name, what)


def main() -> int:
    """Plant the bug, then work as any worker does."""
    from streams import worker  # noqa: PLC0415  # after the bug is in place

    PLANTS[sys.argv[1]]()
    sys.argv = sys.argv[:1]
    return worker.main()


if __name__ == "__main__":
    sys.exit(main())
