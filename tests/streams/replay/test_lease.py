"""Who works on a replay: of any that come, in any order, one at a time."""

import asyncio
import json

import pytest
from aiokafka import AIOKafkaProducer
from hypothesis import given
from hypothesis import strategies as st

from streams.admin import ensure_topics
from streams.clock import wall_ms
from streams.replay import lease
from streams.replay.lease import LEASE_MS, Claim, HeldError, Stands, held, held_by, holder, rival
from streams.replay.store import ReplayStore, confirmed_producer
from streams.settings import KafkaSettings
from streams.topics import TopicNames

NOW_MS = 1_000_000


@given(st.integers(2, 4), st.data())
def test_of_those_that_come_at_once_never_two_win(count: int, data: st.DataObject) -> None:
    """Each writes its claim, reads what stands in the log by then, and says that it holds if it has won."""
    log: list[tuple[str, Claim]] = []
    steps = {f"p{n}": ["claim", "read", "hold"] for n in range(count)}
    won: list[str] = []
    while steps:
        name = data.draw(st.sampled_from(sorted(steps)))
        step = steps[name].pop(0)
        if step == "claim":
            log.append((name, Claim(name, NOW_MS)))
        elif step == "read":
            claims = {who: Stands(claim, at) for at, (who, claim) in enumerate(log)}
            if rival(claims, name, NOW_MS):
                steps[name].clear()
            else:
                won.append(name)
        else:
            log.append((name, Claim(name, NOW_MS, holds=True)))
        if not steps[name]:
            del steps[name]
    assert len(won) == 1


@pytest.mark.parametrize(
    "other, offset, lost",
    [
        (Claim("other", NOW_MS, holds=True), 9, True),
        (Claim("other", NOW_MS - LEASE_MS, holds=True), 1, False),
        (Claim("other", NOW_MS), 1, True),
        (Claim("other", NOW_MS), 9, False),
        # It waits for a silent one to be gone, and says nothing meanwhile.
        (Claim("other", NOW_MS - LEASE_MS), 1, True),
        (Claim("other", NOW_MS - 2 * LEASE_MS), 1, False),
    ],
)
def test_a_claim_loses_to_who_holds_and_to_who_was_first(other: Claim, offset: int, *, lost: bool) -> None:
    claims = {"mine": Stands(Claim("mine", NOW_MS), 5), "other": Stands(other, offset)}
    assert (rival(claims, "mine", NOW_MS) == "other") is lost


def test_who_waits_does_not_hold() -> None:
    waits, silent = Stands(Claim("a", NOW_MS), 1), Stands(Claim("b", NOW_MS - LEASE_MS, holds=True), 2)
    assert holder({"a": waits, "b": silent}, NOW_MS) is None
    assert holder({"a": waits, "c": Stands(Claim("c", NOW_MS, holds=True), 3)}, NOW_MS) == Claim(
        "c", NOW_MS, holds=True
    )


async def place(kafka: str, prefix: str) -> tuple[ReplayStore, KafkaSettings]:
    settings, names = KafkaSettings(kafka), TopicNames(prefix)
    await ensure_topics(settings, names, lanes=2, replication=1, min_insync_replicas=1)
    return ReplayStore(settings, names, 2), settings


@pytest.mark.kafka
async def test_a_second_one_is_refused_while_the_first_lives_and_let_in_after_it(
    kafka: str, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.1)
    store, settings = await place(kafka, unique)
    async with confirmed_producer(settings) as producer:
        async with held(store, producer, "r"):
            assert "process" in await held_by(store, "r")
            with pytest.raises(HeldError, match="works on the replay r"):
                await _hold(store, producer)
        assert await held_by(store, "r") == ""
        await _hold(store, producer)
        assert not await lease.claims_of(store, "r")


@pytest.mark.kafka
async def test_of_two_at_once_on_a_real_topic_one_is_refused(
    kafka: str, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.1)
    store, settings = await place(kafka, unique)
    refused = asyncio.Event()

    async def work(producer: AIOKafkaProducer) -> str:
        try:
            async with held(store, producer, "r"):
                await refused.wait()
                return "held"
        except HeldError:
            refused.set()
            return "refused"

    async with confirmed_producer(settings) as one, confirmed_producer(settings) as two:
        async with asyncio.timeout(30):
            found = await asyncio.gather(work(one), work(two))
    assert sorted(found) == ["held", "refused"]


@pytest.mark.kafka
async def test_one_that_died_is_waited_for_and_followed(
    kafka: str, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "LEASE_MS", 2_000)
    store, settings = await place(kafka, unique)
    async with confirmed_producer(settings) as producer:
        died_ms = wall_ms()
        dead = {"process": "dead", "at_ms": died_ms, "holds": True}
        await store.put(producer, "r/claim/dead", json.dumps(dead).encode())
        assert await held_by(store, "r") == "dead"
        await _hold(store, producer)
        assert wall_ms() - died_ms >= 2_000


async def _hold(store: ReplayStore, producer: AIOKafkaProducer) -> None:
    async with held(store, producer, "r"):
        pass
