"""Places where Hopline leans on aiokafka beyond its documented surface: each must still be there."""

import asyncio
import inspect
from pathlib import Path

import aiokafka.producer.sender
import pytest
from aiokafka.errors import MessageSizeTooLargeError

from processors.lane import Commit
from processors.position import POSITION_KEY, Position
from processors.step import Output
from processors.vocabulary import topics
from streams.lanes.kafka import ClusterLanes
from streams.lanes.ports import LaneLostError, OutcomeUnknownError
from streams.lanes.writer import BACKOFF_BETWEEN_TRANSACTIONS_SECONDS, quicken_transactions
from streams.settings import KafkaSettings
from streams.topics import TopicNames
from tests.integration.pipeline import Pipeline


def commit_of(outputs: dict[tuple[str, int], list[Output]]) -> Commit:
    return Commit(
        position=Position(sequence=1, now_ms=1),
        outputs=outputs,
        changes={POSITION_KEY: b"x"},
        journal=b"j",
        tally={},
        handled_ms=(),
        due_ms=None,
        records=1,
    )


def lanes_of(pipe: Pipeline, application: str) -> ClusterLanes:
    names = TopicNames(pipe.prefix)
    return ClusterLanes(KafkaSettings(pipe.kafka), names, application=application, inputs=(topics.SIGNALS_IN,))


def test_the_pause_between_transactions_can_still_be_set() -> None:
    source = inspect.getsource(aiokafka.producer.sender)
    assert source.count("BACKOFF_OVERRIDE") >= 2
    quicken_transactions()
    assert aiokafka.producer.sender.BACKOFF_OVERRIDE == BACKOFF_BETWEEN_TRANSACTIONS_SECONDS


@pytest.mark.kafka
async def test_a_transaction_of_which_a_batch_failed_is_not_committed(kafka: str, unique: str, tmp_path: Path) -> None:
    """The client itself commits it: this is why the writer waits for each batch before it commits."""
    pipe = Pipeline(kafka, f"{unique}.", tmp_path)
    await pipe.prepare()
    lanes = lanes_of(pipe, unique)
    writer = await lanes.fence(0)
    too_large: list[Output] = [(b"k", b"x" * 3_000_000, [])]
    outputs: dict[tuple[str, int], list[Output]] = {
        (topics.SIGNALS, 0): [(b"k", b"good", [])],
        (topics.JOURNAL, 1): too_large,
    }
    with pytest.raises(OutcomeUnknownError, match=MessageSizeTooLargeError.__name__):
        await writer.commit(commit_of(outputs), due={topics.SIGNALS_IN: 1})
    await writer.discard()
    again = await lanes.fence(0)
    await again.discard()
    assert await pipe.read(topics.SIGNALS) == []
    assert await lanes.committed(0) == {}


@pytest.mark.kafka
async def test_a_fenced_writer_is_told_that_its_lane_is_lost(kafka: str, unique: str, tmp_path: Path) -> None:
    pipe = Pipeline(kafka, f"{unique}.", tmp_path)
    await pipe.prepare()
    lanes = lanes_of(pipe, unique)
    old = await lanes.fence(0)
    new = await lanes.fence(0)
    with pytest.raises(LaneLostError):
        await old.commit(commit_of({}), due={topics.SIGNALS_IN: 1})
    assert await new.commit(commit_of({}), due={topics.SIGNALS_IN: 2}) >= 1
    async with asyncio.timeout(30):
        # The commit is answered before its marker has reached the group's own topic.
        while await lanes.committed(0) != {topics.SIGNALS_IN: 2}:
            continue
    await old.discard()
    await new.discard()
