"""Check a peer's output as an independent reader sees it: every fresh id once, nothing else, each in its lane."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from processors.vocabulary.partition import lane_of

POLL_MS: Final = 500
IDLE_POLLS_MAX: Final = 20
RECORDS_MAX: Final = 20_000


@dataclass(slots=True)
class Output:
    """What was read back, and what is wrong with it."""

    offsets: list[list[int]]
    ids: set[str] = field(default_factory=set)
    doubled: int = 0
    misplaced: int = 0
    """Not keyed by its tenant, or not in the tenant's lane."""
    plain: int = 0
    """Not enriched: without a correlation id."""

    def problems(self, fresh: set[str]) -> dict[str, int]:
        """Return what is wrong, counted. Empty is right."""
        found = {
            "missing": len(fresh - self.ids),
            "strange": len(self.ids - fresh),
            "doubled": self.doubled,
            "misplaced": self.misplaced,
            "not_enriched": self.plain,
        }
        return {name: count for name, count in found.items() if count}

    def take(self, record: ConsumerRecord[bytes, bytes], lanes: int) -> None:
        """Note one record."""
        id_, tenant, enriched = _attributes(record)
        self.offsets[record.partition].append(record.offset)
        self.doubled += id_ in self.ids
        self.ids.add(id_)
        key = record.key or b""
        self.misplaced += key != tenant.encode() or lane_of(key, lanes) != record.partition
        self.plain += not enriched


async def read_back(kafka: str, topic: str, starts: Sequence[int], ends: Sequence[int]) -> Output:
    """Read what was committed between the offsets."""
    reader: AIOKafkaConsumer[bytes, bytes] = AIOKafkaConsumer(
        bootstrap_servers=kafka,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="none",
        max_partition_fetch_bytes=8 * 1_048_576,
    )
    output = Output([[] for _ in starts])
    await reader.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(len(starts))]
        reader.assign(partitions)
        for one in partitions:
            reader.seek(one, starts[one.partition])
        idle = 0
        while idle < IDLE_POLLS_MAX:
            got = await reader.getmany(timeout_ms=POLL_MS, max_records=RECORDS_MAX)
            for records in got.values():
                for record in records:
                    if record.offset < ends[record.partition]:
                        output.take(record, len(starts))
            if [await reader.position(one) >= ends[one.partition] for one in partitions].count(True) == len(starts):
                return output
            idle = 0 if got else idle + 1
    finally:
        await reader.stop()
    raise RuntimeError(f"{topic} could not be read up to its last stable offset: is a transaction left open?")


def _attributes(record: ConsumerRecord[bytes, bytes]) -> tuple[str, str, bool]:
    """Return id, tenant and whether it is enriched; the event may be structured or binary."""
    headers = dict(record.headers)
    if "ce_id" in headers:
        id_, tenant = headers["ce_id"].decode(), headers.get("ce_tenantid", b"").decode()
        return id_, tenant, bool(headers.get("ce_correlationid"))
    event = orjson.loads(record.value or b"{}")
    return event.get("id", ""), event.get("tenantid", ""), bool(event.get("correlationid"))
