"""The changelog is read from outside: the newest value of a key, found from the end, and all of them."""

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.structs import TopicPartition

from processors import position
from processors.ingest.tenant import Account, Policy, account_key
from processors.position import POSITION_KEY, Position
from processors.vocabulary import topics as names
from processors.vocabulary.partition import lane_of
from streams import changelog
from streams.admin import ensure_topics
from streams.changelog import open_changelog
from streams.settings import KafkaSettings
from streams.topics import TopicNames

LANES = 2
pytestmark = pytest.mark.kafka


async def write(kafka: str, prefix: str, lane: int, *changes: tuple[bytes, bytes | None], aborts: bool = False) -> None:
    """Write changes to the `state` topic as a lane does: in a transaction."""
    await ensure_topics(KafkaSettings(kafka), TopicNames(prefix), lanes=LANES, replication=1, min_insync_replicas=1)
    producer = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=f"{prefix}-{lane}", retry_backoff_ms=5)
    await producer.start()
    try:
        await producer.begin_transaction()
        for key, value in changes:
            await producer.send(f"{prefix}{names.STATE}", value, key=key, partition=lane)
        await (producer.abort_transaction() if aborts else producer.commit_transaction())
    finally:
        await producer.stop()


async def test_the_newest_value_is_found_however_far_back_it_is(
    kafka: str, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changelog, "WINDOW_RECORDS", 3)
    old, gone, new = b"Kold", b"Kgone", b"Knew"
    await write(kafka, unique, 0, (old, b"first"), (gone, b"x"), (old, b"second"), (gone, None))
    await write(kafka, unique, 0, *((b"Kother%d" % n, b"y") for n in range(20)), (new, b"1"), (new, b"2"))
    await write(kafka, unique, 0, (new, b"3"), (old, b"third"), aborts=True)
    async with open_changelog(KafkaSettings(kafka), TopicNames(unique), LANES) as found:
        assert await found.newest(0, (old, gone, new, b"Knone")) == {old: b"second", new: b"2"}
        assert await found.newest(1, (old,)) == {}
        everything = await found.fold(0, lambda key: not key.startswith(b"Kother"))
        assert everything == {old: b"second", new: b"2"}


async def test_positions_and_accounts_are_what_the_lanes_wrote(kafka: str, unique: str) -> None:
    lane = lane_of(b"ann", LANES)
    account = Account(Policy(), b"", handled=3, created_ms=5)
    at = Position(applied={names.SIGNALS_IN: 7}, sequence=2)
    await write(kafka, unique, lane, (account_key("ann"), account.pack()), (POSITION_KEY, position.pack(at, 2)))
    async with open_changelog(KafkaSettings(kafka), TopicNames(unique), LANES) as found:
        assert await found.positions() == {lane: at}
        shown = await found.account("ann", Policy())
        assert shown is not None
        assert (shown.handled, shown.created_ms) == (3, 5)
        assert await found.account("bob", Policy()) is None
        assert list(await found.accounts(lane, Policy())) == ["ann"]
        assert found.consumer.assignment() == {TopicPartition(f"{unique}{names.STATE}", lane)}
