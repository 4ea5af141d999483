"""The check beside a real worker: nothing where nothing is wrong, forged records found, and where it was it goes on."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from click.testing import CliRunner

from processors.ledger import Fault
from processors.telemetry import catalogue
from processors.vocabulary import headers as names
from processors.vocabulary import topics
from streams.cli.ledger import ledger
from streams.ledger import once
from streams.ledger.check import LedgerCheck
from streams.metrics import Metrics
from streams.settings import KafkaSettings
from streams.topics import TopicNames
from tests.chaos.waiting import until
from tests.integration.pipeline import Pipeline, event, pipeline
from tests.ledger.plants import PLANTS
from tests.ledger.run import Planted

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

CHECK_SECONDS_MAX = 60.0
LANES = 2
TENANTS = ("acme", "bolt", "cork")


@asynccontextmanager
async def checking(pipe: Pipeline, path: Path | None = None) -> AsyncIterator[tuple[LedgerCheck, Metrics]]:
    metrics = Metrics()
    check = LedgerCheck(KafkaSettings(pipe.kafka), TopicNames(pipe.prefix), LANES, metrics=metrics, path=path)
    task = asyncio.create_task(check.run())
    try:
        yield check, metrics
    finally:
        task.cancel()
        await asyncio.wait({task}, timeout=CHECK_SECONDS_MAX)


async def judged(check: LedgerCheck, least: int) -> None:
    async def enough() -> bool:
        return check.books.judged >= least and check.drained

    await until(enough, CHECK_SECONDS_MAX, f"{least} commits judged")


async def signals(pipe: Pipeline, first: int, count: int) -> None:
    """Send some of all sorts: good, doubled, bad, misplaced, and directives."""
    good = [(tenant, event(tenant, number)) for number in range(first, first + count) for tenant in TENANTS]
    await pipe.send([*good, *good[:3], ("acme", b"{")])
    await pipe.send_to([(lane, event("bolt", first + 1_000 + lane)) for lane in range(LANES)])
    limit = event("cork", first, type="hopline.limit.set", data={"burst": 100 + first})
    await pipe.send_to([(0, limit)], topic=topics.COMMANDS)


async def forge(pipe: Pipeline, lane: int, **options: object) -> None:
    """Write a signal as a bug would that writes on its own."""
    producer = AIOKafkaProducer(bootstrap_servers=pipe.kafka, transactional_id=f"{pipe.prefix}forger")
    await producer.start()
    try:
        async with producer.transaction():
            await producer.send(pipe.physical(topics.SIGNALS), b"{}", partition=lane, **options)
    finally:
        await producer.stop()


async def test_a_worker_is_balanced_and_a_forged_record_is_not(kafka: str, unique: str, tmp_path: Path) -> None:
    with pipeline(kafka, unique, tmp_path) as pipe:
        await pipe.prepare()
        path = tmp_path / "ledger.json"
        async with checking(pipe, path) as (check, metrics):
            await pipe.start().ready()
            await signals(pipe, 0, 20)
            records = await pipe.until(topics.SIGNALS, 63)
            await judged(check, 2)
            assert list(check.recent) == []
            known = check.books.judged
        assert path.exists()
        # While it is away the lanes go on, and a record is forged.
        await signals(pipe, 100, 20)
        await pipe.until(topics.SIGNALS, len(records) + 63)
        first = next(record for record in records if any(name == names.CAME for name, _ in record.headers))
        await forge(pipe, first.partition, key=first.key, headers=[*first.headers])
        async with checking(pipe, path) as (check, metrics):
            await judged(check, 1)

            async def found() -> bool:
                return bool(check.recent)

            await until(found, CHECK_SECONDS_MAX, "the forged record")
            faults = {finding.fault for finding in check.recent}
            assert faults <= {Fault.WITHOUT_COMMIT, Fault.OUTPUT_TWICE, Fault.OUT_OF_ORDER, Fault.TERM_DIFFERS}
            assert {finding.lane for finding in check.recent} == {first.partition}
            shown = metrics.gauge(catalogue.LEDGER_CHECKED).children
            assert sum(child._value.get() for labels, child in shown.items() if labels[1] == str(first.partition)) > 0
            assert check.books.skipped == 0
            assert metrics.counter(catalogue.LEDGER_COMMITS).of()._value.get() > 0
        assert known > 0


async def test_one_that_is_too_far_behind_leaves_out_what_it_counts(
    kafka: str, unique: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.ledger.check.BEHIND_MAX", 30)
    monkeypatch.setattr("streams.ledger.reader.RECORDS_MAX", 5)
    with pipeline(kafka, unique, tmp_path) as pipe:
        await pipe.prepare()
        async with checking(pipe) as (check, metrics):
            await pipe.start().ready()

            async def left_out() -> bool:
                await signals(pipe, 10 * check.looks, 10)
                return check.books.skipped > 0

            await until(left_out, CHECK_SECONDS_MAX, "commits that were left out")
            monkeypatch.undo()
            known = check.books.judged
            await signals(pipe, 100_000, 10)
            await judged(check, known + 1)
            assert list(check.recent) == []
            assert metrics.counter(catalogue.LEDGER_SKIPPED).of()._value.get() > 0


async def test_the_past_is_judged_from_the_topics_alone(
    kafka: str, unique: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pipeline(kafka, unique, tmp_path) as pipe:
        await pipe.prepare()
        worker = await pipe.start().ready()
        for batch in range(5):
            await signals(pipe, 100 * batch, 10)
            await pipe.until(topics.SIGNALS, 33 * (batch + 1))
        assert await worker.stop() == 0
        at = (KafkaSettings(kafka), TopicNames(pipe.prefix), LANES)
        shown = await once.check(*at, since_ms=0, told=lambda _: None)
        assert list(shown.findings) == []
        assert shown.judged > LANES
        await forge(pipe, 1, key=b"acme")
        for name, value in {"KAFKA": kafka, "TOPIC_PREFIX": pipe.prefix, "LANES": str(LANES)}.items():
            monkeypatch.setenv(f"HOPLINE_{name}", value)
        said = await asyncio.to_thread(CliRunner().invoke, ledger, ["--since", "1h", "--json"])
        assert said.exit_code == 1, said.output
        lines = [json.loads(line) for line in said.output.splitlines()]
        assert {line["fault"] for line in lines[:-1]} <= {"without_commit", "wrong_lane"}
        assert lines[-1]["findings"] == len(lines) - 1 > 0
        assert not lines[-1]["balanced"]


@pytest.mark.slow
async def test_faults_planted_into_a_worker_are_found(tmp_path: Path) -> None:
    wanted = {
        "signal_missing",
        "commit_told_again",
        "journal_missing",
        "term_off_by_one",
        "move_lost",
        "uncommitted_read",
    }
    outcome = await Planted(tmp_path, [plant for plant in PLANTS if plant.name in wanted]).run()
    assert outcome.before == []
    assert [catch.plant for catch in outcome.catches if not catch.fault] == []
    assert len(outcome.catches) == len(wanted)
