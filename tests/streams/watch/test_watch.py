"""The watch on a real Kafka: samples become charts, rules become changes that are told once; nothing is forgotten."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from processors.alerting.rule import Rule
from processors.alerting.settings import Override, Silence
from processors.telemetry import catalogue
from processors.telemetry.samples import Sample
from processors.vocabulary import topics as names
from streams.metrics import Metrics
from streams.settings import Settings
from streams.watch import service
from streams.watch.service import Aboard, Watch
from streams.watch.telling import Telling as Tellers
from streams.watch.words import ToldChange
from tests.streams.history.made import free_port
from tests.streams.watch.made import sample
from tests.streams.watch.place import LAG, OF_TENANTS, RULES, SECONDS, Telling, ask, now_ms, place, until

pytestmark = pytest.mark.kafka


def worker(at_ms: int, passed: float, figures: Mapping[str, float]) -> Sample:
    """Return what a worker tells: ten signals a second, and as much lag as it is told to have."""
    return sample(
        at_ms,
        [
            (catalogue.SIGNALS.name, {"hop": "ingest", "tenant": "acme", "outcome": "handled"}, 10 * passed),
            (catalogue.HOP_INPUT.name, {"hop": "ingest"}, 10 * passed),
            (catalogue.LAG_SECONDS.name, {"topic": names.SIGNALS_IN}, figures.get("lag", 1.0)),
            (catalogue.LAG_RECORDS.name, {"topic": names.SIGNALS_IN, "lane": "0"}, 7.0),
        ],
    )


class Noting:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.heard: list[ToldChange] = []

    def told(self, change: ToldChange) -> None:
        self.heard.append(change)


def watch_of(settings: Settings, kafka: str, noting: Noting, rules: tuple[Rule, ...] = (LAG,)) -> Watch:
    return Watch(settings, kafka, Metrics(), Aboard(make_teller=lambda *_: Tellers((noting,)), rules=rules))


async def in_charge(watch: Watch) -> None:
    async def serving() -> bool:
        return watch.duty.serving and not watch.why_not_ready()

    await until(serving)


def went(changes: list[ToldChange], alert: str = LAG.name) -> list[str]:
    return [change.to for change in changes if change.alert == alert]


async def test_samples_become_charts_the_map_figures_and_answers_to_promql(kafka: str, unique: str) -> None:
    async with place(kafka, unique) as here, Telling(here, worker), watch_of(here.settings, kafka, Noting()) as watch:
        chart = "hop-ingest-ingest-records-by-outcome"
        listed = await ask(watch.url, "/v1/charts")
        assert chart in {one["id"] for one in listed["charts"]}

        async def drawn() -> Any:
            found = await ask(watch.url, f"/v1/charts/{chart}", minutes=1)
            return found if found and any(len(one["points"]) > 3 for one in found["series"]) else None

        found = await until(drawn)
        (series,) = found["series"]
        assert series["legend"] == "handled"
        assert 5 < series["points"][-1][1] < 15

        async def figured() -> Any:
            seen = await ask(watch.url, "/v1/map")
            nodes = {node["id"]: node for node in seen["nodes"]} if seen else {}
            return nodes if nodes and nodes["ingest"]["figures"].get("per_second", 0) > 5 else None

        nodes = await until(figured)
        assert nodes["ingest"]["figures"]["per_second"] < 15
        assert nodes["ingest"]["figures"]["lag"] == 7
        assert (nodes["ingest"]["state"], nodes["gateway"]["state"]) == ("ok", "unknown")
        told = await ask(watch.url, "/api/metrics")
        assert told["queues"] == {names.SIGNALS_IN: 7}
        assert 5 < told["tenants"]["acme"]["handled_per_second"] < 15
        answer = await ask(watch.url, "/api/v1/query", query=f"sum by (topic) ({catalogue.LAG_RECORDS.name})")
        (row,) = answer["data"]["result"]
        assert (row["metric"], row["value"][1]) == ({"topic": names.SIGNALS_IN}, "7")
        now = now_ms() / 1_000
        asked = {"query": "up", "start": f"{now - 5}", "end": f"{now}", "step": "1s"}
        answer = await ask(watch.url, "/api/v1/query_range", **asked)
        assert {row["metric"]["job"] for row in answer["data"]["result"]} >= {"worker"}
        assert await ask(watch.url, "/v1/charts/none") is None
        own = await ask(watch.url, "/api/v1/query", query=f'{catalogue.WATCH_IN_CHARGE.name}{{job="watch"}}')
        assert own["status"] == "success"


async def test_a_tenants_answers_show_nothing_of_others_and_nothing_of_all(kafka: str, unique: str) -> None:
    async with place(kafka, unique) as here, Telling(here, worker), watch_of(here.settings, kafka, Noting()) as watch:

        async def own() -> Any:
            found = await ask(watch.url, "/api/metrics", only="acme")
            return found if found and found["tenants"] else None

        assert (await until(own)).keys() == {"at_ms", "tenants"}
        assert (await ask(watch.url, "/api/metrics", only="bolt"))["tenants"] == {}
        seen = await ask(watch.url, "/v1/map", only="acme")
        figures = {node["id"]: node["figures"] for node in seen["nodes"]}
        assert figures["ingest"]["per_second"] > 0
        assert "lag" not in figures["ingest"]
        seen = await ask(watch.url, "/v1/map", only="bolt")
        assert all(not node["figures"] for node in seen["nodes"])
        for chart in (await ask(watch.url, "/v1/charts", only="bolt"))["charts"]:
            found = await ask(watch.url, f"/v1/charts/{chart['id']}", only="bolt", minutes=1)
            assert found["series"] == [], chart["id"]
        assert await ask(watch.url, "/v1/charts/lanes-lag", only="bolt") is None


async def test_a_lowered_threshold_raises_an_alert_that_is_written_then_told_and_cleared_later(
    kafka: str, unique: str
) -> None:
    noting = Noting()
    async with (
        place(kafka, unique) as here,
        Telling(here, worker) as telling,
        watch_of(here.settings, kafka, noting) as watch,
        aiohttp.ClientSession() as http,
    ):
        telling.figures["lag"] = 10.0
        await in_charge(watch)
        async with http.get(f"{watch.url}/v1/alerts/events") as events, asyncio.timeout(SECONDS):
            assert await events.content.readuntil(b"\n\n") == b": hello\n\n"
            assert not went(await here.changes())
            await here.decide(Override(LAG.name, "", 5.0, now_ms()))
            told = await _event(events)
        assert (told["alert"], told["to"], told["threshold"]) == (LAG.name, "firing", 5)
        assert told["description"] == f"{names.SIGNALS_IN} waits for 10 s."
        assert went(await here.changes())[-1] == "firing"
        assert went(noting.heard) == ["firing"]
        (raised,) = (await ask(watch.url, "/v1/alerts"))["alerts"]
        assert (raised["state"], raised["silenced"], raised["labels"]) == (
            "firing", False, {"topic": names.SIGNALS_IN},
        )  # fmt: skip
        await here.decide(Silence("s" * 8, "Test*", "", now_ms() + 600_000, "why not", now_ms()))

        async def silenced() -> bool:
            return bool((await ask(watch.url, "/v1/alerts"))["alerts"][0]["silenced"])

        await until(silenced)
        rules = {rule["alert"]: rule for rule in (await ask(watch.url, "/v1/alerts/rules"))["rules"]}
        assert (rules[LAG.name]["default"], rules[LAG.name]["effective"]) == (30, 5)
        telling.figures["lag"] = 1.0

        async def cleared() -> bool:
            return went(noting.heard) == ["firing", "cleared"]

        await until(cleared)

        async def listed() -> bool:
            newest = (await ask(watch.url, "/v1/alerts/history", limit=1))["changes"]
            return [(one["from"], one["to"]) for one in newest] == [("firing", "cleared")]

        assert await until(listed)


async def _event(events: aiohttp.ClientResponse) -> dict[str, Any]:
    while True:
        text = (await events.content.readuntil(b"\n\n")).decode()
        if text.startswith("event: alert\ndata: "):
            found: dict[str, Any] = json.loads(text.partition("data: ")[2])
            return found


async def test_a_restart_neither_raises_anew_nor_forgets(kafka: str, unique: str) -> None:
    async with place(kafka, unique) as here, Telling(here, worker) as telling:
        telling.figures["lag"] = 40.0
        first, second = Noting(), Noting()
        async with watch_of(here.settings, kafka, first):

            async def raised() -> bool:
                return went(first.heard) == ["firing"]

            await until(raised)
        before = await here.changes()
        async with watch_of(here.settings, kafka, second) as watch:
            await in_charge(watch)
            (found,) = watch.alerts()
            assert (found.alert, found.since_ms) == (LAG.name, before[-1].since_ms)
            telling.figures["lag"] = 1.0

            async def cleared() -> bool:
                return bool(second.heard)

            await until(cleared)
        assert went(second.heard) == ["cleared"]
        assert went(await here.changes()) == ["firing", "cleared"]
        assert [change.number for change in await here.changes()] == [1, 2]


async def test_a_second_watch_stands_by_shows_the_same_and_takes_over(kafka: str, unique: str) -> None:
    async with place(kafka, unique) as here, Telling(here, worker) as telling, AsyncExitStack() as leaving:
        telling.figures["lag"] = 40.0
        first, second = Noting(), Noting()
        one = await leaving.enter_async_context(watch_of(here.settings, kafka, first))
        await in_charge(one)
        async with watch_of(here.settings, kafka, second) as other:

            async def both() -> bool:
                alerts = [await ask(watch.url, "/v1/alerts") for watch in (one, other)]
                return all(found and len(found["alerts"]) == 1 for found in alerts)

            await until(both)
            assert (one.duty.serving, other.duty.serving) == (True, False)
            assert went(first.heard) == ["firing"]
            await leaving.aclose()
            await in_charge(other)
            telling.figures["lag"] = 1.0

            async def cleared() -> bool:
                return bool(second.heard)

            await until(cleared)
        assert went(second.heard) == ["cleared"]
        assert went(await here.changes()) == ["firing", "cleared"]


async def test_alerts_of_tenants_are_shown_and_told_to_their_tenant_only(kafka: str, unique: str) -> None:
    async with (
        place(kafka, unique) as here,
        Telling(here, worker),
        watch_of(here.settings, kafka, Noting(), RULES) as watch,
    ):
        await here.decide(Override(OF_TENANTS.name, "acme", 0.5, now_ms()))

        async def raised() -> bool:
            return went(await here.changes(), OF_TENANTS.name)[-1:] == ["firing"]

        await until(raised)
        for path, name in (("/v1/alerts", "alerts"), ("/v1/alerts/history", "changes")):

            async def own(path: str = path, name: str = name) -> Any:
                return (await ask(watch.url, path, only="acme"))[name]

            assert {one["labels"]["tenant"] for one in await until(own)} == {"acme"}
            assert (await ask(watch.url, path, only="bolt"))[name] == []
        rules = {rule["alert"]: rule for rule in (await ask(watch.url, "/v1/alerts/rules", only="bolt"))["rules"]}
        assert (rules[OF_TENANTS.name]["overrides"], rules[OF_TENANTS.name]["effective"]) == ([], 50)


class Behind:
    """Says that something is behind, and counts who asks."""

    def __init__(self) -> None:
        self.asked = 0

    def __bool__(self) -> bool:
        self.asked += 1
        return True


async def test_while_samples_are_not_read_nothing_is_judged(
    kafka: str, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        place(kafka, unique) as here,
        Telling(here, worker) as telling,
        watch_of(here.settings, kafka, Noting()) as watch,
    ):
        await in_charge(watch)
        behind = Behind()
        monkeypatch.setattr(watch._samples, "behind", behind)

        async def asked(often: int) -> bool:
            return behind.asked >= often

        # One check may be under way.
        await until(partial(asked, 2))
        checks = watch.duty._gauges._checks._value
        before = checks.get()
        telling.figures["lag"] = 99.0
        await until(partial(asked, 8))
        assert checks.get() == before
        monkeypatch.setattr(watch._samples, "behind", "")

        async def raised() -> bool:
            return went(await here.changes()) == ["firing"]

        await until(raised)


@pytest.mark.slow
async def test_one_that_is_killed_is_followed_by_the_other_and_nobody_is_told_twice(
    kafka: str, unique: str, tmp_path: Path
) -> None:
    async with place(kafka, unique) as here, Telling(here, worker) as telling:
        # A rule of the real ones, made to fire by its threshold.
        telling.figures["lag"] = 40.0
        await here.decide(Override("LagHigh", "", 5.0, now_ms()))
        processes = [_process(here.settings, kafka, tmp_path, number) for number in range(2)]
        try:

            async def judged() -> int:
                found = [await _charge(port) for _, port in processes]
                return found.index(1.0) + 1 if 1.0 in found and None not in found else 0

            first = await until(judged) - 1

            async def pending() -> bool:
                return bool(went(await here.changes(), "LagHigh"))

            await until(pending)
            processes[first][0].kill()

            async def taken() -> bool:
                return await _charge(processes[1 - first][1]) == 1.0

            await until(taken)
            assert went(await here.changes(), "LagHigh") == ["pending"]
            processes[1 - first][0].send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(processes[1 - first][0].wait, SECONDS) == 0
        finally:
            for process, _ in processes:
                if process.poll() is None:
                    process.kill()
                process.wait(SECONDS)


def _process(settings: Settings, kafka: str, folder: Path, number: int) -> "tuple[subprocess.Popen[bytes], int]":
    port = free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HOPLINE_")}
    own = {
        "KAFKA": kafka,
        "TOPIC_PREFIX": settings.topic_prefix,
        "LANES": str(settings.lanes),
        "DATA_DIR": str(folder),
        "WATCH_PORT": str(port),
        "SESSION_TIMEOUT_MS": "6000",
        "TELEMETRY_SECONDS": "0.5",
    }
    with (folder / f"watch-{number}.log").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", service.__name__.rpartition(".")[0]],
            env={**kept, **{f"HOPLINE_{name}": value for name, value in own.items()}},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    return process, port


async def _charge(port: int) -> float | None:
    """Return whether a watch is in charge; None while it does not answer."""
    try:
        async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}/metrics") as answer:
            lines = (await answer.text()).splitlines()
    except aiohttp.ClientError:
        return None
    return next((float(line.split()[1]) for line in lines if line.startswith(catalogue.WATCH_IN_CHARGE.name)), None)
