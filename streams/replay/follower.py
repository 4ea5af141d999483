"""Follow what lanes commit, from now on: how far they are, and what becomes of the keys that are watched."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from processors import position
from processors.position import POSITION_KEY
from processors.vocabulary import topics as names
from streams.replay.store import is_stop
from streams.topics import TopicNames

RECORDS_MAX: Final = 2_000
"""Of one look."""


class Follower:
    """Reads the end of the changelog of some lanes, and of the topic `replays`."""

    def __init__(self, consumer: AIOKafkaConsumer, topics: TopicNames, lanes: Sequence[int]) -> None:
        self._consumer = consumer
        self._partitions = [TopicPartition(topics.physical(names.STATE), lane) for lane in lanes]
        self._watched: set[bytes] = set()
        self._replay = ""
        self._stop_at: TopicPartition | None = None
        self.applied: dict[int, dict[str, int]] = {}
        """Lane → topic → next offset, as far as the lane has committed since this began."""
        self.values: dict[bytes, bytes | None] = {}
        """What watched keys have become since this began."""
        self._stop_wanted = False

    def watch_stop(self, replay: str, partition: TopicPartition) -> None:
        """Notice when somebody asks to stop this replay. Before `begin`."""
        self._replay, self._stop_at = replay, partition

    async def begin(self) -> None:
        """Stand at the end of what is committed."""
        partitions = [*self._partitions, *([self._stop_at] if self._stop_at else [])]
        self._consumer.assign(partitions)
        for partition, end in (await self._consumer.end_offsets(partitions)).items():
            self._consumer.seek(partition, end)

    def stopping(self) -> bool:
        """Tell whether somebody has asked to stop."""
        return self._stop_wanted

    def watch(self, keys: Iterable[bytes]) -> None:
        """Keep what these become."""
        self._watched.update(keys)

    async def look(self, wait_ms: int = 0) -> None:
        """Take in what was committed since the last look; wait for something if there is nothing."""
        found = await self._consumer.getmany(timeout_ms=wait_ms, max_records=RECORDS_MAX)
        for partition, records in found.items():
            if partition == self._stop_at:
                self._stop_wanted |= any(is_stop(record, self._replay) for record in records)
                continue
            for record in records:
                self._take(partition.partition, record)

    def _take(self, lane: int, record: Any) -> None:
        if record.key == POSITION_KEY:
            self.applied[lane] = dict(position.unpack(record.value or b"").applied)
        elif record.key in self._watched:
            self.values[record.key] = record.value

    def applied_of(self, lane: int, topic: str) -> int:
        """Return up to where a lane has applied a topic; 0 as long as that is not known."""
        return self.applied.get(lane, {}).get(topic, 0)
