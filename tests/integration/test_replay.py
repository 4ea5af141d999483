"""Replay and redrive as an operator does them: real Kafka, a real worker, the real commands, real kills."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition

from processors.directives.kinds.replay import FINISH
from processors.vocabulary import headers as names
from processors.vocabulary import topics
from tests.integration.command_line import CommandLine, Running
from tests.integration.pipeline import Pipeline, event, pipeline, until

pytestmark = [pytest.mark.slow, pytest.mark.kafka, pytest.mark.timeout(300)]


@dataclass(slots=True)
class Site:
    """A pipeline with a worker, and a terminal."""

    pipe: Pipeline
    line: CommandLine

    async def signals(self, tenant: str = "", *, replayed: bool | None = None) -> list[dict[str, Any]]:
        """Return the signals of producers, in the order of their lanes."""
        found = []
        for record in await self.pipe.read(topics.SIGNALS):
            headers = dict(record.headers)
            is_replayed = names.REPLAYED in headers
            if names.BY in headers or (replayed is not None and is_replayed is not replayed):
                continue
            signal = json.loads(record.value)
            if not tenant or signal["tenantid"] == tenant:
                found.append(signal)
        return found

    async def until_handled(self, count: int) -> None:
        """Wait until so many signals of producers are handled."""
        async with asyncio.timeout(60):
            while len(await self.signals()) < count:
                pass

    async def replay(self, *arguments: str) -> dict[str, Any]:
        """Replay to the end; return what its last line says."""
        done = await self.line.call("replay", *arguments, "--json")
        assert done.returncode == 0, done.stderr
        last: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return last


@pytest.fixture
async def site(kafka: str, unique: str, tmp_path: Path) -> AsyncIterator[Site]:
    with pipeline(kafka, unique, tmp_path / "worker") as pipe:
        await pipe.prepare()
        await pipe.start().ready()
        data = tmp_path / "terminal"
        data.mkdir()
        yield Site(pipe, CommandLine(data, KAFKA=kafka, TOPIC_PREFIX=pipe.prefix))


async def sent(site: Site, tenants: str = "ab", count: int = 5, **attributes: Any) -> None:
    values = [(t, event(t, n, **{"type": f"test.n{n % 2}", **attributes})) for n in range(count) for t in tenants]
    await site.pipe.send(values)
    await site.until_handled(len(values))


def ids(signals: list[dict[str, Any]]) -> list[str]:
    return [signal["id"] for signal in signals]


async def test_each_selector_chooses_what_it_says_and_live_signals_go_on(site: Site) -> None:
    await sent(site)
    lines = {(r.partition, r.offset): json.loads(r.value)["id"] for r in await site.pipe.read(topics.SIGNALS)}
    dry = await site.line.json("replay", "--tenant", "a", "--type", "test.{n0,none}", "--rate", "10", "--dry-run")
    assert (dry["chosen"], dry["by_type"], dry["by_tenant"]) == (3, {"test.n0": 3}, {"a": 3})
    assert dry["estimated_seconds"] == 0.3
    assert not dry["approximate"]
    assert not await site.signals(replayed=True)
    assert not await site.line.json("replay", "list")

    done = await site.replay("--tenant", "a", "--type", "test.n0", "--id", "by-type")
    assert (done["status"], done["written"], done["outcome"]["handled"]) == ("completed", 3, 3)
    assert ids(await site.signals(replayed=True)) == ["a-0", "a-2", "a-4"]
    assert {signal["replayid"] for signal in await site.signals(replayed=True)} == {"by-type"}

    (lane, first), *_ = sorted(place for place, name in lines.items() if name == "b-1")
    done = await site.replay("--offset", f"{lane}:{first}-{first}")
    assert done["written"] == 1
    assert ids(await site.signals("b", replayed=True)) == ["b-1"]

    done = await site.replay("--correlation", "b-3", "--topic", "signals.in")
    assert ids(await site.signals("b", replayed=True)) == ["b-1", "b-3"]

    border = 1 + max(record.timestamp for record in await site.pipe.read(topics.SIGNALS))
    moment = await site.line.json("replay", "--from", _written(border), "--dry-run")
    assert moment["chosen"] == 0
    earlier = await site.line.json("replay", "--to", _written(border), "--tenant", "b", "--dry-run")
    assert earlier["by_tenant"] == {"b": 7}

    # What was handled live stays handled, and is not handled again.
    await site.pipe.send([("a", event("a", 0)), ("a", event("a", 99))])
    await site.until_handled(10 + 5 + 1)
    live = Counter(ids(await site.signals(replayed=False)))
    assert live["a-0"] == live["a-99"] == 1
    audited = await site.line.json("audit", "show", "a")
    assert [entry["directive"] for entry in audited][:2] == ["hopline.replay.start", "hopline.replay.finish"]
    assert (await site.line.json("ledger", "--verify"))["balanced"] is True


def _written(time_ms: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time_ms / 1_000)) + f".{time_ms % 1_000:03d}+00:00"


async def test_killed_in_the_middle_it_is_resumed_and_each_signal_is_handled_once_more(site: Site) -> None:
    count = 300
    await sent(site, "ab", count // 2)
    going = site.line.begin("replay", "--from", "beginning", "--rate", "30", "--id", "long", "--json")
    try:
        await _until_written(going, 40)
    finally:
        going.end()
    before = await site.line.json("replay", "show", "long")
    assert before["status"] == "running"
    assert 0 < before["written"] < count
    assert len(await site.signals(replayed=True)) < count
    done = await site.replay("resume", "long")
    assert (done["status"], done["outcome"]["handled"]) == ("completed", count)
    replayed = await site.signals(replayed=True)
    assert len(replayed) == len(set(ids(replayed))) == count
    for tenant in "ab":
        assert ids(await site.signals(tenant, replayed=True)) == [f"{tenant}-{n}" for n in range(count // 2)]
    again = await site.line.call("replay", "resume", "long")
    assert again.returncode == 1
    assert "completed already" in again.stderr
    assert (await site.line.json("ledger", "--verify"))["balanced"] is True


def lines_of(going: Running) -> list[dict[str, Any]]:
    """Return the progress that a replay has told."""
    return [json.loads(line) for line in going.said.splitlines() if line.startswith("{") and line.endswith("}")]


async def _until_written(going: Running, count: int) -> None:
    """Wait until a replay says that it has written so much."""
    await until(lambda: any(shown["written"] >= count for shown in lines_of(going)), lambda: going.said)


async def test_by_time_exactly_and_where_retention_took_something_it_says_approximate(site: Site) -> None:
    await sent(site, "a", 6)
    first, *_ = found = [record for record in await site.pipe.read(topics.SIGNALS) if record.value]
    assert {record.partition for record in found} == {first.partition}
    begin, end = found[2].timestamp, found[-1].timestamp
    named = {json.loads(r.value)["id"] for r in found if begin <= r.timestamp < end + 1}
    done = await site.replay("--from", _written(begin), "--to", _written(end + 1), "--id", "by-time")
    assert set(ids(await site.signals(replayed=True))) == named
    assert (done["written"], done["approximate"]) == (len(named), False)

    going = site.line.begin("replay", "--offset", f"{first.partition}:0", "--rate", "0.1", "--id", "slow", "--json")
    try:
        await _until_written(going, 1)
        await _is_refused(site, going.process.pid)
    finally:
        going.end()
    behind = found[3].offset
    await _delete_before(site, first.partition, behind)
    dry = await site.line.json("replay", "--from", "beginning", "--tenant", "a", "--dry-run")
    assert dry["approximate"] is True
    (why,) = dry["why_approximate"]
    assert f"what stood before offset {behind} is gone (retention)" in why
    done = await site.replay("--from", "beginning", "--tenant", "a", "--id", "trimmed")
    assert (done["status"], done["approximate"], done["why_approximate"]) == ("completed", True, [why])
    exact = await site.replay("--offset", f"{first.partition}:{behind}-{found[5].offset}")
    assert (exact["written"], exact["approximate"]) == (3, False)

    # Nobody works on it, so that it ends at once; what it had written stays handled.
    stopped = await site.line.json("replay", "stop", "slow")
    assert stopped["status"] == "stopped"
    assert (await site.line.json("ledger", "--verify"))["balanced"] is True


async def _is_refused(site: Site, process: int) -> None:
    """See that nobody else may go on with a replay while its process lives, and that it is said which that is."""
    shown = await site.line.json("replay", "show", "slow")
    assert shown["worked_on_by"].startswith(f"process {process} on ")
    second = await site.line.call("replay", "resume", "slow")
    assert second.returncode == 1
    assert f"process {process} on " in second.stderr
    assert "works on the replay slow" in second.stderr


async def _delete_before(site: Site, lane: int, offset: int) -> None:
    """Take records away as retention does."""
    admin = AIOKafkaAdminClient(bootstrap_servers=site.pipe.kafka)
    await admin.start()
    try:
        at = TopicPartition(site.pipe.physical(topics.SIGNALS), lane)
        assert await admin.delete_records({at: RecordsToDelete(before_offset=offset)}) == {at: offset}
    finally:
        await admin.close()


async def test_a_replay_is_stopped_and_live_signals_keep_their_rate_meanwhile(site: Site) -> None:
    await sent(site, "a", 200)
    await site.line.json("tenants", "set", "a", "--rate", "0.01", "--burst", "3", "--over", "refuse")
    going: Running = site.line.begin("replay", "--tenant", "a", "--rate", "20", "--id", "long", "--json")
    try:
        await _until_written(going, 30)
        # Three live tokens are there, and none of them went to the replay.
        await site.pipe.send([("a", event("a", 1_000 + n)) for n in range(4)])
        stopped = await site.line.json("replay", "stop", "long")
        assert stopped["status"] == "stopped"
        assert stopped["written"] < 200
        await going._until(lambda: going.process.poll() is not None, "it did not end")
        assert going.process.returncode == 0
    finally:
        going.end()
    await site.until_handled(200 + 3 + stopped["written"])
    live = ids(await site.signals(replayed=False))
    assert live[200:] == ["a-1000", "a-1001", "a-1002"]
    (letter,) = (await site.line.json("dead-letters", "list"))["dead_letters"]
    assert (letter["reason"], letter["event"]) == ("rate_limited", "a-1003")


async def test_a_replay_that_its_lane_has_ended_stops_writing(site: Site) -> None:
    await sent(site, "a", 200)
    going: Running = site.line.begin("replay", "--tenant", "a", "--rate", "10", "--id", "long", "--json")
    try:
        await _until_written(going, 10)
        # As it ends when it expires.
        await site.line.json("directives", "send", FINISH, "--tenant", "a", "--data", '{"replay": "long"}')
        await going._until(lambda: going.process.poll() is not None, "it did not end")
        assert going.process.returncode == 1
        assert "the replay long has ended for tenant a (completed)" in going.said
    finally:
        going.end()
    letters = (await site.line.json("dead-letters", "list"))["dead_letters"]
    assert {letter["reason"] for letter in letters} <= {"replay_ended"}
    assert len(letters) + len(await site.signals(replayed=True)) < 200
    again = await site.line.call("replay", "resume", "long")
    assert again.returncode == 1
    assert "start another one for what is left" in again.stderr


async def test_dead_letters_are_listed_shown_and_redriven_one_by_one(site: Site) -> None:
    await sent(site, "a", 2)
    await site.line.json("tenants", "set", "a", "--status", "suspended")
    await site.pipe.send([("a", event("a", n)) for n in range(10, 15)])
    await site.pipe.send([("a", b"{no json")])
    await site.pipe.until(topics.DEAD_LETTERS, 6)

    first = await site.line.json("dead-letters", "list", "--limit", "4")
    rest = await site.line.json("dead-letters", "list", "--limit", "4", "--cursor", first["cursor"])
    letters = [*first["dead_letters"], *rest["dead_letters"]]
    assert (len(letters), rest["cursor"]) == (6, "")
    assert [letter["at_ms"] for letter in letters] == sorted((one["at_ms"] for one in letters), reverse=True)
    by_event = {letter["event"]: letter["id"] for letter in letters}
    bad = by_event[""]
    shown = await site.line.json("dead-letters", "show", bad)
    assert (shown["reason"], shown["payload"]) == ("not_json", "{no json")
    assert shown["problems"]

    still = await site.line.call("dead-letters", "redrive", by_event["a-10"], bad, "9-9", "--json")
    assert still.returncode == 1
    items = {item["id"]: item for item in json.loads(still.stdout)["items"]}
    assert items[by_event["a-10"]]["result"] == "dead_again"
    assert items[by_event["a-10"]]["detail"].startswith("tenant_suspended")
    assert items[bad]["result"] == "dead_again"
    assert items["9-9"]["result"] == "gone"

    await site.line.json("tenants", "set", "a", "--status", "active")
    # The producer was faster with one of them.
    await site.pipe.send([("a", event("a", 11))])
    await site.until_handled(3)
    dry = await site.line.json("dead-letters", "redrive", "--reason", "tenant_suspended", "--dry-run")
    assert dry["results"] == {"would_be_redriven": 5}
    assert {item["result"] for item in dry["items"]} == {"would_be_redriven"}
    assert len(await site.signals(replayed=True)) == 0
    done = await site.line.json("dead-letters", "redrive", "--reason", "tenant_suspended", "--type", "test.*")
    results = {item["id"]: item["result"] for item in done["items"]}
    assert by_event["a-10"] not in results, "it was redriven before; its newer dead letter is here"
    assert results[by_event["a-11"]] == "duplicate"
    assert Counter(results.values()) == {"redriven": 4, "duplicate": 1}
    again = await site.line.json("dead-letters", "redrive", by_event["a-12"])
    assert again["results"] == {"already_redriven": 1}
    assert sorted(ids(await site.signals())) == ["a-0", "a-1", *(f"a-{n}" for n in range(10, 15))]
    await _is_mended(site, bad)
    marked = {one["id"]: one["redriven"] for one in (await site.line.json("dead-letters", "list"))["dead_letters"]}
    assert marked[by_event["a-12"]].endswith("redriven")
    assert marked[bad].endswith("redriven edited: id, source, type, tenantid, data")
    assert (await site.line.json("ledger", "--verify"))["balanced"] is True


async def _is_mended(site: Site, bad: str) -> None:
    """Send a changed copy of what is no event, and see that result and audit say that it was changed."""
    file = site.line.data_dir / "mended.json"
    file.write_text('{"mended": 1.50}')
    attributes = {"id": "mended", "source": "/test", "type": "test.made", "tenantid": "a"}
    changes = [word for name, value in attributes.items() for word in ("--set", f"{name}={value}")]
    refused = await site.line.call("dead-letters", "redrive", bad, "--again", *changes[:4], "--data", f"@{file}")
    assert refused.returncode == 2
    assert "so changed it would be set aside again" in refused.stderr
    done = await site.line.json("dead-letters", "redrive", bad, "--again", *changes, "--data", f"@{file}")
    (item,) = done["items"]
    assert (item["result"], item["edited"]) == ("redriven", [*attributes, "data"])
    (mended,) = [signal for signal in await site.signals() if signal["id"] == "mended"]
    assert mended["data"] == {"mended": 1.5}
    said = [(entry["after"] or {}).get("what") for entry in await site.line.json("audit", "show", "a")]
    assert f"dead letters: {bad}; edited: id, source, type, tenantid, data" in said
