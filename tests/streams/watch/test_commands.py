"""`hopline top` and `hopline alerts list`: what the watch answers, as people and programs read it."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from click.testing import CliRunner, Result

from processors import HOPS
from streams.cli.main import cli
from streams.cli.top import lines
from streams.watch import api
from tests.streams.watch.made import NOW_MS
from tests.streams.watch.place import LAG, OF_TENANTS
from tests.streams.watch.test_api import STEP_MS, Site, listening


@pytest.fixture
async def site(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    monkeypatch.setattr(api, "wall_ms", lambda: NOW_MS + 19 * STEP_MS)
    async with listening() as found:
        monkeypatch.setenv("HOPLINE_WATCH_URL", f"http://127.0.0.1:{found.client.port}")
        yield found


async def call(*arguments: str) -> Result:
    """Call the command line in a thread: it has an event loop of its own."""
    return await asyncio.to_thread(lambda: CliRunner().invoke(cli, arguments, prog_name="hopline"))


@pytest.mark.usefixtures("site")
async def test_top_shows_hops_tenants_and_alerts_at_a_glance() -> None:
    found = await call("top", "--once")
    assert found.exit_code == 0, found.output
    shown = found.stdout.splitlines()
    rows = {line.split()[0]: line.split() for line in shown if line.strip()}
    assert list(rows)[: len(HOPS) + 1] == ["HOP", *HOPS]
    # In a second, errors a second, slow ones, lag, busy, and the state at the end.
    assert rows["ingest"][1:3] == ["10.0", "2.5"]
    assert rows["ingest"][4] == "5"
    assert rows["ingest"][5:7] == ["25.0", "%"]
    assert rows["ingest"][-1] == "ok"
    assert "25.0 % of what comes in: not_json 2.5/s" in found.stdout
    assert rows["bolt"][-2:] == ["100.0", "%"]
    assert "alerts     3 raised, 0 waiting" in shown
    # The gravest come first.
    raised = [line.split()[1] for line in shown if line.startswith("  ")]
    assert raised == [OF_TENANTS.name, OF_TENANTS.name, LAG.name]


@pytest.mark.usefixtures("site")
async def test_top_gives_programs_one_document() -> None:
    found = json.loads((await call("top", "--once", "--json")).stdout)
    assert found.keys() == {"at_ms", "metrics", "map", "alerts"}
    assert lines(found)


@pytest.mark.usefixtures("site")
async def test_list_shows_what_is_raised_for_all_or_one_tenant() -> None:
    found = await call("alerts", "list")
    assert (found.exit_code, found.stdout.count("\n")) == (0, 4)
    assert "firing, silenced" in found.stdout
    own = json.loads((await call("alerts", "list", "--tenant", "acme", "--json")).stdout)
    assert [one["labels"] for one in own["alerts"]] == [{"tenant": "acme"}]
    assert (await call("alerts", "list", "--tenant", "nobody")).stdout == "no alert is raised\n"
    wrong = await call("alerts", "list", "--tenant", "a b")
    assert (wrong.exit_code, "no tenant's name" in wrong.stderr) == (2, True)


async def test_top_of_a_watch_that_knows_nothing_yet_is_empty_and_no_error() -> None:
    nothing = {"tenants": {}, "agents": {}, "latency_seconds": {}, "errors": {"ratio": 0.0, "by_reason": {}}}
    shown = lines({"at_ms": 0, "metrics": nothing, "map": {"nodes": []}, "alerts": []})
    assert "slowest    nothing came lately" in shown
    assert "alerts     0 raised, 0 waiting" in shown
