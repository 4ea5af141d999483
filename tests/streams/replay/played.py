"""A consumer of topics that stand in memory: what `aiokafka` would answer, without a broker."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka.structs import OffsetAndTimestamp, TopicPartition

FETCHED_MAX: Final = 3


@dataclass(slots=True)
class PlayedConsumer:
    """Each partition: its records, oldest first. Offsets may have gaps, as markers and compaction leave them."""

    logs: Mapping[TopicPartition, Sequence[Any]]
    ends: Mapping[TopicPartition, int]
    begins: Mapping[TopicPartition, int] = field(default_factory=dict)
    at: dict[TopicPartition, int] = field(default_factory=dict)

    def assign(self, partitions: Sequence[TopicPartition]) -> None:
        self.at = dict.fromkeys(partitions, -1)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        assert partition in self.at, "seek wants an assigned partition"
        self.at[partition] = offset

    async def beginning_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return {partition: self.begins.get(partition, 0) for partition in partitions}

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return {partition: self.ends[partition] for partition in partitions}

    async def offsets_for_times(
        self, times: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, OffsetAndTimestamp | None]:
        found: dict[TopicPartition, OffsetAndTimestamp | None] = {}
        for partition, since_ms in times.items():
            young = (r for r in self._there(partition) if r.timestamp >= since_ms)
            first = next(young, None)
            found[partition] = None if first is None else OffsetAndTimestamp(first.offset, first.timestamp)
        return found

    async def getmany(self, *partitions: TopicPartition, timeout_ms: int = 0) -> dict[TopicPartition, list[Any]]:
        del timeout_ms
        found = {}
        for partition in partitions:
            rest = [record for record in self._there(partition) if record.offset >= self.at[partition]]
            found[partition] = rest[:FETCHED_MAX]
            last = len(rest) <= FETCHED_MAX
            self.at[partition] = self.ends[partition] if last else found[partition][-1].offset + 1
        return found

    async def position(self, partition: TopicPartition) -> int:
        return self.at[partition]

    def _there(self, partition: TopicPartition) -> list[Any]:
        least = self.begins.get(partition, 0)
        return [record for record in self.logs.get(partition, ()) if record.offset >= least]
