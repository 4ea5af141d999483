"""`hopline up` and the commands beside it, run for real."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.integration.command_line import CommandLine, Running

pytestmark = [pytest.mark.slow, pytest.mark.kafka, pytest.mark.timeout(300)]
UP = "Ctrl-C stops all of it"


@pytest.fixture
def line(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path / "data")


@pytest.fixture
def running() -> Iterator[list[Running]]:
    made: list[Running] = []
    yield made
    for one in made:
        one.end()


async def test_up_serves_the_other_commands_and_finds_its_data_again(line: CommandLine, running: list[Running]) -> None:
    up = line.begin("up", "--no-demo")
    running.append(up)
    await up.until_said(UP)
    again = await line.call("up")
    assert again.returncode == 1
    assert "runs already" in again.stderr

    status = await line.json("kafka", "status")
    sent = await line.json("send", "--tenant", "ann", "--type", "shop.order.placed", "--data", '{"n": 1}')
    posted = await line.json("send", "--tenant", "ann", "--type", "shop.order.paid", "--gateway", status["gateway"])
    assert posted["lane"] == sent["lane"]
    refused = await line.call("send", "--tenant", "ann", "--type", "a..b", "--gateway", status["gateway"])
    assert refused.returncode == 2
    tailed = await line.call(
        "tail", "--tenant", "ann", "--type", "shop.*.{placed,paid}", "--from", "beginning", "--count", "2", "--json"
    )
    assert [json.loads(shown)["id"] for shown in tailed.stdout.splitlines()] == [sent["id"], posted["id"]]

    in_force = await line.json("tenants", "set", "ann", "--rate", "2.5", "--burst", "3", "--over", "refuse")
    assert (in_force["rate_per_second"], in_force["burst"], in_force["over"]) == (2.5, 3, "refuse")
    shown = await line.json("tenants", "show", "ann")
    assert (shown["handled"], shown["commands"], shown["status"]) == (2, 1, "active")
    assert [tenant["tenant"] for tenant in await line.json("tenants", "list")] == ["ann"]
    nobody = await line.call("tenants", "show", "nobody")
    assert nobody.returncode == 1

    await _directs(line)

    topics = {topic["topic"]: topic for topic in await line.json("topics")}
    assert topics["signals.in"]["lag"] == 0
    assert topics["signals.in"]["size_bytes"] > 0
    ledger = await line.json("ledger", "--verify")
    assert ledger["balanced"] is True
    assert sum(row["in"] for row in ledger["lanes"] if row["hop"] == "ingest") == 8
    assert all(one["fits"] for one in ledger["verified"]["comparisons"])

    processes = [psutil.Process(pid) for pid in (*status["pids"].values(), status["broker_pid"])]
    assert await up.stop() == 0
    assert not [process for process in processes if process.is_running()]
    assert (await line.call("topics")).returncode == 1

    up = line.begin("up", "--no-demo")
    running.append(up)
    await up.until_said(UP)
    assert (await line.json("tenants", "show", "ann"))["burst"] == 4
    assert await up.stop(signal.SIGTERM) == 0


async def test_what_dies_is_started_again_and_what_is_killed_takes_all_along(
    line: CommandLine, running: list[Running]
) -> None:
    up = line.begin("up", "--rate", "20")
    running.append(up)
    await up.until_said(UP)
    status = await line.json("kafka", "status")
    os.kill(status["pids"]["worker-0"], signal.SIGKILL)
    await up.until_said("worker-0 ended (killed by SIGKILL); it is started again")
    tailed = await line.call("tail", "--count", "3", "--json")
    assert len(tailed.stdout.splitlines()) == 3, tailed.stderr
    left = [psutil.Process(pid) for pid in (status["broker_pid"], status["pids"]["gateway"])]
    os.kill(up.process.pid, signal.SIGKILL)
    up.process.wait(30)
    gone, alive = psutil.wait_procs(left, timeout=60)
    assert len(gone) == 2
    assert not alive
    assert (await line.call("kafka", "status")).returncode == 1


async def _directs(line: CommandLine) -> None:
    """Change the tenant by directives: at once, later, not at all; and prove the audit."""
    kinds = {kind["directive"] for kind in await line.json("directives", "kinds")}
    assert {"hopline.limit.set", "hopline.tenant.suspend"} <= kinds
    name, ann = "hopline.limit.set", ("--tenant", "ann")
    now = await line.json("directives", "send", name, *ann, "--key", "k", "--data", '{"burst": 4}')
    assert (now["status"], now["attempts"]) == ("succeeded", 1)
    assert (await line.json("tenants", "show", "ann"))["burst"] == 4
    later = ("--key", "later", "--data", '{"burst": 9}', "--not-before", "2999-01-01T00:00:00Z")
    assert (await line.json("directives", "send", name, *ann, *later))["status"] == "requested"
    assert (await line.json("directives", "cancel", "later", *ann))["status"] == "succeeded"
    assert (await line.json("directives", "show", "later", *ann))["status"] == "cancelled"
    listed = {found["key"]: found["status"] for found in await line.json("directives", "list", *ann)}
    assert (listed["k"], listed["later"]) == ("succeeded", "cancelled")
    again = await line.json("directives", "send", name, *ann, "--key", "k", "--data", '{"burst": 4}')
    assert (again["status"], again["finished"]) == ("succeeded", now["finished"])
    other = await line.call("directives", "send", name, *ann, "--key", "k", "--data", '{"burst": 5}')
    assert other.returncode == 1
    assert "'k' was used for another directive" in other.stderr
    wrong = await line.call("directives", "send", name, *ann, "--data", '{"burst": 0}')
    assert wrong.returncode == 2
    assert "data.burst" in wrong.stderr
    audited = await line.json("audit", "show", "ann")
    outcomes = ["succeeded", "succeeded", "requested", "cancelled", "succeeded", "rejected"]
    assert [entry["outcome"] for entry in audited] == outcomes
    assert await line.json("audit", "verify") == {"tenants": 1, "entries": 6, "broken": {}}
