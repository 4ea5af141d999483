"""An own count against the ledger: it agrees when nothing was lost, and says where it does not."""

from collections.abc import Mapping

import pytest
from aiokafka import AIOKafkaProducer

from processors import position
from processors.ingest.tenant import Policy
from processors.position import POSITION_KEY, Position
from processors.vocabulary import headers, topics
from streams.admin import ensure_topics
from streams.audit import Audit, audit
from streams.settings import KafkaSettings
from streams.topics import TopicNames

LANES = 2
LEDGER: Mapping[str, int] = {
    "ingest/in": 5,
    "ingest/handled": 2,
    "ingest/duplicate": 1,
    "ingest/moved": 1,
    "ingest/dead_lettered": 1,
}
pytestmark = pytest.mark.kafka


class Topics:
    """Topics that look as if a lane had worked: five records came to lane 0, and one of them belonged to lane 1."""

    def __init__(self, kafka: str, prefix: str) -> None:
        self.kafka = KafkaSettings(kafka)
        self.names = TopicNames(prefix)

    async def write(self, topic: str, lane: int, count: int, value: bytes = b"x", **options: object) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self.kafka.bootstrap)
        await producer.start()
        try:
            for _ in range(count):
                await producer.send_and_wait(self.names.physical(topic), value, partition=lane, **options)
        finally:
            await producer.stop()

    async def ledger(self, terms: Mapping[str, int], applied: int = 5) -> None:
        at = Position(applied={topics.SIGNALS_IN: applied}, ledger=terms)
        await self.write(topics.STATE, 0, 1, position.pack(at, 2), key=POSITION_KEY)

    async def prepare(self) -> None:
        await ensure_topics(self.kafka, self.names, lanes=LANES, replication=1, min_insync_replicas=1)
        await self.write(topics.SIGNALS_IN, 0, 5)
        await self.write(topics.SIGNALS_IN, 1, 1, headers=[(headers.MOVED, b"0/4")])
        await self.write(topics.SIGNALS, 0, 2)
        await self.write(topics.DEAD_LETTERS, 0, 1)

    async def audit(self) -> Audit:
        return await audit(self.kafka, self.names, LANES, Policy())


@pytest.fixture
async def made(kafka: str, unique: str) -> Topics:
    found = Topics(kafka, unique)
    await found.prepare()
    return found


def wrong(found: Audit) -> list[tuple[int, str, int]]:
    return [(one.lane, one.term, one.counted) for one in found.comparisons if not one.fits]


async def test_what_agrees_is_balanced(made: Topics) -> None:
    await made.ledger(LEDGER)
    found = await made.audit()
    assert found.balanced
    assert {one.term for one in found.comparisons} >= {
        "ingest/in",
        "ingest/handled",
        "ingest/moved",
        "ingest/dead_lettered",
    }
    assert not found.moving
    assert not found.trimmed


@pytest.mark.parametrize(
    "topic, term, counted",
    [(topics.SIGNALS, "ingest/handled", 3), (topics.DEAD_LETTERS, "ingest/dead_lettered", 2)],
)
async def test_a_record_too_many_is_found(made: Topics, topic: str, term: str, counted: int) -> None:
    await made.ledger(LEDGER)
    await made.write(topic, 0, 1)
    found = await made.audit()
    assert not found.balanced
    assert wrong(found) == [(0, term, counted)]


async def test_a_record_that_vanished_is_found(made: Topics) -> None:
    await made.ledger({**LEDGER, "ingest/handled": 3, "ingest/duplicate": 0})
    assert wrong(await made.audit()) == [(0, "ingest/handled", 2)]


async def test_a_move_that_did_not_arrive_is_found(made: Topics) -> None:
    await made.ledger({**LEDGER, "ingest/moved": 2, "ingest/duplicate": 0})
    assert wrong(await made.audit()) == [(0, "ingest/moved", 1)]


async def test_records_that_are_not_accounted_for_are_found(made: Topics) -> None:
    await made.ledger({**LEDGER, "ingest/duplicate": 0})
    found = await made.audit()
    assert not found.balanced
    assert found.unbalanced == {0: {"ingest": 1}}


async def test_what_waits_behind_the_applied_offset_is_not_missed(made: Topics) -> None:
    await made.write(topics.SIGNALS_IN, 0, 3)
    await made.ledger(LEDGER)
    assert (await made.audit()).balanced
