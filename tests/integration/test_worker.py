"""A real worker on real Kafka: what comes out, what is set aside, what survives its end."""

import asyncio
import json
import signal
from pathlib import Path

import pytest

from processors import journal
from processors.fold import fold
from processors.journal import Entry
from processors.lane import LaneSettings
from processors.vocabulary import topics
from processors.vocabulary.partition import lane_of
from streams.agents import ingest
from streams.lanes import checkpoint
from streams.lanes.kafka import ClusterLanes
from streams.settings import KafkaSettings, Settings
from streams.topics import INPUTS, TopicNames
from tests.integration.faulty_worker import RAISE, SPIN
from tests.integration.pipeline import FAULTY, event, pipeline, until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

TENANTS = ("acme", "bolt", "cork", "dune")


def headers_of(record: object) -> dict[str, bytes]:
    return dict(record.headers)  # type: ignore[attr-defined]


def ids_of(records: list[object]) -> list[str]:
    return [json.loads(record.value)["id"] for record in records]  # type: ignore[attr-defined]


async def test_signals_come_out_once_in_order_and_the_rest_is_set_aside(
    kafka: str, unique: str, tmp_path: Path
) -> None:
    with pipeline(kafka, unique, tmp_path) as pipe:
        await pipe.prepare()
        worker = await pipe.start().ready()
        good = [(tenant, event(tenant, n)) for n in range(50) for tenant in TENANTS]
        await pipe.send([*good, *good[:20], ("acme", b"{"), ("acme", None)])
        wrong_lane = 1 - lane_of(b"acme", 2)
        await pipe.send_to([(wrong_lane, event("acme", 999))])
        records = await pipe.until(topics.SIGNALS, 201)
        dead = await pipe.until(topics.DEAD_LETTERS, 2)
        assert sorted(headers_of(one)["dl_reason"] for one in dead) == [b"not_json", b"null_value"]
        assert len(records) == 201
        for tenant in TENANTS:
            mine = [i for i in ids_of(records) if i.startswith(f"{tenant}-") and not i.endswith("-999")]
            assert mine == [f"{tenant}-{n}" for n in range(50)]
        assert {one.partition for one in records if b"acme-999" in one.value} == {lane_of(b"acme", 2)}
        await until(
            lambda: worker.metric('hopline_signals_total{hop="ingest",outcome="duplicate"') == 20,
            lambda: worker.page("/metrics"),
        )
        assert worker.metric("hopline_ledger_mismatch_records") == 0
        await until(lambda: worker.metric("hopline_lag_records") == 0, lambda: worker.page("/lanes"))
        # An idle lane tells the group where it is, for tools that know nothing of lanes.
        applied = json.loads(worker.page("/lanes"))
        lanes = ClusterLanes(
            KafkaSettings(kafka), TopicNames(pipe.prefix), application=f"{pipe.prefix}hopline", inputs=INPUTS
        )
        async with asyncio.timeout(20):
            while any([dict(await lanes.committed(n)) != applied[str(n)]["applied"] for n in range(2)]):
                continue
        assert await worker.stop() == 0


async def test_a_worker_that_is_killed_or_stopped_goes_on_where_it_was(kafka: str, unique: str, tmp_path: Path) -> None:
    with pipeline(kafka, unique, tmp_path) as pipe:
        await pipe.prepare()
        for number, end in enumerate((signal.SIGKILL, signal.SIGTERM, None)):
            worker = await pipe.start().ready()
            await pipe.send([(t, event(t, n)) for t in TENANTS for n in range(number * 9, number * 9 + 10)])
            # Each round sends the last one of the round before again: state must know it.
            await pipe.until(topics.SIGNALS, len(TENANTS) * (number * 9 + 10))
            if end is not None:
                worker.process.send_signal(end)
                await worker.ended()
        records = await pipe.read(topics.SIGNALS)
        assert len(records) == len(set(ids_of(records))) == len(TENANTS) * 28


async def test_a_hop_that_raises_costs_one_record_and_says_where(kafka: str, unique: str, tmp_path: Path) -> None:
    with pipeline(kafka, unique, tmp_path) as pipe:
        await pipe.prepare()
        worker = await pipe.start(FAULTY).ready()
        bad = event("acme", 1, subject=RAISE.decode())
        await pipe.send([("acme", event("acme", 0)), ("acme", bad), ("acme", event("acme", 2))])
        assert ids_of(await pipe.until(topics.SIGNALS, 2)) == ["acme-0", "acme-2"]
        (dead,) = await pipe.until(topics.DEAD_LETTERS, 1)
        assert (dead.value, headers_of(dead)["dl_reason"]) == (bad, b"bug")
        assert b"as the record asked" in headers_of(dead)["dl_stack"]
        assert worker.metric("hopline_hop_failures_total") >= 1


async def test_a_hop_that_spins_is_killed_and_its_record_set_aside(kafka: str, unique: str, tmp_path: Path) -> None:
    with pipeline(kafka, unique, tmp_path, STUCK_SECONDS_MAX="1.5") as pipe:
        await pipe.prepare()
        bad = event("acme", 1, subject=SPIN.decode())
        await pipe.send([("acme", event("acme", 0)), ("acme", bad), ("acme", event("acme", 2))])
        deaths = 0
        while not await pipe.read(topics.DEAD_LETTERS):
            assert deaths < 8
            worker = pipe.start(FAULTY)
            while worker.process.poll() is None and not await pipe.read(topics.DEAD_LETTERS):
                continue
            deaths += worker.process.poll() is not None
        (letter,) = await pipe.read(topics.DEAD_LETTERS)
        assert (letter.value, headers_of(letter)["dl_reason"]) == (bad, b"stuck")
        assert ids_of(await pipe.until(topics.SIGNALS, 2)) == ["acme-0", "acme-2"]
        assert deaths >= 1


async def test_the_journal_folds_from_a_checkpoint_to_the_very_outputs(kafka: str, unique: str, tmp_path: Path) -> None:
    settings = {"CHECKPOINT_SECONDS": "0.5", "TENANT_RATE_PER_SECOND": "40", "TENANT_BURST": "5"}
    with pipeline(kafka, unique, tmp_path, **settings) as pipe:
        await pipe.prepare()
        worker = await pipe.start().ready()
        await pipe.send([(t, event(t, n)) for t in TENANTS for n in range(30)])
        await pipe.until(topics.SIGNALS, 120)
        folder = checkpoint.folder(tmp_path, 0)
        await until(lambda: checkpoint.newest(folder) is not None, lambda: "no checkpoint was written")
        await pipe.send([(t, event(t, n)) for t in TENANTS for n in range(25, 60)])
        await pipe.until(topics.SIGNALS, 240)
        assert await worker.stop() == 0
        first = min(folder.glob("*.checkpoint"))
        position, store = checkpoint.read(first)
        hop = ingest.hop(Settings(tenant_rate_per_second=40, tenant_burst=5))
        log = {
            (topic, r.offset): r
            for topic in (topics.SIGNALS_IN, topics.COMMANDS)
            for r in await pipe.read(topic)
            if r.partition == 0
        }
        entries = [journal.unpack(r.value) for r in await pipe.read(topics.JOURNAL) if r.partition == 0]
        folded = fold(
            LaneSettings(0, 2, (hop,)),
            position,
            store,
            [entry for entry in entries if isinstance(entry, Entry)],
            lambda topic, start, after: [log[topic, o] for o in range(start, after) if (topic, o) in log],
        )
        made = [o[1] for commit in folded for o in commit.outputs.get((topics.SIGNALS, 0), ())]
        written = [r.value for r in await pipe.read(topics.SIGNALS) if r.partition == 0]
        assert made
        assert written[-len(made) :] == made
