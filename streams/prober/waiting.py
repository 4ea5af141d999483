"""Dead letters of the last day that nobody has redriven: followed as they are written, never read twice."""

from typing import Any, Final

from aiokafka.structs import TopicPartition

from processors.vocabulary import topics as names
from processors.vocabulary.partition import lane_of
from streams.prober.asking import away
from streams.replay.store import LETTER
from streams.topics import TopicNames

DAY_MS: Final = 24 * 3_600_000
TRACKED_MAX: Final = 100_000
"""Dead letters followed at a time, the newest ones: more show as so many."""
RECORDS_MAX: Final = 500
ROUNDS_MAX: Final = 4
"""Of one look: letters may be large."""
STALLED_ROUNDS_MAX: Final = 3_000


class Waiting:
    """Which dead letters wait, by lane and offset."""

    def __init__(self, topics: TopicNames, lanes: int, *, tracked_max: int = TRACKED_MAX) -> None:
        self._lanes = lanes
        self._most = max(1, tracked_max // lanes)
        self._letters = [TopicPartition(topics.physical(names.DEAD_LETTERS), lane) for lane in range(lanes)]
        self._marks = TopicPartition(topics.physical(names.REPLAYS), lane_of(LETTER.rstrip("/").encode(), lanes))
        self._waits: list[dict[int, int]] = [{} for _ in range(lanes)]
        self._marked: dict[str, int] = {}
        self._at: dict[TopicPartition, int] = {}
        self._consumer: Any = None

    async def begin(self, consumer: Any, now_ms: int) -> None:
        """Read all marks there are; stand where the letters of the last day begin, or where it stood before."""
        self._consumer = consumer
        async with away():
            consumer.assign([self._marks])
            least = (await consumer.beginning_offsets([self._marks]))[self._marks]
            end = (await consumer.end_offsets([self._marks]))[self._marks]
            consumer.seek(self._marks, least)
        for _ in range(STALLED_ROUNDS_MAX):
            await self._poll(now_ms, wait_ms=100)
            async with away():
                reached = await consumer.position(self._marks) >= end
            if reached:
                break
        if not self._at:
            self._at = await self._day_ago(now_ms)
        consumer.assign([self._marks, *self._letters])
        consumer.seek(self._marks, end)
        for partition, offset in self._at.items():
            consumer.seek(partition, offset)

    async def _day_ago(self, now_ms: int) -> dict[TopicPartition, int]:
        consumer = self._consumer
        async with away():
            ends = await consumer.end_offsets(self._letters)
            found = await consumer.offsets_for_times(dict.fromkeys(self._letters, now_ms - DAY_MS))
        # Of more than are followed the newest are wanted; markers take offsets, too, so that these are fewer.
        return {
            at: max(where.offset if (where := found.get(at)) is not None else end, end - 2 * self._most)
            for at, end in ends.items()
        }

    async def look(self, now_ms: int) -> None:
        """Take in what was written since."""
        for _ in range(ROUNDS_MAX):
            if not await self._poll(now_ms, wait_ms=0):
                break
        oldest_ms = now_ms - DAY_MS
        for waits in self._waits:
            while waits and (next(iter(waits.values())) < oldest_ms or len(waits) > self._most):
                del waits[next(iter(waits))]
        while self._marked and next(iter(self._marked.values())) < oldest_ms:
            del self._marked[next(iter(self._marked))]

    async def _poll(self, now_ms: int, *, wait_ms: int) -> bool:
        async with away():
            found = await self._consumer.getmany(timeout_ms=wait_ms, max_records=RECORDS_MAX)
        for partition, records in found.items():
            for record in records:
                if partition == self._marks:
                    self._mark(record, now_ms)
                else:
                    self._letter(partition.partition, record.offset, record.timestamp)
            if partition != self._marks:
                self._at[partition] = records[-1].offset + 1
        return bool(found)

    def _letter(self, lane: int, offset: int, at_ms: int) -> None:
        if f"{lane}-{offset}" not in self._marked:
            self._waits[lane][offset] = at_ms

    def _mark(self, record: Any, now_ms: int) -> None:
        key = (record.key or b"").decode(errors="replace")
        if record.value is None or not key.startswith(LETTER) or record.timestamp < now_ms - DAY_MS:
            # A letter of the last day was not redriven before it was written.
            return
        letter = key.removeprefix(LETTER)
        lane, _, offset = letter.partition("-")
        if lane.isdecimal() and offset.isdecimal() and int(lane) < self._lanes:
            self._marked[letter] = record.timestamp
            self._waits[int(lane)].pop(int(offset), None)

    def count(self) -> int:
        """Return how many wait."""
        return sum(map(len, self._waits))

    def oldest_seconds(self, now_ms: int) -> float:
        """Return the age of the oldest one; 0 if none waits."""
        first = min((next(iter(waits.values())) for waits in self._waits if waits), default=now_ms)
        return max(0.0, (now_ms - first) / 1_000)
