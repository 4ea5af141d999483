"""A real Alertmanager: it has the alert and the silence, and neither any more when they are over here."""

import asyncio
import json
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from processors.alerting.settings import ALL, Silence, pack
from streams.channels.alertmanager import Alertmanager
from tests.streams.channels.receiving import Changed, Receiver, hosting, loaded, receiving, until

ALERTMANAGER: Final = shutil.which("prometheus-alertmanager")
SECONDS_MAX: Final = 60.0
LOOK_SECONDS: Final = 0.1

pytestmark = pytest.mark.skipif(ALERTMANAGER is None, reason="prometheus-alertmanager is not installed")


class Running:
    """One that runs, and what it says of itself."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self._http = http

    async def get(self, path: str) -> list[dict[str, Any]]:
        async with self._http.get(self.url + path) as answer:
            answer.raise_for_status()
            found: list[dict[str, Any]] = await answer.json()
            return found

    async def until(self, path: str, condition: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """Ask until the answer is as wanted."""
        found: list[dict[str, Any]] = []
        async with asyncio.timeout(SECONDS_MAX):
            while True:
                try:
                    found = await self.get(path)
                except aiohttp.ClientError:
                    found = []
                else:
                    if condition(found):
                        return found
                await asyncio.sleep(LOOK_SECONDS)


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@asynccontextmanager
async def running(folder: Path, receiver: Receiver) -> AsyncIterator[Running]:
    """Start an Alertmanager that tells our receiver at once."""
    port = free_port()
    config = folder / "alertmanager.yml"
    config.write_text(
        f"""
route: {{receiver: hook, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}
receivers: [{{name: hook, webhook_configs: [{{url: "{receiver.url}/from-alertmanager", send_resolved: true}}]}}]
""",
        encoding="utf-8",
    )
    arguments = ["--config.file", str(config), "--storage.path", str(folder / "data"), "--cluster.listen-address="]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: ASYNC220  # it is forked at once, and ended below
            [str(ALERTMANAGER), *arguments, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log
        )
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http:
            found = Running(f"http://127.0.0.1:{port}", http)
            await found.until("/api/v2/alerts", lambda alerts: alerts == [])
            yield found
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 30)


def channel(url: str) -> str:
    return f'runbooks = "https://example.com/runbooks"\n[channels.am]\nkind = "alertmanager"\nurl = "{url}"\n'


async def test_alerts_and_silences_are_there_and_go(tmp_path: Path) -> None:
    now_ms = round(time.time() * 1_000)
    silence = Silence("s1", "HopSlow", ALL, now_ms + 3_600_000, "we move", now_ms, "kafka:ann")
    strangers = {"isRegex": False, "isEqual": True}
    async with receiving() as receiver, running(tmp_path, receiver) as there:
        async with hosting(loaded(tmp_path, channel(there.url))) as hosted:
            hosted.settings.take(silence.key, pack(silence))
            hosted.channels.told(Changed(id="a2", alert="HopSlow", at_ms=now_ms, since_ms=now_ms))
            hosted.channels.told(Changed(at_ms=now_ms, since_ms=now_ms))
            alerts = await there.until("/api/v2/alerts", lambda found: len(found) == 2)
            states = {alert["labels"]["alertname"]: alert["status"]["state"] for alert in alerts}
            assert states == {"LagHigh": "active", "HopSlow": "suppressed"}
            lag = next(alert for alert in alerts if alert["labels"]["alertname"] == "LagHigh")
            assert lag["labels"] == {"alertname": "LagHigh", "severity": "critical", "tenant": "acme"}
            assert lag["annotations"]["runbook_url"] == "https://example.com/runbooks/lag.md"
            (kept,) = await there.get("/api/v2/silences")
            assert (kept["status"]["state"], kept["comment"]) == ("active", "we move (kafka:ann) [hopline /s1]")

            longer = Silence("s1", "HopSlow", ALL, now_ms + 7_200_000, "we move", now_ms, "kafka:ann")
            hosted.settings.take(longer.key, pack(longer))
            await there.until(
                "/api/v2/silences",
                lambda found: (
                    [one["endsAt"] for one in found if one["status"]["state"] == "active"] != [kept["endsAt"]]
                ),
            )
            hosted.channels.told(Changed(to="cleared", at_ms=now_ms + 1, since_ms=now_ms))
            await there.until(
                "/api/v2/alerts", lambda found: [one["labels"]["alertname"] for one in found] == ["HopSlow"]
            )
        # A watch that starts anew finds its silences again, and leaves those of others alone.
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http,
            http.post(
                f"{there.url}/api/v2/silences",
                json={
                    "matchers": [{"name": "a", "value": "b", **strangers}],
                    "startsAt": kept["startsAt"],
                    "endsAt": kept["endsAt"],
                    "createdBy": "somebody",
                    "comment": "theirs [hopline /s1]",
                },
            ) as answer,
        ):
            assert answer.status == 200
        async with hosting(loaded(tmp_path, channel(there.url))):
            await there.until(
                "/api/v2/silences",
                lambda found: [one["createdBy"] for one in found if one["status"]["state"] == "active"] == ["somebody"],
            )
            await there.until(
                "/api/v2/alerts",
                lambda found: [one["status"]["state"] for one in found] == ["active"],
            )
    told = [json.loads(got.body) for got in receiver.got]
    first = next(body for body in told if body["alerts"])
    assert [alert["labels"]["alertname"] for alert in first["alerts"]] == ["LagHigh"], "not what is silenced"


async def test_one_that_is_no_alertmanager_is_named_and_told_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with receiving() as receiver, hosting(loaded(tmp_path, channel(receiver.url))) as hosted:
        hosted.channels.told(Changed())
        await until(lambda: hosted.results("am") != [])
        assert hosted.results("am") == ["told"]
        assert "does not answer as Alertmanager does" in caplog.text


def test_an_alert_is_told_again_before_it_ends_there_by_itself(tmp_path: Path) -> None:
    (made,) = loaded(tmp_path, channel("http://127.0.0.1:9") + "repeat_seconds = 10\n")
    assert made.pace.repeat_ms == 10_000
    assert not made.pace.heeds_silences
    assert isinstance(made.sender, Alertmanager)
    assert made.sender._keeps_ms == 30_000
