"""`hopline demo`, run for real: its exit code is an own reader's count."""

import json
from pathlib import Path

import pytest

from streams.demo import expected, generate
from tests.integration.command_line import CommandLine

pytestmark = [pytest.mark.slow, pytest.mark.kafka, pytest.mark.timeout(240)]


async def test_the_demo_proves_what_became_of_each_signal(tmp_path: Path) -> None:
    line = CommandLine(tmp_path / "data")
    done = await line.call("demo", "--signals", "1500", "--tenants", "20", "--json")
    assert done.returncode == 0, done.stderr + done.stdout
    said = json.loads(done.stdout.splitlines()[-1])
    must = expected(generate(seed=1, signals=1_500, tenants=20), lanes=2)
    assert said["ok"] is True
    assert said["ledger_balanced"] is True
    assert said["found"]["handled"] == said["found"]["different"] == must.handled
    assert said["found"]["duplicates"] == must.duplicates
    assert said["found"]["moved"] == must.moved
    assert said["found"]["dead"] == dict(must.dead)
    assert said["expected"]["refused"] == must.refused
    assert not (tmp_path / "data").exists(), "it used a folder of its own, which is gone"


async def test_the_demo_on_a_cluster_that_is_there_counts_only_its_own(kafka: str, unique: str, tmp_path: Path) -> None:
    line = CommandLine(tmp_path / "data", KAFKA=kafka, TOPIC_PREFIX=unique)
    for seed in ("1", "2"):
        done = await line.call("demo", "--signals", "400", "--tenants", "5", "--seed", seed)
        assert done.returncode == 0, done.stderr + done.stdout
        assert "An own reader found each signal where it must be, once." in done.stdout
    assert (await line.json("ledger", "--verify"))["balanced"] is True
