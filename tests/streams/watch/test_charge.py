"""One watch of several is in charge, and who writes is the one who took charge last: real Kafka."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.vocabulary import topics as names
from streams.admin import ensure_topics
from streams.settings import Settings
from streams.tasks import ended
from streams.watch.alertlog import LogError, open_log
from streams.watch.charge import Charge, Oldest
from streams.watch.words import Became, State, ToldChange

SECONDS = 60.0
LOOK_SECONDS = 0.05


@given(st.lists(st.integers(0, 50), min_size=1, max_size=6))
def test_everything_goes_to_the_one_that_came_first(since: list[int]) -> None:
    assignors = {f"member-{number}": Oldest(each) for number, each in enumerate(since)}
    members = {name: assignor.metadata(["alerts"]) for name, assignor in assignors.items()}
    cluster = SimpleNamespace(partitions_for_topic=lambda _: {2, 0, 1})
    for assignor in assignors.values():
        given_to = assignor.assign(cluster, members)
        (oldest,) = [name for name, assignment in given_to.items() if assignment.assignment]
        assert since[int(oldest.removeprefix("member-"))] == min(since)
        assert given_to[oldest].assignment == [("alerts", [0, 1, 2])]


async def settings_on(kafka: str, unique: str) -> Settings:
    made = Settings(kafka=kafka, topic_prefix=f"{unique}.", lanes=2, session_timeout_ms=6_000)
    await ensure_topics(made.cluster(), made.topics, lanes=2, replication=1, min_insync_replicas=1)
    return made


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():  # noqa: ASYNC110 - it is asked, it does not tell
            await asyncio.sleep(LOOK_SECONDS)


@pytest.mark.kafka
async def test_the_second_stands_by_and_takes_over_when_the_first_leaves(kafka: str, unique: str) -> None:
    settings = await settings_on(kafka, unique)
    first, second = Charge(settings, kafka), Charge(settings, kafka)
    one = asyncio.create_task(first.run())
    await until(lambda: first.held)
    two = asyncio.create_task(second.run())

    def joined() -> bool:
        coordinator = getattr(second.consumer, "_coordinator", None)
        return getattr(coordinator, "generation", -1) >= 0

    await until(joined)
    assert (first.held, second.held) == (True, False)
    await ended(one)
    assert not first.held
    await until(lambda: second.held)
    await ended(two)


def change(number: int) -> ToldChange:
    return ToldChange(
        number=number, at_ms=number, id=f"{number:032x}", alert="LagHigh", severity="warning", from_="pending",
        to="firing", labels={"topic": names.SIGNALS_IN}, value=31.0, threshold=30.0, since_ms=number, summary="S.",
        description="d", runbook="lag.md",
    )  # fmt: skip


def state(written: int, told: int) -> State:
    return State(at_ms=written, written=written, told=told, judge=b"judge %d" % written)


@pytest.mark.kafka
async def test_who_takes_over_goes_on_where_the_other_was_and_the_other_writes_no_more(kafka: str, unique: str) -> None:
    settings = await settings_on(kafka, unique)
    async with open_log(settings, kafka) as first:
        assert (await first.read_back()).state is None
        await first.write([change(1), change(2)], state(2, 0))
        await first.write([change(3)], state(3, 2))
        async with open_log(settings, kafka) as second:
            back = await second.read_back()
            assert back.state == state(3, 2)
            assert [one.number for one in back.untold] == [3]
            with pytest.raises(LogError):
                await first.write([change(4)], state(4, 3))
            await second.write([], state(3, 3))
            back = await second.read_back()
            assert (back.state, back.untold) == (state(3, 3), ())


@pytest.mark.kafka
async def test_the_state_is_found_behind_many_other_records(kafka: str, unique: str, monkeypatch: Any) -> None:
    monkeypatch.setattr("streams.watch.alertlog.BACK_RECORDS", 2)
    settings = await settings_on(kafka, unique)
    async with open_log(settings, kafka) as log:
        await log.write([change(number) for number in range(1, 30)], state(29, 10))
        became = Became(
            at_ms=1, channel="c", notice="n", result="told", alerts=("a",), attempt=1, seconds=0.1, words="taken"
        )
        await log.write([became] * 40, state(29, 10))
        back = await log.read_back()
        assert back.state == state(29, 10)
        assert [one.number for one in back.untold] == list(range(11, 30))


async def test_without_kafka_the_log_says_so() -> None:
    with pytest.raises(LogError, match="cannot be written"):
        async with open_log(Settings(kafka="127.0.0.1:1"), "127.0.0.1:1"):
            pytest.fail("it opened")
