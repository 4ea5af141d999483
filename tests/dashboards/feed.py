"""A whole pipeline of its own, and traffic of every kind through it: what an operator could meet within an hour."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web
from aiokafka import AIOKafkaProducer
from typing_extensions import override

from processors.directives.kinds import alert_threshold, limits, replay, tenant_set
from processors.telemetry import events
from processors.vocabulary import topics
from processors.vocabulary.partition import lane_of
from streams.cli.children import Keeper
from streams.cli.stack import Stack
from streams.demo.mix import stream
from streams.demo.source import Source
from streams.settings import load
from tests.dashboards.faulty import AT_THE_DOOR, BEHIND_IT
from tests.integration.command_line import HOPLINE, CommandLine
from tests.integration.pipeline import PLAIN, event, free_port

TENANTS: Final = 30
"""More than have a label of their own."""
PER_SECOND: Final = 40.0
PAUSE_SECONDS: Final = 1.0
BAD_EVERY: Final = 40
FAULTY: Final = "tests.dashboards.faulty"
SOON_MS: Final = (2_000, 8_000, 20_000)
"""On a busy machine a lane may be seconds behind: what is due by then has not waited for its time."""
PER_TENANT: Final = "TenantFailureRate"
"""An alert that has thresholds of tenants."""
KILL_AFTER_SECONDS: Final = 8.0
COMMAND_SECONDS_MAX: Final = 60.0
DEFERRED: Final = "deferred"
CHANNEL_SECRET: Final = "FEED_CHANNEL_SECRET"  # noqa: S105  # where it stands
CHANNELS: Final = f"""
[channels.ops]
kind = "webhook"
url = "http://127.0.0.1:{{port}}/"
secret_env = "{CHANNEL_SECRET}"
severities = ["critical", "warning", "info"]
group_wait_seconds = 0
group_interval_seconds = 1
"""
REQUEST_SECONDS_MAX: Final = 20.0


class FaultyStack(Stack):
    """What `hopline up` starts, with a worker whose hops raise on records that ask for it."""

    @override
    def _keeper(
        self, name: str, arguments: tuple[str, ...], slot: int, *, may_end: bool = False, spare: bool = False
    ) -> Keeper:
        swapped = (FAULTY, *arguments[1:]) if arguments[0] == PLAIN else arguments
        return super()._keeper(name, swapped, slot, may_end=may_end, spare=spare)


class Site:
    """A pipeline that runs, and a terminal beside it."""

    def __init__(self, stack: Stack, line: CommandLine) -> None:
        self.stack = stack
        self.line = line

    def targets(self) -> dict[str, list[str]]:
        """Return what a Prometheus scrapes: the addresses by job."""
        urls = {
            "worker": list(self.stack.worker_urls),
            "gateway": [self.stack.gateway_url],
            "history": [self.stack.history_url],
            "watch": [self.stack.watch_url],
        }
        return {job: [url.removeprefix("http://") for url in found] for job, found in urls.items() if found}


@asynccontextmanager
async def site(folder: Path, say: Callable[[str], None]) -> AsyncIterator[Site]:
    """Run a pipeline in a folder."""
    ports = {f"{name}_PORT": str(free_port()) for name in ("GATEWAY", "WEB", "HISTORY", "WATCH")}
    async with _receiver() as port:
        files = {"CHANNELS_FILE": str(_channels(folder, port)), "TRACE_FILE": str(folder / "spans.jsonl")}
        line = CommandLine(folder, **ports, **files, TELEMETRY_SECONDS="1", TRACE_SHARE="0.2", SLOW_SECONDS="0.02")
        ours = {name: value for name, value in line.environment.items() if name.startswith("HOPLINE_")}
        ours[CHANNEL_SECRET] = "known-to-nobody-and-of-no-use"
        async with FaultyStack(load(ours), processes=1, tell=say, overrides=ours) as stack:
            yield Site(stack, line)


def _channels(folder: Path, port: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "channels.toml"
    path.write_text(CHANNELS.format(port=port), encoding="utf-8")
    return path


@asynccontextmanager
async def _receiver() -> AsyncIterator[int]:
    """Listen where the watch tells alerts, and take them all."""

    async def take(request: web.Request) -> web.Response:
        await request.read()
        return web.Response()

    application = web.Application()
    application.router.add_post("/", take)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        port = free_port()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield port
    finally:
        await runner.cleanup()


async def feed(site: Site, *, kill_after_seconds: float = KILL_AFTER_SECONDS) -> None:
    """Send all kinds of traffic until cancelled; kill the worker once."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_trickle(site))
        tasks.create_task(_over_http(site))
        tasks.create_task(_straight(site))
        tasks.create_task(_ask(site))
        tasks.create_task(_kill(site, kill_after_seconds))


async def _trickle(site: Site) -> None:
    """The demo's mix: good, doubled, bad and misplaced signals, half of them over HTTP."""
    settings = site.stack.settings
    samples = stream(1, TENANTS, run=f"{time.time_ns():x}", large_max=1)
    async with Source(
        site.stack.kafka, settings.topics, lanes=settings.lanes, gateway_url=site.stack.gateway_url
    ) as source:
        await source.trickle(samples, PER_SECOND)


async def _over_http(site: Site) -> None:
    """What a gateway refuses, denies and answers, and directives of all fates."""
    timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS_MAX)
    async with aiohttp.ClientSession(site.stack.gateway_url, timeout=timeout) as http:
        number = 0
        while True:
            number += 1
            with suppress(aiohttp.ClientError, TimeoutError):
                for body in _directives(number):
                    await _post(http, "/v1/directives", json.dumps(body).encode())
                await _post(http, "/v1/signals", b"{", {"Content-Type": "application/cloudevents+json"})
                await _post(http, "/v1/signals", event("acme", number), {"Authorization": "Bearer hk_nobody_nothing"})
                batch = b"[%s,%s]" % (event("acme", number), event("bolt", number))
                await _post(http, "/v1/signals", batch, {"Content-Type": "application/cloudevents-batch+json"})
                await _post(http, "/v1/signals", _purchase(number), {"Content-Type": "application/cloudevents+json"})
                for path in ("/v1/limits", "/v1/nothing", "/healthz"):
                    async with http.get(path) as answer:
                        await answer.read()
            await asyncio.sleep(PAUSE_SECONDS)


async def _post(http: aiohttp.ClientSession, path: str, body: bytes, headers: dict[str, str] | None = None) -> None:
    async with http.post(path, data=body, headers={"Content-Type": "application/json", **(headers or {})}) as answer:
        await answer.read()


def _purchase(number: int) -> bytes:
    data = {"amount": 12.5, "currency": "CHF", "package": "pro"}
    return event("acme", 1_000_000 + number, type=events.SUBSCRIBED.name, data=data)


def _soon(number: int) -> str:
    at_ms = time.time() * 1_000 + SOON_MS[number % len(SOON_MS)]
    return datetime.fromtimestamp(at_ms / 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _directives(number: int) -> list[dict[str, Any]]:
    """Directives that succeed, that are rejected, that wait."""
    later, soon = "2999-01-01T00:00:00Z", _soon(number)
    slow = {"rate_per_second": 2, "burst": 1, "queue_records": 500}
    return [
        {"tenant": DEFERRED, "name": tenant_set.DEFINITION.name, "data": slow},
        {"tenant": "nobody-at-all", "name": limits.DEFINITION.name, "data": {"rate_per_second": number, "burst": 1}},
        {"tenant": "acme", "name": replay.FINISH, "data": {"replay": f"none-{number}"}},
        {"tenant": "acme", "name": tenant_set.DEFINITION.name, "data": {"burst": 50}, "notbefore": later},
        {"tenant": "acme", "name": tenant_set.DEFINITION.name, "data": {"burst": 60}, "notbefore": soon},
        {"tenant": "acme", "name": alert_threshold.SET_THRESHOLD, "data": {"alert": PER_TENANT, "value": 0.9}},
    ]


async def _straight(site: Site) -> None:
    """Past the gateway: records on which hops raise, those of a tenant that must wait, what nobody can read."""
    settings = site.stack.settings
    key = DEFERRED.encode()
    lane = lane_of(key, settings.lanes)
    producer = AIOKafkaProducer(**site.stack.kafka.client_options())
    await producer.start()

    async def send(topic: str, value: bytes) -> None:
        await producer.send_and_wait(settings.topics.physical(topic), value, key=key, partition=lane)

    try:
        number = 0
        while True:
            number += 1
            for each in range(5):
                await send(topics.SIGNALS_IN, event(DEFERRED, 10 * number + each))
            if number % BAD_EVERY == 1:
                # Each costs its lane some batches of one record: not all the time, or nothing else gets through.
                await send(topics.SIGNALS_IN, event(DEFERRED, -number, data=AT_THE_DOOR.decode()))
                behind = event(DEFERRED, number, type=tenant_set.DEFINITION.name, data=BEHIND_IT.decode())
                await send(topics.COMMANDS, behind)
                # Only lanes write there. A stranger's record must be set aside by the hop that reads it.
                await send(topics.DIRECTIVES, b"{")
            await asyncio.sleep(PAUSE_SECONDS)
    finally:
        await producer.stop()


async def _ask(site: Site) -> None:
    """What an operator does: replay a tenant, redrive dead letters."""
    while True:
        await asyncio.sleep(PAUSE_SECONDS)
        await _command(site, "replay", "--tenant", "demo-01", "--from", "beginning", "--rate", "50", "--json")
        await _command(site, "dead-letters", "redrive", "--tenant", "demo-02", "--json")


async def _command(site: Site, *arguments: str) -> None:
    """Run a command; it ends with the traffic."""
    null = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *HOPLINE, *arguments, env=site.line.environment, stdin=null, stdout=null, stderr=null
    )
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(COMMAND_SECONDS_MAX):
                await process.wait()
    finally:
        if process.returncode is None:
            process.kill()


async def _kill(site: Site, after_seconds: float) -> None:
    """Kill the worker once, when it has state: its successor restores that, and takes the lanes over."""
    await asyncio.sleep(after_seconds)
    worker = next(keeper for keeper in site.stack.keepers if keeper.program.name.startswith("worker"))
    if worker.pid is not None:
        os.kill(worker.pid, signal.SIGKILL)
