"""Look before a replay: which offsets it covers, what of it is there, how long it will take."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from processors.vocabulary.timestamps import rfc3339
from streams.changelog import read_range
from streams.replay.job import TENANTS_MAX
from streams.replay.selection import OPEN, Chooser, Selection, Skipped

TYPES_SHOWN_MAX: Final = 1_000
"""Types counted by name; the rest of them together."""
REST: Final = "(other types)"


class TooManyTenantsError(Exception):
    """More tenants than one replay may have."""


@dataclass(slots=True)
class Covered:
    """The offsets that a selection covers."""

    begins: dict[int, int] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=dict)
    approximate: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Estimate:
    """What a replay would do."""

    covered: Covered
    read: int = 0
    chosen: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    by_type: Counter[str] = field(default_factory=Counter)
    by_tenant: Counter[str] = field(default_factory=Counter)
    first_ms: int = 0
    last_ms: int = 0

    def shown(self, rate_per_second: float) -> dict[str, Any]:
        """Return what people and programs see of it."""
        return {
            "read": self.read,
            "chosen": self.chosen,
            "skipped": dict(self.skipped),
            "by_type": dict(self.by_type.most_common()),
            "by_tenant": dict(self.by_tenant.most_common()),
            "first": rfc3339(self.first_ms) if self.first_ms else "",
            "last": rfc3339(self.last_ms) if self.last_ms else "",
            "estimated_seconds": round(self.chosen / rate_per_second, 1),
            "offsets": {
                str(lane): [begin, self.covered.ends[lane]] for lane, begin in sorted(self.covered.begins.items())
            },
            "approximate": bool(self.covered.approximate),
            "why_approximate": self.covered.approximate,
        }


async def cover(consumer: AIOKafkaConsumer, topic: str, selection: Selection, lanes: int) -> Covered:
    """Return the offsets of a selection as the topic stands now, and where they are not all that was asked for."""
    covered = Covered()
    partitions = [TopicPartition(topic, lane) for lane in selection.lanes(lanes)]
    if not partitions:
        return covered
    consumer.assign(partitions)
    there = await consumer.beginning_offsets(partitions)
    stable = await consumer.end_offsets(partitions)
    since, oldest = {}, {}
    if selection.since_ms:
        since = await consumer.offsets_for_times(dict.fromkeys(partitions, selection.since_ms))
        oldest = await consumer.offsets_for_times(dict.fromkeys(partitions, 1))
    for partition in partitions:
        lane, least, end = partition.partition, there[partition], stable[partition]
        begin, wanted = least, 0
        if selection.since_ms:
            found = since.get(partition)
            begin = wanted = found.offset if found else end
            # Without an older one there, those that are gone may have been young enough, too.
            first_there = oldest.get(partition)
            wanted = 0 if first_there is None or begin <= first_there.offset else wanted
        if lane in selection.offsets:
            first, behind = selection.offsets[lane]
            begin, wanted = max(begin, first), max(wanted, first)
            end = end if behind == OPEN else min(end, behind)
        if wanted < least:
            covered.approximate.append(
                f"lane {lane}: what stood before offset {least} is gone (retention), and may have been in the range"
            )
        covered.begins[lane] = max(begin, least)
        # By time there is no end: a producer's clock may put an early record behind a late one.
        covered.ends[lane] = max(end, covered.begins[lane])
    return covered


async def walk(
    consumer: AIOKafkaConsumer, topic: str, starts: Mapping[int, int], ends: Mapping[int, int]
) -> AsyncIterator[Sequence[Any]]:
    """Yield the records of ranges, one lane after the other."""
    for lane, start in sorted(starts.items()):
        partition = TopicPartition(topic, lane)
        consumer.assign([partition])
        async for records in read_range(consumer, partition, start, ends[lane]):
            yield records


async def estimate(consumer: AIOKafkaConsumer, topic: str, selection: Selection, lanes: int) -> Estimate:
    """Count what a selection holds. Writes nothing. Raises `TooManyTenantsError`."""
    found = Estimate(await cover(consumer, topic, selection, lanes))
    chooser = Chooser(selection, lanes)
    async for records in walk(consumer, topic, found.covered.begins, found.covered.ends):
        for record in records:
            found.read += 1
            signal = chooser.choose(record)
            if isinstance(signal, Skipped):
                found.skipped[signal.why] += 1
                continue
            found.chosen += 1
            known = signal.type in found.by_type or len(found.by_type) < TYPES_SHOWN_MAX
            found.by_type[signal.type if known else REST] += 1
            found.by_tenant[signal.tenant] += 1
            if len(found.by_tenant) > TENANTS_MAX:
                message = f"more than {TENANTS_MAX} tenants have signals in the range"
                raise TooManyTenantsError(message)
            found.first_ms = min(found.first_ms or record.timestamp, record.timestamp)
            found.last_ms = max(found.last_ms, record.timestamp)
    return found
