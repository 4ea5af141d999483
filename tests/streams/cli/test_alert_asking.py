"""`hopline alerts`: what needs no cluster; and what is wrong is said before anything is sent."""

import asyncio
import base64
import json
import os
from pathlib import Path
from typing import Final

import click
import pytest
from click.testing import CliRunner, Result

from streams.cli import alert_asking
from tests.streams.channels.receiving import receiving

GROUP: Final = click.Group("alerts", commands=list(alert_asking.COMMANDS))
SECRET: Final = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()


@pytest.fixture(autouse=True)
def _clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("HOPLINE_")]:
        monkeypatch.delenv(name)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(GROUP, arguments)


def configured(folder: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    file = folder / "channels.toml"
    file.write_text(
        f'[channels.ops]\nkind = "webhook"\nurl = "{url}/x"\nsecret_env = "OPS"\ntimeout_seconds = 5\n',
        encoding="utf-8",
    )
    monkeypatch.setenv("HOPLINE_CHANNELS_FILE", str(file))
    monkeypatch.setenv("OPS", SECRET)


async def test_a_test_goes_through_the_channel_and_its_answer_is_the_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiving() as receiver:
        receiver.answers.append((403, {}, f"not with {SECRET}".encode()))
        configured(tmp_path, monkeypatch, receiver.url)
        failed = await asyncio.to_thread(call, "test", "ops")
        taken = await asyncio.to_thread(call, "test", "ops", "--json")
    assert failed.exit_code == 1
    assert "channel ops did not take the test: 403 Forbidden: not with ***" in failed.stderr
    assert taken.exit_code == 0, taken.stderr
    assert json.loads(taken.stdout) == {"channel": "ops", "ok": True, "words": "200 OK: ok"}
    assert [json.loads(got.body)["test"] for got in receiver.got] == [True, True]


def test_channels_are_listed_without_their_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "only the console is told" in call("channels").stdout
    configured(tmp_path, monkeypatch, "https://example.com/secret-path")
    shown = call("channels")
    assert "https://example.com  critical, warning" in shown.stdout
    assert "secret-path" not in shown.stdout
    assert json.loads(call("channels", "--json").stdout)["channels"][0]["kind"] == "webhook"
    assert call("test", "other").exit_code == 2
    monkeypatch.delenv("OPS")
    wrong = call("channels")
    assert wrong.exit_code == 2
    assert "channels.ops.secret_env: the environment has no variable of that name" in wrong.stderr


@pytest.mark.parametrize(
    "arguments,says",
    [
        (("threshold", "Nothing"), "there is no alert 'Nothing'"),
        (("threshold", "LagHigh", "5", "--reset"), "what is to be set?"),
        (("threshold", "--reset"), "what is to be set?"),
        (("silence", "LagHigh", "--for", "soon", "--why", "x"), "--for 'soon' is no time"),
        (("silence", "LagHigh", "--for", "31d", "--why", "x"), "data.minutes must be above 0, up to 43200"),
        (("silence", "lag", "--for", "1h", "--why", "x"), "data.alert must be an alert's name"),
        (("silence", "LagHigh", "--for", "1h", "--why", " "), "data.why must say why"),
        (("silence", "LagHigh", "--for", "1h", "--why", "x", "--label", "hop"), "--label 'hop' is none"),
        (("silence", "LagHigh", "--for", "1h", "--why", "x", "--tenant", "_x"), "'_x' is no tenant's name"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_sent(arguments: tuple[str, ...], says: str) -> None:
    found = call(*arguments)
    assert found.exit_code == 2, found.output
    assert says in found.stderr
