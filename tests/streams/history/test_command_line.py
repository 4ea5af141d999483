"""The command line over a history that is there, and over none."""

import csv
import io
import json
import time
from pathlib import Path

import pytest

from processors.vocabulary.reasons import Reason
from streams.cli.errors import FAILED, MISUSED
from streams.history.projector import opened
from streams.history.rows import DEAD
from streams.history.sqlite import SqliteHome
from tests.integration.command_line import CommandLine
from tests.streams.history.made import row, signal_row

NOW_MS = int(time.time() * 1_000)


@pytest.fixture
def terminal(tmp_path: Path) -> CommandLine:
    """A user's terminal with a history: three signals, one after the other, and a dead letter."""
    rows = [
        signal_row(1, at_ms=NOW_MS - 3_000, type="order.created", data={"total": 5, "city": "Bern"}),
        signal_row(2, at_ms=NOW_MS - 2_000, type="order.paid", causationid="1", data={"total": 50}),
        signal_row(3, at_ms=NOW_MS - 1_000, type="order.sent", causationid="2", tenant="globex"),
        row(
            id="4",
            offset=4,
            status=DEAD,
            reason=Reason.TOO_LARGE.value,
            hop="ingest",
            at_ms=NOW_MS,
            problems='[{"field":"value","message":"is too large"}]',
        ),
    ]
    writer = opened(SqliteHome(tmp_path / "history"))
    writer.write(rows, {}, complete_ms=NOW_MS - 60_000, share=1.0)
    writer.close()
    return CommandLine(tmp_path)


async def test_search_finds_by_what_is_asked_and_goes_on_by_cursor(terminal: CommandLine) -> None:
    found = await terminal.json("signals", "search", "--tenant", "acme", "--type", "order.*", "--since", "1h")
    assert [one["id"] for one in found["signals"]] == ["4", "2", "1"]
    page = await terminal.json("signals", "search", "--where", "data.total >= 5", "--limit", "1")
    assert [one["id"] for one in page["signals"]] == ["2"]
    rest = await terminal.json("signals", "search", "--where", "data.total >= 5", "--cursor", page["cursor"])
    assert [one["data"] for one in rest["signals"]] == [{"total": 5, "city": "Bern"}]
    shown = await terminal.call("signals", "search", "--text", "bern")
    assert "order.created" in shown.stdout
    assert "s behind; does `hopline history run`" in shown.stderr


async def test_show_and_causes_tell_what_became_of_a_signal(terminal: CommandLine) -> None:
    found = await terminal.json("signals", "search", "--status", DEAD)
    (dead,) = found["signals"]
    shown = await terminal.call("signals", "show", dead["ref"])
    assert "dead-lettered by ingest: too_large" in shown.stdout
    assert "is too large" in shown.stdout
    first = signal_row(1).ref
    assert (await terminal.json("signals", "show", first))["caused"] == [signal_row(2).ref]
    graph = await terminal.json("signals", "causes", first)
    # The third one is another tenant's: its cause is none of ours.
    assert graph["edges"] == [{"cause": first, "effect": signal_row(2).ref}]
    drawn = await terminal.call("signals", "causes", signal_row(3, tenant="globex").ref)
    assert "its cause 2 is not in history" in drawn.stdout
    hidden = await terminal.call("signals", "show", first, "--tenant", "globex")
    assert hidden.returncode == FAILED


async def test_export_writes_a_line_for_each(terminal: CommandLine) -> None:
    lines = (await terminal.call("signals", "export", "--tenant", "acme")).stdout.splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["4", "2", "1"]
    table = list(csv.DictReader(io.StringIO((await terminal.call("signals", "export", "--format", "csv")).stdout)))
    assert [line["id"] for line in table] == ["4", "3", "2", "1"]
    assert table[-1]["data"] == '{"total": 5, "city": "Bern"}'


async def test_status_says_where_how_far_and_how_much(terminal: CommandLine) -> None:
    found = await terminal.json("history", "status", "--sum")
    assert found["rows"] == 4
    assert found["behind_seconds"] >= 60
    assert len(found["sum"]) == 32


async def test_what_is_wrong_is_said_with_what_to_do(terminal: CommandLine, tmp_path: Path) -> None:
    wrong = await terminal.call("signals", "search", "--where", "total = 1", "--type", "a..b")
    assert wrong.returncode == MISUSED
    assert "where has 'total' where a field belongs" in wrong.stderr
    assert "pattern has an empty segment" in wrong.stderr
    none = await CommandLine(tmp_path / "empty").call("signals", "search")
    assert none.returncode == FAILED
    assert "there is no history yet" in none.stderr
    assert "`hopline history run`" in none.stderr


async def test_the_address_of_a_database_is_never_shown(tmp_path: Path) -> None:
    terminal = CommandLine(tmp_path, HISTORY="postgresql://me:hunter2@127.0.0.1:1/none")
    said = await terminal.call("config")
    for command in (("config",), ("history", "status"), ("signals", "search")):
        said = await terminal.call(*command)
        assert "hunter2" not in said.stdout + said.stderr
    assert "PostgreSQL at 127.0.0.1:1/none cannot be reached" in said.stderr
