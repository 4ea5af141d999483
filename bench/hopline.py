"""Everything that touches Hopline itself: its processes, settings, topics and pages."""

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import aiohttp

from bench.harness import Ground
from bench.processes import Child, free_port
from processors.vocabulary import topics
from streams.admin import ensure_topics
from streams.settings import KafkaSettings
from streams.topics import TopicNames

WORKER: Final = "streams.worker"
GATEWAY: Final = "streams.gateway"
ASSIGNED: Final = "assigned lanes:"
"""What a worker logs when it learns which lanes are its own; it restores them from then on."""
READY_SECONDS_MAX: Final = 300.0
ASK_SECONDS: Final = 0.01
ASK_SECONDS_MAX: Final = 5.0
STOP_SECONDS_MAX: Final = 30.0
WINDOW_SECONDS: Final = 86_400


class Hopline:
    """One installation: topics with a prefix of their own, a folder, workers, perhaps a gateway."""

    def __init__(self, ground: Ground, name: str, lanes: int = 8) -> None:
        self.lanes = lanes
        self.name = name
        self.folder = ground.folder / name
        self.gateway_port = free_port()
        self._ground = ground
        self._prefix = f"{ground.name}-{name}-"
        self._ports: dict[int, int] = {}

    def topic(self, name: str) -> str:
        """Return what the cluster calls one of our topics."""
        return self._prefix + name

    @property
    def source(self) -> str:
        """Return where signals go in."""
        return self.topic(topics.SIGNALS_IN)

    @property
    def sink(self) -> str:
        """Return where they come out."""
        return self.topic(topics.SIGNALS)

    @property
    def state(self) -> Path:
        """Return where the local state is kept."""
        return self.folder / "state"

    def _environment(self, slot: int = 0) -> dict[str, str]:
        port = self._ports.setdefault(slot, free_port())
        return {
            "HOPLINE_KAFKA": self._ground.kafka,
            "HOPLINE_TOPIC_PREFIX": self._prefix,
            "HOPLINE_DATA_DIR": str(self.folder),
            "HOPLINE_LANES": str(self.lanes),
            "HOPLINE_SLOT": str(slot),
            "HOPLINE_WEB_PORT": str(port - slot),
            "HOPLINE_GATEWAY_PORT": str(self.gateway_port),
            "HOPLINE_DEDUPE_WINDOW_SECONDS": str(WINDOW_SECONDS),
            "HOPLINE_LOG_LEVEL": "INFO",
        }

    def worker(self, slot: int = 0, *, module: str = WORKER, more: Mapping[str, str] | None = None) -> Child:
        """Start a worker, with telemetry on as it always is."""
        environment = {**self._environment(slot), **(more or {})}
        return self._ground.children.start(f"{self.name}-worker", module, environment=environment)

    def page(self, path: str, slot: int = 0) -> str:
        """Return the address of a worker's page."""
        return f"http://127.0.0.1:{self._ports[slot]}{path}"

    def gateway(self) -> Child:
        """Start the gateway."""
        return self._ground.children.start(f"{self.name}-gateway", GATEWAY, environment=self._environment())

    async def stop(self, child: Child) -> None:
        """End a process in good order."""
        await asyncio.to_thread(child.stop, STOP_SECONDS_MAX)

    async def make(self) -> None:
        """Make the topics, so that they can be filled before a worker starts."""
        await ensure_topics(
            KafkaSettings(self._ground.kafka),
            TopicNames(self._prefix),
            lanes=self.lanes,
            replication=1,
            min_insync_replicas=1,
        )

    async def ready(self, child: Child, slot: int = 0) -> None:
        """Wait until a worker has taken over its lanes."""
        await answers(child, self._ports[slot], "/readyz")

    async def gateway_ready(self, child: Child) -> None:
        """Wait until the gateway takes signals."""
        await answers(child, self.gateway_port, "/readyz")

    async def owns(self, child: Child, slot: int, lanes: int) -> None:
        """Wait until a worker has taken over exactly so many lanes."""

        async def is_so(response: aiohttp.ClientResponse) -> bool:
            found: dict[str, dict[str, Any]] = await response.json(content_type=None)
            return len(found) == lanes and all(lane["taken"] for lane in found.values())

        await answers(child, self._ports[slot], "/lanes", is_so)

    async def restore_seconds(self, child: Child) -> float:
        """Return how long a worker just started takes from learning its lanes until all are restored and taken."""
        until = time.monotonic() + READY_SECONDS_MAX
        while not child.logged(ASSIGNED):
            child.check()
            if time.monotonic() > until:
                raise TimeoutError(f"{child.log} does not say `{ASSIGNED}`")
            await asyncio.sleep(ASK_SECONDS)
        began = time.perf_counter()
        await self.ready(child)
        return time.perf_counter() - began

    def forget(self) -> None:
        """Remove the local state, as on a new machine."""
        shutil.rmtree(self.state, ignore_errors=True)

    def remember(self, snapshot: Path) -> None:
        """Put back a copy of the local state."""
        self.forget()
        shutil.copytree(snapshot, self.state)


async def _is_ok(response: aiohttp.ClientResponse) -> bool:
    return response.status == 200


async def answers(
    child: Child, port: int, page: str, right: Callable[[aiohttp.ClientResponse], Awaitable[bool]] = _is_ok
) -> None:
    """Wait until a process's page answers as it should."""
    until = time.monotonic() + READY_SECONDS_MAX
    timeout = aiohttp.ClientTimeout(total=ASK_SECONDS_MAX)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        while time.monotonic() < until:
            child.check()
            # Until it listens, it cannot be asked.
            with suppress(aiohttp.ClientError, TimeoutError):
                async with session.get(f"http://127.0.0.1:{port}{page}") as response:
                    if await right(response):
                        return
            await asyncio.sleep(ASK_SECONDS)
    raise TimeoutError(f"{child.log.stem} did not get ready in {READY_SECONDS_MAX:.0f} s: {child.last_words()}")
