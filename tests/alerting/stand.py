"""Everything of one run: Kafka, a worker, gateways, history, the watch, Prometheus, Alertmanager, and who listens."""

import asyncio
import secrets
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
from aiohttp import web

from streams.admin import ensure_topics
from streams.broker.config import BrokerSettings
from streams.broker.embedded import EmbeddedKafka
from streams.metrics import Metrics
from streams.settings import KafkaSettings, Settings
from streams.telling import Telling
from streams.topics import TopicNames
from tests.alerting.program import PREFIX, Program, free_ports
from tests.alerting.receiver import Receiver
from tests.alerting.servers import FAST, Servers, Speed
from tests.alerting.traffic import Traffic
from tests.chaos.waiting import until

LANES: Final = 4
HEAP_MEGABYTES: Final = 384
READY_SECONDS_MAX: Final = 90.0
ASK_SECONDS_MAX: Final = 10.0
SESSION_MS: Final = 6_000
CHECKPOINT_SECONDS: Final = 15
PLANTED: Final = "planted"
"""The job of what this run shows itself: gauges of faults that cannot be had at will."""
WORKER: Final = "worker"
GATEWAY: Final = "gateway"
STRICT: Final = "gateway-strict"
"""A gateway that asks for keys."""
HISTORY: Final = "history"
WATCH: Final = "watch"


class Planted:
    """A process that shows whatever it is told to, to both engines: `metrics` is its registry."""

    def __init__(self, settings: Settings, bootstrap: str, port: int) -> None:
        self.metrics = Metrics()
        self._telling = Telling(settings, bootstrap, self.metrics, job=PLANTED, port=port)
        self._port = port
        self._runner: Any = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/metrics", self._shown)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self._telling.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._telling.close()
        await self._runner.cleanup()

    async def _shown(self, request: web.Request) -> web.Response:
        body, content_type = self.metrics.shown(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})


@dataclass(slots=True)
class Stand:
    """One stand, as a context. All that it starts ends with it."""

    folder: Path
    speed: Speed
    watch: bool = True
    """Whether the built-in engine runs, too."""
    programs: dict[str, Program] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    bootstrap: str = ""
    receiver: Receiver = field(default_factory=Receiver)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    servers: Any = None
    http: Any = None
    traffic: Any = None
    planted: Any = None

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        kafka = EmbeddedKafka(BrokerSettings(self.folder / "kafka", heap_megabytes=HEAP_MEGABYTES))
        self._stack.callback(kafka.stop)
        self.bootstrap = await asyncio.to_thread(kafka.start)
        await ensure_topics(
            KafkaSettings(self.bootstrap), TopicNames(""), lanes=LANES, replication=1, min_insync_replicas=1
        )
        timeout = aiohttp.ClientTimeout(total=ASK_SECONDS_MAX)
        self.http = await self._stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
        await self._stack.enter_async_context(self.receiver)
        self._declare()
        self.planted = await self._stack.enter_async_context(
            Planted(self._settings(), self.bootstrap, self.ports[PLANTED])
        )
        self.servers = Servers(self.folder, self.speed, f"{self.receiver.url}/alertmanager")
        self.configure()
        for program in (*self.programs.values(), *self.servers.programs):
            self._stack.callback(program.end)
            program.start()
        await until(self._ready, READY_SECONDS_MAX, "the stand is ready")
        self.traffic = await self._stack.enter_async_context(Traffic(self.bootstrap))

    def configure(self, *, dropped: str = "") -> None:
        """Write Prometheus' configuration: see `Servers.configure`."""
        targets = {
            WORKER: [self.ports[WORKER]],
            GATEWAY: [self.ports[GATEWAY], self.ports[STRICT]],
            HISTORY: [self.ports[HISTORY]],
            PLANTED: [self.ports[PLANTED]],
        }
        if self.watch:
            targets[WATCH] = [self.ports[WATCH]]
        self.servers.configure(targets, dropped=dropped)

    def _settings(self) -> Settings:
        return Settings(lanes=LANES, telemetry_seconds=self.speed.telemetry_seconds)

    def _declare(self) -> None:
        names = (WORKER, GATEWAY, STRICT, HISTORY, WATCH, PLANTED)
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        self._channels()
        common = dict(self._environment())
        strict = {"GATEWAY_PORT": str(self.ports[STRICT]), "REQUIRE_KEYS": "true"}
        modules = {
            WORKER: ("streams.worker", {}),
            GATEWAY: ("streams.gateway", {}),
            STRICT: ("streams.gateway", {PREFIX + name: value for name, value in strict.items()}),
            HISTORY: ("streams.history", {}),
            WATCH: ("streams.watch", {}),
        }
        for name, (module, more) in modules.items():
            if name != WATCH or self.watch:
                self.programs[name] = Program(name, [sys.executable, "-m", module], self.folder, {**common, **more})

    def _environment(self) -> Iterator[tuple[str, str]]:
        values = {
            "KAFKA": self.bootstrap,
            "LANES": LANES,
            "SESSION_TIMEOUT_MS": SESSION_MS,
            "DATA_DIR": self.folder / "data",
            "SECRET_KEY": secrets.token_hex(32),
            "WEB_PORT": self.ports[WORKER],
            "GATEWAY_PORT": self.ports[GATEWAY],
            "HISTORY_PORT": self.ports[HISTORY],
            "WATCH_PORT": self.ports[WATCH],
            "TELEMETRY_SECONDS": self.speed.telemetry_seconds,
            "CHECKPOINT_SECONDS": CHECKPOINT_SECONDS,
            "GATEWAY_LOCAL_LIMITS": "true",
            "CHANNELS_FILE": self.folder / "channels.toml",
        }
        return ((PREFIX + name, str(value)) for name, value in values.items())

    def _channels(self) -> None:
        """Two channels: one that listens, one that takes nothing."""
        secret = self.folder / "secret"
        secret.write_text(secrets.token_hex(32))
        at_once = "group_by = []\ngroup_wait_seconds = 0\ngroup_interval_seconds = 0\n"
        paced = at_once if self.speed is FAST else ""
        tables = (
            f'[channels.{name}]\nkind = "webhook"\nurl = "{self.receiver.url}/{path}"\nsecret_file = "{secret}"\n'
            f'severities = ["critical", "warning", "info"]\n{paced}'
            for name, path in (("listens", "builtin"), ("broken", "broken"))
        )
        (self.folder / "channels.toml").write_text("\n".join(tables))

    async def _ready(self) -> bool:
        for name, program in self.programs.items():
            if not program.alive:
                raise RuntimeError(f"{name} has ended:\n{program.last_words()}")
            try:
                async with self.http.get(f"{self.url(name)}/readyz") as answer:
                    if answer.status != 200:
                        return False
            except (aiohttp.ClientError, OSError, TimeoutError):
                return False
        return bool(await self.servers.ready(self.http))

    def url(self, name: str) -> str:
        """Return where a process is."""
        return f"http://127.0.0.1:{self.ports[name]}"

    async def built_in_alerts(self) -> list[Any]:
        """Return the alerts of the watch that wait or are raised."""
        async with self.http.get(f"{self.url(WATCH)}/v1/alerts") as answer:
            found: list[Any] = (await answer.json())["alerts"]
            return found

    async def built_in_threshold(self, alert: str) -> float | None:
        """Return what the watch compares with."""
        async with self.http.get(f"{self.url(WATCH)}/v1/alerts/rules") as answer:
            rules = (await answer.json())["rules"]
            return next((rule["effective"] for rule in rules if rule["alert"] == alert), None)
