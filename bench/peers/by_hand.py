"""By hand: the same work with confluent-kafka and nothing else, its state in memory and in a changelog."""

import asyncio
import struct
from dataclasses import dataclass, field
from typing import Final

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from bench.peers.work import Event, Report, Task, decode, enrich, on_stop, seen_as, task

TRANSACTION_RECORDS_MAX: Final = 5_000
TRANSACTION_SECONDS_MAX: Final = 0.1
CALL_SECONDS_MAX: Final = 30.0
IDS_KEY: Final = b"ids "
"""Changelog records whose key begins so add ids (its rest is the first of them, so that compaction keeps each);
those under a tenant's name replace its count."""
_COUNT: Final = struct.Struct(">Q")


@dataclass(slots=True)
class State:
    """What is known: every id, and how many signals each tenant has sent."""

    ids: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)

    def apply(self, key: bytes, value: bytes) -> None:
        """Take in one record of the changelog."""
        if key.startswith(IDS_KEY):
            self.ids.update(value.decode().split("\n"))
        else:
            self.counts[key.decode()] = _COUNT.unpack(value)[0]


def known_as(tenant: str, event: Event) -> str:
    """Return what stands in the set for an event."""
    return f"{tenant} {seen_as(event)}"


def restore(wanted: Task) -> State:
    """Read the changelog from its beginning."""
    state = State()
    reader = Consumer(
        {
            "bootstrap.servers": wanted.kafka,
            "group.id": f"{wanted.name}-restore",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    try:
        reader.assign([TopicPartition(wanted.changelog, lane, OFFSET_BEGINNING) for lane in range(wanted.lanes)])
        left = wanted.lanes
        while left:
            for message in reader.consume(TRANSACTION_RECORDS_MAX, TRANSACTION_SECONDS_MAX):
                error = message.error()
                if error is None:
                    state.apply(message.key() or b"", message.value() or b"")
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's codes below 0 are spelled so
                    left -= 1
                else:
                    raise KafkaException(error)
    finally:
        reader.close()
    return state


def run(wanted: Task, report: Report) -> None:
    """Work until told to stop."""
    stop = asyncio.Event()
    on_stop(stop.set)
    state = restore(wanted)
    report.notes["restored_ids"] = str(len(state.ids))
    reader = Consumer(
        {
            "bootstrap.servers": wanted.kafka,
            "group.id": wanted.name,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "fetch.message.max.bytes": 4 * 1_048_576,
        }
    )
    writer = Producer(
        {
            "bootstrap.servers": wanted.kafka,
            "transactional.id": wanted.name,
            "linger.ms": 5,
            "batch.size": 1_000_000,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    try:
        writer.init_transactions(CALL_SECONDS_MAX)
        reader.subscribe([wanted.source])
        while not stop.is_set():
            messages = reader.consume(TRANSACTION_RECORDS_MAX, TRANSACTION_SECONDS_MAX)
            if messages:
                transact(wanted, state, messages, reader, writer)
                report.consumed(len(messages))
                report.committed()
    finally:
        reader.close()


def transact(wanted: Task, state: State, messages: list[Message], reader: Consumer, writer: Producer) -> None:
    """Do the work of one batch in one transaction: outputs, changelog and input offsets."""
    writer.begin_transaction()
    fresh: dict[int, list[str]] = {}
    touched: dict[str, int] = {}
    for message in messages:
        error = message.error()
        if error is not None:
            raise KafkaException(error)
        event = decode(message.value())
        if event is None:
            continue
        tenant = event["tenantid"]
        known = known_as(tenant, event)
        if known in state.ids:
            continue
        lane = message.partition() or 0
        state.ids.add(known)
        state.counts[tenant] = state.counts.get(tenant, 0) + 1
        fresh.setdefault(lane, []).append(known)
        touched[tenant] = lane
        writer.produce(wanted.sink, orjson.dumps(enrich(event)), key=tenant, partition=lane)
    for lane, ids in fresh.items():
        writer.produce(wanted.changelog, "\n".join(ids), key=IDS_KEY + ids[0].encode(), partition=lane)
    for tenant, lane in touched.items():
        writer.produce(wanted.changelog, _COUNT.pack(state.counts[tenant]), key=tenant, partition=lane)
    writer.send_offsets_to_transaction(
        reader.position(reader.assignment()), reader.consumer_group_metadata(), CALL_SECONDS_MAX
    )
    writer.commit_transaction(CALL_SECONDS_MAX)


if __name__ == "__main__":
    ours = Report()
    run(task(), ours)
    ours.print(f"{TRANSACTION_RECORDS_MAX} records or {TRANSACTION_SECONDS_MAX} s at most", "confluent-kafka", "orjson")
