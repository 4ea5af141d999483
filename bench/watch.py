"""Watch an output topic from outside: the same measure for every peer, whatever it says of itself."""

import asyncio
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

POLL_SECONDS: Final = 0.05
FROM_SHARE: Final = 0.1
TO_SHARE: Final = 0.9
"""The rate is taken between these shares of the output, so start-up and restoring are left out for all alike."""


@dataclass(slots=True)
class Seen:
    """When the last stable offsets of a topic's partitions moved, and where they stood then."""

    starts: list[int]
    began: float
    moves: list[tuple[float, list[int]]] = field(default_factory=list)

    @property
    def ends(self) -> list[int]:
        """Return where they stand now."""
        return self.moves[-1][1] if self.moves else self.starts

    @property
    def offsets(self) -> int:
        """Return how many offsets have become stable (markers of transactions count among them)."""
        return sum(self.ends) - sum(self.starts)


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast the output came, and over what that was measured."""

    per_second: float
    records: int
    seconds: float
    steps: int
    """How often the watcher saw the output grow in that time."""


async def watch(
    kafka: str,
    topic: str,
    starts: Sequence[int],
    *,
    enough: int,
    quiet_seconds: float,
    give_up_seconds: float,
    alive: Callable[[], bool],
) -> Seen:
    """Follow a topic until it has grown by `enough` and then stands still, its writer dies, or nothing comes."""
    reader = AIOKafkaConsumer(bootstrap_servers=kafka, isolation_level="read_committed", enable_auto_commit=False)
    await reader.start()
    partitions = [TopicPartition(topic, number) for number in range(len(starts))]
    moved = time.perf_counter()
    seen = Seen(list(starts), moved)
    try:
        while alive():
            found = await reader.end_offsets(partitions)
            now = time.perf_counter()
            ends = [found[one] for one in partitions]
            if ends != seen.ends:
                seen.moves.append((now, ends))
                moved = now
            if now - moved > (quiet_seconds if seen.offsets >= enough else give_up_seconds):
                break
            await asyncio.sleep(POLL_SECONDS)
    finally:
        await reader.stop()
    return seen


def rate(seen: Seen, offsets: Sequence[Sequence[int]]) -> Rate:
    """Return the rate of records, given the offsets of those that were really read in each partition.

    Counted are whole steps, from the first that reached a tenth to the first that reached nine tenths: what
    became visible at a step's end was made since the step before. Output that came in one step (0 `steps`) has no
    rate of its own; then start-up counts, too.
    """
    total = sum(map(len, offsets))
    steps = [(at, sum(map(bisect_left, offsets, ends))) for at, ends in seen.moves]
    first = next((index for index, (_, count) in enumerate(steps) if count >= total * FROM_SHARE), None)
    last = next((index for index, (_, count) in enumerate(steps) if count >= total * TO_SHARE), None)
    if first is None or last is None:
        raise RuntimeError("There was no output.")
    if last == first:
        return Rate(
            per_second=total / (steps[last][0] - seen.began),
            records=total,
            seconds=steps[last][0] - seen.began,
            steps=0,
        )
    seconds = steps[last][0] - steps[first][0]
    records = steps[last][1] - steps[first][1]
    return Rate(per_second=records / seconds, records=records, seconds=seconds, steps=last - first)
