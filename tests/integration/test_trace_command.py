"""`hopline trace` over a real pipeline: moved, deferred, admitted, what it caused; by id; and the slowest."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from processors.vocabulary import topics
from processors.vocabulary.ids import signal_ref
from processors.vocabulary.partition import lane_of
from tests.integration.command_line import CommandLine
from tests.integration.pipeline import event, free_port, pipeline, until
from tests.integration.processes import beside

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

TRACE = "ace0" * 8
SAMPLED = f"00-{TRACE}-{'b' * 16}-01"


async def known(terminal: CommandLine, ref: str) -> Any:
    """Wait until history has a signal; return what `trace` says of it."""
    found: list[str] = []

    def asked() -> bool:
        done = subprocess.run(
            [sys.executable, "-m", "streams.cli.main", "trace", ref, "--json"],
            env=terminal.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        found[:] = [done.stdout, done.stderr]
        return done.returncode == 0

    await until(asked, lambda: f"history never had it: {found}")
    return json.loads(found[0])


async def test_a_signals_way_is_told_from_the_topics(kafka: str, unique: str, tmp_path: Path) -> None:
    settings = {"TENANT_RATE_PER_SECOND": "0.2", "TENANT_BURST": "1"}
    with pipeline(kafka, unique, tmp_path, **settings) as pipe:
        await pipe.prepare()
        terminal = CommandLine(
            tmp_path,
            KAFKA=kafka,
            TOPIC_PREFIX=pipe.prefix,
            TRACE_ZIPKIN_URL="http://127.0.0.1:9411/api/v2/spans",
        )
        await pipe.start().ready()
        other = 1 - lane_of(b"acme", 2)
        # Into the wrong lane; the second has no token left, and waits for one.
        await pipe.send_to([(other, event("acme", 1)), (other, event("acme", 2, traceparent=SAMPLED))])
        await pipe.until(topics.SIGNALS, 2)
        await pipe.send([("acme", event("acme", 3, causationid="acme-2"))])
        await pipe.until(topics.SIGNALS, 3)
        with beside(pipe, "streams.history", "history", HISTORY_PORT=str(free_port())):
            last = await known(terminal, signal_ref("acme", "/test", "acme-3"))
            way = await known(terminal, signal_ref("acme", "/test", "acme-2"))
        names = [stage["stage"] for stage in way["stages"]]
        assert names == ["moved", "waited in the log", "deferred", "admitted"]
        assert way["stages"][2]["seconds"] > 0
        assert round(sum(stage["seconds"] for stage in way["stages"]), 3) == way["seconds"]
        assert (way["trace_id"], way["link"]) == (TRACE, f"http://127.0.0.1:9411/zipkin/traces/{TRACE}")
        assert [one["id"] for one in way["caused"]] == ["acme-3"]
        assert last["causes"] == [way["ref"]]
        assert last["trace_id"] != TRACE
        by_id = await terminal.json("trace", "acme-2", "--tenant", "acme")
        assert by_id["ref"] == way["ref"]
        drawn = await terminal.call("trace", way["ref"])
        assert [word in drawn.stdout for word in ("moved", "deferred", "█", "acme-3", TRACE)] == [True] * 5
        slow = (await terminal.json("trace", "--slowest", "--tenant", "acme", "--since", "1h"))["slowest"]
        assert [one["seconds"] for one in slow] == sorted((one["seconds"] for one in slow), reverse=True)
        assert {one["id"] for one in slow} == {"acme-1", "acme-2", "acme-3"}
        shown = await terminal.call("trace", "--slowest", "--limit", "1")
        assert len(shown.stdout.splitlines()) == 2


async def test_it_says_what_to_do_when_there_is_nothing(tmp_path: Path) -> None:
    terminal = CommandLine(tmp_path)
    for arguments, code, said in (
        (("trace",), 2, "name a signal, or ask for --slowest"),
        (("trace", "a", "--slowest"), 2, "name a signal"),
        (("trace", "no-reference"), 2, "give its id together with --tenant"),
        (("trace", "0" * 32), 1, "there is no history yet"),
    ):
        done = await terminal.call(*arguments)
        assert (done.returncode, said in done.stderr) == (code, True), done.stderr
