"""Topics are created once, checked always, and refused with the way to mend them."""

import asyncio
from dataclasses import replace

import pytest
from aiokafka.admin import NewTopic

from processors.vocabulary import topics as names
from streams.admin import (
    KafkaAwayError,
    TopicMismatchError,
    TopicsMissingError,
    admin_client,
    create_commands,
    ensure_topics,
    require_topics,
)
from streams.settings import KafkaSettings
from streams.standing import standings
from streams.topics import TOPICS, TopicNames

NOWHERE = KafkaSettings("127.0.0.1:1")


async def make(kafka: str, name: str, **settings: str) -> None:
    async with admin_client(KafkaSettings(kafka)) as admin:
        await admin.create_topics([NewTopic(name, 2, 1, topic_configs=settings)])


async def ensure(kafka: str, prefix: str, *, lanes: int = 2, min_insync_replicas: int = 1) -> list[bool]:
    found = await ensure_topics(
        KafkaSettings(kafka), TopicNames(prefix), lanes=lanes, replication=1, min_insync_replicas=min_insync_replicas
    )
    return [topic.created for topic in found]


@pytest.mark.kafka
async def test_missing_topics_are_created_once_however_many_start_together(kafka: str, unique: str) -> None:
    found = await asyncio.gather(*(ensure(kafka, unique) for _ in range(4)))
    assert [sum(created) for created in zip(*found, strict=True)] == [1] * len(TOPICS)
    assert not any(await ensure(kafka, unique))
    await require_topics(KafkaSettings(kafka), TopicNames(unique), 2)


@pytest.mark.kafka
async def test_topics_created_beforehand_are_accepted_if_they_fit(kafka: str, unique: str) -> None:
    wanted = next(topic for topic in TOPICS if topic.name == names.SIGNALS)
    # More than is asked for is as good; what is not asked for is the operator's.
    more = {"max.message.bytes": str(wanted.message_bytes_max * 2), "retention.ms": "3600000"}
    await make(kafka, f"{unique}{names.SIGNALS}", **more)
    created = await ensure(kafka, unique)
    assert created == [topic.name != names.SIGNALS for topic in TOPICS]


@pytest.mark.kafka
async def test_another_number_of_lanes_is_refused_for_all_topics_at_once(kafka: str, unique: str) -> None:
    await ensure(kafka, unique)
    with pytest.raises(TopicMismatchError) as caught:
        await ensure(kafka, unique, lanes=4)
    assert {mismatch.topic for mismatch in caught.value.mismatches} == {unique + topic.name for topic in TOPICS}
    said = str(caught.value)
    assert "is 2, wanted is 4" in said
    assert "HOPLINE_LANES=2" in said
    assert said.count("\n") == 0, "what is wrong with all of them is said once"
    with pytest.raises(TopicMismatchError):
        await require_topics(KafkaSettings(kafka), TopicNames(unique), 4)


@pytest.mark.kafka
@pytest.mark.parametrize(
    "topic, setting, value",
    [
        (names.STATE, "cleanup.policy", "delete"),
        (names.STATE, "cleanup.policy", "compact,delete"),
        (names.SIGNALS, "cleanup.policy", "compact"),
        (names.DEAD_LETTERS, "max.message.bytes", "1000000"),
        (names.STATE, "delete.retention.ms", "60000"),
        (names.DATA_KEYS, "segment.ms", "604800000"),
        (names.DATA_KEYS, "delete.retention.ms", "604800000"),
    ],
)
async def test_a_setting_that_would_lose_data_or_keep_what_is_to_go_is_refused(
    kafka: str, unique: str, topic: str, setting: str, value: str
) -> None:
    wanted = next(one for one in TOPICS if one.name == topic)
    await make(kafka, unique + topic, **{**wanted.config(min_insync_replicas=1), setting: value})
    with pytest.raises(TopicMismatchError) as caught:
        await ensure(kafka, unique)
    (mismatch,) = caught.value.mismatches
    assert (mismatch.topic, mismatch.what, mismatch.found) == (unique + topic, setting, value)
    assert f"--add-config {setting}=" in mismatch.mend


@pytest.mark.kafka
async def test_min_insync_replicas_below_the_setting_is_refused(kafka: str, unique: str) -> None:
    await ensure(kafka, unique)
    with pytest.raises(TopicMismatchError, match=r"min\.insync\.replicas is 1, wanted is at least 2"):
        await ensure(kafka, unique, min_insync_replicas=2)


@pytest.mark.kafka
async def test_what_cannot_be_created_is_listed_with_its_commands(kafka: str, unique: str) -> None:
    with pytest.raises(TopicsMissingError) as caught:
        await ensure_topics(KafkaSettings(kafka), TopicNames(unique), lanes=2, replication=3, min_insync_replicas=2)
    said = str(caught.value)
    assert "too few brokers for 3 copies" in said
    for topic in TOPICS:
        assert f"--create --topic {unique}{topic.name} --partitions 2 --replication-factor 3" in said


@pytest.mark.kafka
async def test_looking_creates_nothing(kafka: str, unique: str) -> None:
    with pytest.raises(TopicsMissingError, match="has no topic"):
        await standings(KafkaSettings(kafka), TopicNames(unique), 2, group=unique)
    async with admin_client(KafkaSettings(kafka)) as admin:
        assert not [name for name in await admin.list_topics() if name.startswith(unique)]


@pytest.mark.kafka
async def test_where_topics_stand_is_known_before_anything_ran(kafka: str, unique: str) -> None:
    await ensure(kafka, unique)
    found = await standings(KafkaSettings(kafka), TopicNames(unique), 2, group=unique)
    assert [(one.topic, one.lane) for one in found] == [(topic.name, lane) for topic in TOPICS for lane in range(2)]
    assert all(one.begin == one.stable == one.end == 0 and one.size_bytes == 0 for one in found)
    assert {one.topic for one in found if one.lag == 0} == {names.SIGNALS_IN, names.COMMANDS}


async def test_a_cluster_that_is_away_is_said_to_be() -> None:
    with pytest.raises(KafkaAwayError, match=r"127\.0\.0\.1:1"):
        await ensure_topics(NOWHERE, TopicNames(), lanes=1, replication=1, min_insync_replicas=1)


def test_commands_carry_what_a_cluster_with_a_login_needs() -> None:
    kafka = replace(NOWHERE, security="SASL_SSL")
    commands = create_commands(kafka, TopicNames("x."), lanes=3, replication=3, min_insync_replicas=2)
    assert len(commands) == len(TOPICS)
    assert all("--command-config" in command and "min.insync.replicas=2" in command for command in commands)
