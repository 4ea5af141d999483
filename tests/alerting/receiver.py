"""The channel at the end: a webhook that notes when each engine tells of which alert, and one that takes nothing."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from aiohttp import web

BUILT_IN: Final = "builtin"
PROMETHEUS: Final = "prometheus"
BODY_BYTES_MAX: Final = 8 * 1_048_576
PLACES: Final = frozenset({"job", "instance", "severity", "alertname"})
"""Labels in which the engines may differ: each names processes in its own way."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One alert's raise or end, as it came."""

    engine: str
    alert: str
    labels: tuple[tuple[str, str], ...]
    raised: bool
    at_seconds: float


def told_apart(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the labels that both engines give alike."""
    return tuple(sorted((name, value) for name, value in labels.items() if name not in PLACES and value))


@dataclass(slots=True)
class Receiver:
    """Listens, as a context."""

    heard: list[Heard] = field(default_factory=list)
    refused: int = 0
    broken: bool = False
    """Whether the second channel refuses what it is told."""
    url: str = ""
    _runner: Any = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.router.add_post("/alertmanager", self._alertmanager)
        app.router.add_post("/builtin", self._built_in)
        app.router.add_post("/broken", self._broken)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _alertmanager(self, request: web.Request) -> web.Response:
        self.heard += _of_alertmanager(json.loads(await request.read()), time.time())
        return web.Response()

    async def _built_in(self, request: web.Request) -> web.Response:
        self.heard += _of_built_in(json.loads(await request.read()), time.time())
        return web.Response()

    async def _broken(self, request: web.Request) -> web.Response:
        await request.read()
        self.refused += self.broken
        return web.Response(status=500 if self.broken else 200)

    def first(self, engine: str, alert: str, *, raised: bool, since_seconds: float) -> float | None:
        """Return when an engine first told of an alert after a moment, None if it has not."""
        moments = (
            one.at_seconds
            for one in self.heard
            if one.engine == engine and one.alert == alert and one.raised is raised and one.at_seconds >= since_seconds
        )
        return min(moments, default=None)


def _of_alertmanager(told: Any, now_seconds: float) -> Iterator[Heard]:
    for one in told["alerts"]:
        labels = one["labels"]
        raised = one["status"] == "firing"
        yield Heard(PROMETHEUS, labels["alertname"], told_apart(labels), raised, now_seconds)


def _of_built_in(told: Any, now_seconds: float) -> Iterator[Heard]:
    for one in told["alerts"]:
        raised = one["what"] != "resolved"
        yield Heard(BUILT_IN, one["alert"], told_apart(one["labels"]), raised, now_seconds)
