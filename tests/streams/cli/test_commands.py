"""Commands say what happened and what to do, with exit codes for programs; what is expected has no traceback."""

import json
import socket
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from streams.cli import ports
from streams.cli.errors import EXPECTED, CommandError, explained
from streams.cli.main import _COMMANDS, Commands, cli
from streams.cli.output import size, table
from streams.cluster import NoClusterError
from streams.settings import load


@pytest.fixture(autouse=True)
def _clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os  # noqa: PLC0415  # only here

    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("HOPLINE_")]:
        monkeypatch.delenv(name)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, prog_name="hopline")


def test_help_lists_every_command_and_each_has_help_of_its_own() -> None:
    shown = call("--help").output
    for name in _COMMANDS:
        assert f"\n  {name} " in shown
        command = Commands().get_command(click.Context(cli), name)
        assert command is not None
        assert command.name == name
        assert command.help


@pytest.mark.parametrize("command", ["topics", "ledger", "tail", "worker", "gateway"])
def test_without_a_cluster_a_command_says_how_to_get_one(command: str) -> None:
    found = call(command)
    assert found.exit_code == 1
    assert "error: no cluster is running here" in found.stderr
    assert "do: start one with `make up`" in found.stderr


def test_a_wrong_setting_is_an_error_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOPLINE_LANES", "many")
    found = call("config")
    assert found.exit_code == 2
    assert "lanes (from HOPLINE_LANES)" in found.stderr


def test_a_cluster_that_is_away_is_said_in_two_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOPLINE_KAFKA", "127.0.0.1:1")
    found = call("topics")
    assert found.exit_code == 1
    lines = found.stderr.splitlines()
    assert [line.split(":")[0].strip() for line in lines] == ["error", "do"]


def test_config_shows_each_setting_with_its_source_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOPLINE_KAFKA_PASSWORD", "hunter2")
    monkeypatch.setenv("HOPLINE_LANES", "4")
    found = call("config", "--json")
    rows = {row["setting"]: row for row in json.loads(found.stdout)}
    assert (rows["lanes"]["value"], rows["lanes"]["source"]) == (4, "HOPLINE_LANES")
    assert rows["web_port"]["source"] == "default"
    assert rows["kafka_password"]["value"] == "**********"
    assert all(row["description"] for row in rows.values())
    assert "hunter2" not in found.stdout + call("config").stdout


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["send", "--tenant", "_x", "--type", "a.b"], "keeps for itself"),
        (["send", "--tenant", "x", "--type", "a..b"], "type must be segments"),
        (["send", "--tenant", "x", "--type", "a.b", "--extension", "colour"], "has no value"),
        (["send", "--tenant", "x", "--type", "a.b", "--data", "1", "--file", "-"], "both given"),
        (["send", "--tenant", "x", "--type", "a.b", "--file", "none.json"], "cannot be read"),
        (["tail", "--type", "a.{b"], "pattern"),
        (["tail", "--from", "noon"], "is no time"),
        (["tenants", "set", "x", "--rate", "-1"], "rate_per_second must be from 0"),
        (["tenants", "set", "_x", "--rate", "1"], "no tenant's name"),
    ],
)
def test_what_was_called_wrongly_is_said_and_sent_nowhere(arguments: list[str], says: str) -> None:
    found = call(*arguments)
    assert found.exit_code == 2
    assert says in found.stderr


def test_a_gateway_that_is_away_is_said() -> None:
    found = call("send", "--tenant", "x", "--type", "a.b", "--gateway", "http://127.0.0.1:1")
    assert found.exit_code == 1
    assert "cannot be reached" in found.stderr


def test_every_expected_failure_has_words() -> None:
    for kind in EXPECTED:
        error = (
            kind() if kind is NoClusterError else kind([]) if "Mismatch" in kind.__name__ else kind("It broke; mend it")
        )
        assert isinstance(explained(error), CommandError)


def test_a_port_that_is_taken_is_replaced_unless_somebody_asked_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        monkeypatch.setenv("HOPLINE_GATEWAY_PORT", str(taken))
        asked = load()
        with pytest.raises(CommandError, match="HOPLINE_GATEWAY_PORT asks for it"):
            ports.choose(asked, "gateway_port")
        sources = {**asked.sources, "gateway_port": "default"}
        by_default = type(asked)(asked.settings, sources)
        port, is_own = ports.choose(by_default, "gateway_port")
        assert port != taken
        assert not is_own
    assert ports.choose(asked, "gateway_port") == (taken, True)


def test_ports_in_a_row_are_found_for_several_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOPLINE_WEB_PORT", "0")
    first, _ = ports.choose(load(), "web_port", 3)
    for port in range(first, first + 3):
        with socket.create_server(("127.0.0.1", port)) as server:
            assert server.getsockname()[1] == port


def test_a_table_stands_in_columns_with_numbers_on_the_right() -> None:
    assert table(("NAME", "COUNT"), [("a", 5), ("bcd", 12345)]) == ["NAME  COUNT", "a         5", "bcd   12345"]
    assert table(("NAME",), []) == ["NAME"]


@pytest.mark.parametrize(
    "count, text", [(0, "0 B"), (1_023, "1023 B"), (1_536, "1.5 KiB"), (3 << 30, "3.0 GiB"), (None, "")]
)
def test_sizes_are_read_by_people(count: int | None, text: str) -> None:
    assert size(count) == text


def test_every_option_takes_its_own_default() -> None:
    """A choice whose default is none of its values fails only when somebody runs the command."""
    found = 0
    for name in cli.list_commands(click.Context(cli)):
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        commands = command.commands.values() if isinstance(command, click.Group) else (command,)
        for each in commands:
            for option in each.params:
                if isinstance(option.type, click.Choice) and isinstance(option.default, str):
                    assert option.default in {str(choice) for choice in option.type.choices}, (name, option.name)
                    assert option.type.convert(option.default, option, None) is not None
                    found += 1
    assert found >= 3
