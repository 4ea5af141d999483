"""Build history anew from the topics, beside the one that is there, and put it in its place when it is whole."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from streams.admin import require_topics
from streams.changelog import committed_consumer
from streams.history.projector import Reading, Source
from streams.history.rows import TOPICS
from streams.history.store import HistoryError, Home, MissingError, Place
from streams.topics import TOPICS as DECLARED


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a rebuild has come."""

    share: float
    rows: int


class LossError(HistoryError):
    """What is there holds more than the topics still do."""


async def rebuild(
    source: Source, home: Home, tell: Callable[[Progress], None], *, lose: bool = False
) -> tuple[str, int]:
    """Build it; return its generation and its rows. A projector that runs goes on with the new one by itself.

    Raises `LossError` if rows would be lost that the topics hold no longer, unless that is wanted.
    """
    with home.lock("rebuilding"):
        await asyncio.to_thread(home.clear)
        await require_topics(
            source.kafka, source.topics, source.lanes, [topic for topic in DECLARED if topic.name in TOPICS]
        )
        writer = await asyncio.to_thread(home.writer, home.fresh())
        try:
            async with committed_consumer(source.kafka) as consumer:
                reading = Reading(source, consumer, writer)
                ends = await reading.begin()
                if not lose:
                    begins = {place: reading.first(partition) for partition, place in source.partitions().items()}
                    await asyncio.to_thread(_require_no_loss, home, begins)
                # Up to where it all ends now; what comes meanwhile is the projector's, from the same offsets.
                while any([await reading.at(partition) < end for partition, end in ends.items()]):
                    await reading.turn()
                    tell(Progress(reading.share, reading.rows))
                await reading.touch()
        except BaseException:
            await asyncio.to_thread(writer.close)
            await asyncio.to_thread(home.clear)
            raise
        await asyncio.to_thread(writer.close)
        await asyncio.to_thread(home.publish, writer.generation)
    return writer.generation, reading.rows


def _require_no_loss(home: Home, begins: dict[Place, int]) -> None:
    try:
        reader = home.reader(60.0)
    except MissingError:
        return
    except HistoryError:
        # It cannot be read any more: there is nothing left to lose.
        return
    try:
        lost = reader.before(begins)
    finally:
        reader.close()
    if lost:
        raise LossError(
            f"the history has {lost} rows that the topics hold no longer, and would lose them; "
            "`hopline signals export` them first, then call it with --lose"
        )
