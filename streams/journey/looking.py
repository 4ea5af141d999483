"""Look into the topics for what history does not keep of a signal: its trace, where it was first, when it was met."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from processors import journal
from processors.telemetry import trace
from processors.vocabulary import headers as names
from processors.vocabulary import topics
from processors.vocabulary.ids import coordinate_id
from streams.changelog import committed_consumer, read_range
from streams.history.causality import Graph
from streams.history.rows import AUDITED, DEAD, Row
from streams.journey.way import Found
from streams.settings import KafkaSettings
from streams.topics import TopicNames

LOOKED_MAX: Final = 25
"""Signals that are looked for; of the rest is shown what history has."""
SECONDS_MAX: Final = 15.0
ENTRIES_MAX: Final = 5_000
"""Lines of a lane's journal that are looked through for one signal."""
MARGIN_MS: Final = 5_000
"""How far a lane's clock may be off the producer's."""
_origin: Final = re.compile(r"(\S+) (\d+)/(\d+)(?: from (\d+)/(\d+))?").fullmatch


async def found_of(kafka: KafkaSettings, topic_names: TopicNames, graph: Graph) -> tuple[dict[str, Found], str]:
    """Return for the signals of a graph what the topics tell, and why that is not all; empty if it is."""
    found: dict[str, Found] = {}
    nodes = sorted((node for node in graph.nodes if node.depth >= 0), key=lambda node: node.depth)
    try:
        async with asyncio.timeout(SECONDS_MAX), committed_consumer(kafka) as consumer:
            looking = _Looking(consumer, topic_names)
            for node in nodes[:LOOKED_MAX]:
                rows = [row for row in node.rows if row.status != AUDITED]
                if rows:
                    found[node.ref] = await looking.look(rows)
    except (KafkaError, TimeoutError, OSError) as error:
        return found, f"the topics could not be looked through ({type(error).__name__})"
    more = len(nodes) - LOOKED_MAX
    return found, f"the topics were not looked through for {more} of the signals" if more > 0 else ""


class _Looking:
    """One look, with one consumer."""

    def __init__(self, consumer: AIOKafkaConsumer, topic_names: TopicNames) -> None:
        self._consumer = consumer
        self._names = topic_names

    async def look(self, rows: Sequence[Row]) -> Found:
        """Return what the topics tell of a signal, given its rows, the oldest first."""
        first = min(rows, key=lambda row: row.at_ms)
        found = Found()
        record = await self._record(first.topic, first.lane, first.offset)
        if record is not None:
            found = replace(
                found, traceparent=_context(first, record), replay=_text(names.last(record.headers, names.REPLAYED))
            )
        place = _origin(first.origin)
        if place is None:
            return found
        topic, lane, offset, from_lane, from_offset = place.groups()
        found = replace(found, taken_ms=await self._taken_ms(topic, int(lane), int(offset), first))
        if from_lane is not None:
            before = await self._record(topic, int(from_lane), int(from_offset))
            found = replace(found, entered_ms=before.timestamp if before is not None else 0)
        return found

    async def _record(self, topic: str, lane: int, offset: int) -> Any:
        """Return a record; None if it is not there any more."""
        partition = TopicPartition(self._names.physical(topic), lane)
        self._consumer.assign([partition])
        least = (await self._consumer.beginning_offsets([partition]))[partition]
        end = (await self._consumer.end_offsets([partition]))[partition]
        if not least <= offset < end:
            return None
        async for records in read_range(self._consumer, partition, offset, offset + 1):
            for record in records:
                if record.offset == offset:
                    return record
        return None

    async def _taken_ms(self, topic: str, lane: int, offset: int, row: Row) -> int:
        """Return when a lane first stepped a record of one of its inputs, by its journal; 0 if that does not say."""
        partition = TopicPartition(self._names.physical(topics.JOURNAL), lane)
        self._consumer.assign([partition])
        entered_ms = (row.entered_ms or row.at_ms) - MARGIN_MS
        at = (await self._consumer.offsets_for_times({partition: max(0, entered_ms)}))[partition]
        end = (await self._consumer.end_offsets([partition]))[partition]
        if at is None:
            return 0
        seen = 0
        async for records in read_range(self._consumer, partition, at.offset, end):
            for record in records:
                entry = journal.unpack(record.value)
                seen += 1
                if entry is None or record.timestamp > row.at_ms or seen > ENTRIES_MAX:
                    return 0
                if any(name == topic and start <= offset < after for name, start, after in entry.ranges):
                    return entry.now_ms
        return 0


def _context(row: Row, record: Any) -> str:
    """Return the context that a record carries; of a dead letter without one, the trace that its span began."""
    carried = trace.of_record(record)
    if carried is None and row.status == DEAD and (place := _origin(row.origin)) is not None:
        own = coordinate_id(place[1], int(place[2]), int(place[3]))
        return trace.context(own, own[:16]).decode()
    return (carried or b"").decode()


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="replace")
