"""Run the gateway: listen, connect to Kafka, stop in good order on SIGTERM or SIGINT."""

import asyncio
import errno
import logging
import signal
from collections.abc import Awaitable, Callable
from functools import partial
from importlib.metadata import version
from typing import Final, Self

from aiohttp import web
from typing_extensions import override

from processors.telemetry import catalogue
from streams.admin import ensure_topics
from streams.gateway.errors import PortTakenError
from streams.gateway.limits import CONNECTIONS_MAX, IDLE_SECONDS_MAX
from streams.gateway.outlet import Outlet
from streams.gateway.server import Gateway, require_loopback
from streams.gateway.tail import Tail
from streams.live.feed import Feed
from streams.live.reader import LiveReader
from streams.metrics import PROCESS, Metrics
from streams.settings import Settings

log = logging.getLogger(__name__)

STOP_SECONDS_MAX: Final = 10.0
LINGER_SECONDS_MAX: Final = 2.0
"""How long a client may still send what is not read any more, so that it gets to see its answer."""
BACKLOG: Final = 256


async def run(settings: Settings, bootstrap: str, *, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT. `announce` is given the address once it listens.

    Raises `NotLoopbackError` or `PortTakenError`.
    """
    require_loopback(settings.host)
    # Its connection errors are told once, by the outlet, instead of at every attempt.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Serving(settings, bootstrap, PROCESS) as serving:
        announce(serving.url)
        await stop.wait()
    log.info("the gateway has stopped")


class Serving:
    """A gateway that listens, as a context: for `run`, and for tests."""

    def __init__(self, settings: Settings, bootstrap: str, metrics: Metrics) -> None:
        self._settings = settings
        kafka = settings.cluster(bootstrap)
        self.outlet = Outlet(kafka, settings.topics, lanes=settings.lanes, prepare=_preparation(settings, bootstrap))
        feed = Feed()
        tail = Tail(feed, LiveReader(kafka, settings.topics, settings.lanes, feed))
        self.gateway = Gateway(settings, self.outlet, metrics, (tail,))
        self._runner = web.AppRunner(
            self.gateway.application(),
            access_log=None,
            handle_signals=False,
            shutdown_timeout=STOP_SECONDS_MAX,
            keepalive_timeout=IDLE_SECONDS_MAX,
            lingering_time=LINGER_SECONDS_MAX,
            auto_decompress=False,
        )
        self._server: asyncio.Server | None = None
        self.url = ""
        metrics.gauge(catalogue.BUILD).of(version("hopline")).set(1)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        host, port = self._settings.host, self._settings.gateway_port
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._protocol, host, port, backlog=BACKLOG)
        except OSError as error:
            await self._runner.cleanup()
            if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise
            raise PortTakenError(
                f"Port {port} of {host} cannot be used: it is taken or not allowed. "
                "Set HOPLINE_GATEWAY_PORT to another one, or to 0 for any."
            ) from error
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._server.sockets[0].getsockname()[1]}"
        self.outlet.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        # No new connections, then the requests under way, then what they wrote.
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()
        await self.outlet.close()

    def _protocol(self) -> asyncio.BaseProtocol:
        server = self._runner.server
        if server is None or len(server.connections) >= CONNECTIONS_MAX:
            return _Full()
        return server()


class _Full(asyncio.Protocol):
    """Takes a connection only to close it: as many as there may be are open."""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def _preparation(settings: Settings, bootstrap: str) -> Callable[[], Awaitable[object]]:
    return partial(
        ensure_topics,
        settings.cluster(bootstrap),
        settings.topics,
        lanes=settings.lanes,
        replication=settings.replication,
        min_insync_replicas=settings.min_insync_replicas,
    )
