"""Channels against real receivers: signed, tried again, bounded, silent when silenced; one that hangs delays nobody."""

import asyncio
import base64
import hmac
import json
import logging
import time
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pytest

from processors.alerting.notice import Notice
from processors.alerting.settings import ALL, AlertSettings, Silence, pack
from processors.telemetry import catalogue
from streams.channels import Answer, Channel, Channels, console
from streams.channels.host import LOOK_SECONDS
from streams.metrics import Metrics
from tests.streams.channels.receiving import Changed, Got, Receiver, hosting, loaded, receiving, until

SECRET: Final = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
FAST: Final = "group_wait_seconds = 0\ngroup_interval_seconds = 0\ntimeout_seconds = 1\n"


def webhook(name: str, receiver: Receiver) -> str:
    head = f'[channels.{name}]\nkind = "webhook"\nsecret_env = "SECRET"\n'
    return f'{head}url = "{receiver.url}/hook/{name}"\n{FAST}'


def alerts(got: Got) -> list[tuple[str, str]]:
    return [(alert["what"], alert["id"]) for alert in json.loads(got.body)["alerts"]]


async def test_a_webhook_is_signed_and_says_all_of_an_alert(tmp_path: Path) -> None:
    async with receiving() as receiver:
        text = f'runbooks = "https://example.com/runbooks"\n{webhook("ops", receiver)}'
        async with hosting(loaded(tmp_path, text, SECRET=SECRET)) as hosted:
            hosted.channels.told(Changed())
            await until(lambda: hosted.results("ops") == ["told"])
    (got,) = receiver.got
    assert (got.method, got.path, got.headers["content-type"]) == ("POST", "/hook/ops", "application/json")
    signed = f"{got.headers['webhook-id']}.{got.headers['webhook-timestamp']}.".encode() + got.body
    expected = base64.b64encode(hmac.new(b"0123456789abcdef0123456789abcdef", signed, sha256).digest()).decode()
    assert got.headers["webhook-signature"] == f"v1,{expected}"
    assert abs(int(got.headers["webhook-timestamp"]) - time.time()) < 60
    body = json.loads(got.body)
    assert (body["version"], body["id"], body["attempt"], body["test"]) == (1, got.headers["webhook-id"], 1, False)
    assert body["title"] == "RAISED: LagHigh (critical) of acme"
    (alert,) = body["alerts"]
    assert alert == {
        "what": "raised",
        "id": "a1",
        "alert": "LagHigh",
        "severity": "critical",
        "labels": {"tenant": "acme"},
        "value": 31.5,
        "threshold": 30.0,
        "since": "2027-01-15T08:00:00.000Z",
        "at": "2027-01-15T08:00:00.000Z",
        "summary": "Records wait too long.",
        "description": "The oldest waits since 31.5 s.",
        "runbook": "https://example.com/runbooks/lag.md",
    }


async def test_what_fails_is_tried_again_with_the_same_id_and_then_it_is_told_once(tmp_path: Path) -> None:
    async with receiving() as receiver:
        receiver.answers.extend([(500, {}, b"no"), (429, {"Retry-After": "1"}, b""), (400, {}, b"bad")])
        async with hosting(loaded(tmp_path, webhook("ops", receiver), SECRET=SECRET)) as hosted:
            began = time.monotonic()
            hosted.channels.told(Changed())
            hosted.channels.told(Changed())
            await until(lambda: "told" in hosted.results("ops"))
            assert time.monotonic() - began >= 1.0, "Retry-After is honoured"
            hosted.channels.told(Changed())
            await asyncio.sleep(2 * LOOK_SECONDS)
            assert hosted.results("ops") == ["failed", "failed", "failed", "told"]
            assert len(receiver.got) == 4
            assert len({got.headers["webhook-id"] for got in receiver.got}) == 1
            assert [json.loads(got.body)["attempt"] for got in receiver.got] == [1, 2, 3, 4]
            (standing,) = hosted.channels.standing()
            assert (standing.up, standing.told, standing.failed, standing.waiting) == (True, 1, 3, 0)
            counters = hosted.metrics.counter(catalogue.NOTIFICATIONS)
            assert counters.of("ops", "told")._value.get() == 1
            assert counters.of("ops", "failed")._value.get() == 3
            assert hosted.metrics.gauge(catalogue.CHANNEL_UP).of("ops")._value.get() == 1


async def test_one_that_hangs_and_one_that_is_down_delay_nobody(tmp_path: Path) -> None:
    async with receiving() as hanging, receiving() as gone, receiving() as good:
        hanging.hangs = asyncio.Event()
        slow = webhook("hanging", hanging).replace("timeout_seconds = 1", "timeout_seconds = 15")
        text = slow + webhook("gone", gone) + webhook("good", good)
        channels = loaded(tmp_path, text.replace(gone.url, "http://127.0.0.1:1"), SECRET=SECRET)
        async with hosting(channels) as hosted:
            for number in range(5):
                hosted.channels.told(Changed(id=f"a{number}", labels={"tenant": f"t{number}"}))
                # Well before the one that hangs is given up for the first time.
                await until(lambda wanted=number + 1: len(good.got) == wanted, 5)  # type: ignore[misc]
            await until(lambda: hosted.results("good") == ["told"] * 5 and hosted.results("gone") != [])
            assert hosted.results("hanging") == []
            assert len(hanging.got) == 1
            hanging.hangs.set()
            await until(lambda: sum(len(alerts(got)) for got in hanging.got) >= 5)
            standing = {one.name: one.up for one in hosted.channels.standing()}
            assert standing["gone"] is False
            assert standing["good"] is True


async def test_a_silence_holds_it_back_and_it_is_told_when_that_ends(tmp_path: Path) -> None:
    async with (
        receiving() as receiver,
        hosting(loaded(tmp_path, webhook("ops", receiver), SECRET=SECRET)) as hosted,
    ):
        until_ms = round(time.time() * 1_000) + 3_600_000
        silence = Silence("s", "Lag*", ALL, until_ms, "we move", 0)
        hosted.settings.take(silence.key, pack(silence))
        hosted.channels.told(Changed())
        hosted.channels.told(Changed(id="a2", alert="HopSlow"))
        await until(lambda: len(receiver.got) == 1)
        assert alerts(receiver.got[0]) == [("raised", "a2")]
        await asyncio.sleep(2 * LOOK_SECONDS)
        hosted.settings.take(silence.key, None)
        await until(lambda: len(receiver.got) == 2)
        assert alerts(receiver.got[1]) == [("raised", "a1")]


async def test_over_is_told_after_raised_and_cooldown_is_the_rules(tmp_path: Path) -> None:
    async with (
        receiving() as receiver,
        hosting(loaded(tmp_path, webhook("ops", receiver), SECRET=SECRET), cooldown=3_600) as hosted,
    ):
        hosted.channels.told(Changed(to="pending"))
        hosted.channels.told(Changed(id="a9", to="cleared"))
        hosted.channels.told(Changed())
        await until(lambda: len(receiver.got) == 1)
        hosted.channels.told(Changed(to="cleared"))
        await until(lambda: len(receiver.got) == 2)
        hosted.channels.told(Changed())
        await asyncio.sleep(2 * LOOK_SECONDS)
        assert [alerts(got) for got in receiver.got] == [[("raised", "a1")], [("resolved", "a1")]]


async def test_redirects_are_not_followed_and_answers_are_bounded(tmp_path: Path) -> None:
    async with receiving() as receiver, receiving() as elsewhere:
        receiver.answers.append((302, {"Location": f"{elsewhere.url}/caught"}, b""))
        receiver.answers.append((500, {}, b"x" * 1_000_000))
        async with hosting(loaded(tmp_path, webhook("ops", receiver), SECRET=SECRET)) as hosted:
            hosted.channels.told(Changed())
            await until(lambda: "told" in hosted.results("ops"))
            assert "moved" in hosted.became[0].words
            assert len(hosted.became[1].words) <= 300
    assert not elsewhere.got


async def test_a_test_goes_the_real_way_and_says_what_came_back(tmp_path: Path) -> None:
    async with receiving() as receiver:
        receiver.answers.append((403, {}, b"who are you"))
        async with hosting(loaded(tmp_path, webhook("ops", receiver), SECRET=SECRET)) as hosted:
            assert await hosted.channels.test("ops") == Answer(ok=False, words="403 Forbidden: who are you")
            assert (await hosted.channels.test("ops")).ok
            assert not hosted.became
            with pytest.raises(KeyError):
                await hosted.channels.test("other")
    body = json.loads(receiver.got[1].body)
    assert body["test"]
    assert body["title"] == "TEST RAISED: ChannelTest (info)"


async def test_after_a_restart_it_goes_on_where_it_was(tmp_path: Path) -> None:
    async with receiving() as receiver:
        channels = loaded(tmp_path, webhook("ops", receiver), SECRET=SECRET)
        async with hosting(channels) as hosted:
            hosted.channels.told(Changed())
            await until(lambda: len(receiver.got) == 1 and hosted.results("ops") == ["told"])
            packed = hosted.channels.pack()
        async with hosting(loaded(tmp_path, webhook("ops", receiver), SECRET=SECRET)) as hosted:
            hosted.channels.unpack(packed)
            hosted.channels.told(Changed())
            hosted.channels.told(Changed(to="cleared"))
            await until(lambda: len(receiver.got) == 2)
            assert alerts(receiver.got[1]) == [("resolved", "a1")]


async def test_the_page_and_the_log_are_told_as_well(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shown: list[Notice] = []
    channels = (console(shown.append), *loaded(tmp_path, f'[channels.file]\nkind = "log"\n{FAST}'))
    with caplog.at_level(logging.INFO):
        async with hosting(channels) as hosted:
            hosted.channels.told(Changed(description="line\nbreak"))
            await until(lambda: len(hosted.became) == 2)
    assert [entry.news.id for notice in shown for entry in notice.entries] == ["a1"]
    (line,) = [record.getMessage() for record in caplog.records if "LagHigh" in record.getMessage()]
    assert "RAISED: LagHigh (critical)" in line
    assert "\n" not in line


class Bug:
    """A sender with a bug."""

    address = "nowhere"

    def __init__(self) -> None:
        self.asked = 0

    async def send(self, notice: Notice) -> Answer:
        self.asked += 1
        raise RuntimeError(f"{SECRET} of {notice.id}")

    async def close(self) -> None:
        return


async def test_a_senders_bug_is_a_failure_whose_words_are_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    bug = Bug()
    async with hosting((Channel("bad", "bug", bug),)) as hosted:
        hosted.channels.told(Changed())
        await until(lambda: bug.asked >= 2)
        assert set(hosted.results("bad")) == {"failed"}
        assert "RuntimeError" in hosted.became[0].words
    assert "RuntimeError" in caplog.text
    assert SECRET not in caplog.text + str(hosted.became)


async def test_what_is_dropped_is_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("processors.alerting.notices.ALERTS_MAX", 2)
    metrics = Metrics()
    channels = loaded(tmp_path, '[channels.file]\nkind = "log"\n')
    made = Channels(channels, settings=AlertSettings, metrics=metrics, cooldown_seconds={})
    for number in range(3):
        made.told(Changed(id=f"a{number}"))
    assert metrics.counter(catalogue.NOTIFICATIONS).of("file", "dropped")._value.get() == 1
    assert made.standing()[0].dropped == 1
    assert made.standing()[0].waiting == 2
    await made.close()


async def test_secrets_are_in_nothing_that_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each is fed in; the receivers repeat all that they get; then everything that was said is looked through."""
    secrets: dict[str, Any] = {
        "SECRET": SECRET,
        "URL_PATH": "T0000SECRETPATH",
        "ROUTING": "R0000ROUTINGKEY0000",
        "TOKEN": "Bearer t0ken-of-the-ops-team",
        "PASSWORD": "pa55word-of-the-mail",
    }
    caplog.set_level(logging.DEBUG)
    async with receiving() as receiver:
        mirror = json.dumps({**secrets, "url": f"{receiver.url}/services/{secrets['URL_PATH']}"}).encode()
        receiver.answers.extend([(500, {"X-Echo": SECRET}, mirror)] * 20)
        environment = {**secrets, "SLACK_URL": f"{receiver.url}/services/{secrets['URL_PATH']}"}
        text = f"""
[channels.hook]
kind = "webhook"
url_env = "SLACK_URL"
secret_env = "SECRET"
authorization_env = "TOKEN"
{FAST}
[channels.slack]
kind = "slack"
url_env = "SLACK_URL"
{FAST}
[channels.pager]
kind = "pagerduty"
url = "{receiver.url}/v2/enqueue"
routing_key_env = "ROUTING"
{FAST}
[channels.manager]
kind = "alertmanager"
url = "{receiver.url}"
authorization_env = "TOKEN"
[channels.mail]
kind = "email"
host = "127.0.0.1"
port = 1
username = "ops"
password_env = "PASSWORD"
from = "hopline@example.com"
to = ["ops@example.com"]
{FAST}
"""
        said: list[Answer] = []
        async with hosting(loaded(tmp_path, text, **environment)) as hosted:
            hosted.channels.told(Changed())
            said += [await hosted.channels.test(one.name) for one in hosted.channels.standing()]
            await until(lambda: {one.channel for one in hosted.became} == {"hook", "slack", "pager", "manager", "mail"})
            everything = caplog.text + str((hosted.became, hosted.channels.standing(), said, hosted.channels.pack()))
    exposed = hosted.metrics.exposition().decode()
    assert not any(answer.ok for answer in said)
    assert "***" in everything
    for name, secret in secrets.items():
        assert secret not in everything, name
        assert secret not in exposed
    assert repr(SECRET) not in repr(hosted.channels)
