"""Run the gateway: listen, connect to Kafka, stop in good order on SIGTERM or SIGINT."""

import asyncio
import errno
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from importlib.metadata import version
from typing import Final, Self

from aiohttp import web
from typing_extensions import override

from processors.directives import requester
from processors.telemetry import catalogue
from processors.vocabulary import topics as names
from streams import secret
from streams.admin import ensure_topics
from streams.gateway.access import Access, KeyTable, require_safe
from streams.gateway.admission import LimitsView
from streams.gateway.console import Console
from streams.gateway.directives import Directives
from streams.gateway.ends import Ends, span
from streams.gateway.errors import PortTakenError
from streams.gateway.following import Follower, Several
from streams.gateway.history import Signals
from streams.gateway.limits import CONNECTIONS_MAX, IDLE_SECONDS_MAX, Load
from streams.gateway.outlet import Outlet
from streams.gateway.protocol import Connection
from streams.gateway.recent import Recent
from streams.gateway.security import Certificate, headers_for
from streams.gateway.server import Gateway
from streams.gateway.slow import Watch
from streams.gateway.tail import Tail
from streams.gateway.traces import Traces
from streams.gateway.watching import Watching
from streams.history.reading import History
from streams.history.store import home_of
from streams.keys import Pepper
from streams.live.feed import Feed
from streams.live.reader import LiveReader
from streams.metrics import PROCESS, Metrics
from streams.settings import Settings, SettingsError
from streams.telling import Telling
from streams.thresholds import follow as follow_thresholds
from streams.tracing import tracer_of

log = logging.getLogger(__name__)

STOP_SECONDS_MAX: Final = 10.0
LINGER_SECONDS_MAX: Final = 2.0
"""How long a client may still send what is not read any more, so that it gets to see its answer."""
BACKLOG: Final = 256
HANDSHAKE_SECONDS_MAX: Final = 10.0


async def run(settings: Settings, bootstrap: str, *, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT. `announce` is given the address once it listens.

    Raises `NotLoopbackError`, `PortTakenError`, or what `require_safe` raises.
    """
    await require_safe(settings, bootstrap)
    # Its connection errors are told once, by the outlet, instead of at every attempt.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Serving(settings, bootstrap, PROCESS) as serving:
        # Without TLS, too: who renews certificates on all machines must not end the gateways that have none.
        loop.add_signal_handler(signal.SIGHUP, _reload, serving.certificate)
        announce(serving.url)
        await stop.wait()
    log.info("the gateway has stopped")


def _reload(certificate: Certificate) -> None:
    """Take a renewed certificate. One that does not fit leaves the old one in force."""
    try:
        certificate.load()
    except SettingsError as error:
        log.error("the certificate was not reloaded: %s", error)  # noqa: TRY400 - a setting, not a bug
    else:
        log.info("the certificate was reloaded" if certificate.context else "there is no certificate to reload")


class Serving:
    """A gateway that listens, as a context: for `run`, and for tests."""

    def __init__(self, settings: Settings, bootstrap: str, metrics: Metrics) -> None:
        self._settings = settings
        kafka = settings.cluster(bootstrap)
        self.outlet = Outlet(kafka, settings.topics, lanes=settings.lanes, prepare=_preparation(settings, bootstrap))
        feed = Feed()
        table, ends = KeyTable(Pepper.of(settings) if secret.is_given(settings) else None), Ends()
        self.access = Access(settings, metrics, table)
        tail = Tail(
            feed,
            LiveReader(kafka, settings.topics, settings.lanes, feed),
            self.access.still_good,
            headers_for(settings),
        )
        requester_key = secret.derived(settings, requester.PURPOSE) if secret.is_given(settings) else b""
        load = Load(settings.gateway_inflight_max)
        port = settings.gateway_port or os.getpid()
        self.telling = Telling(settings, bootstrap, metrics, job="gateway", port=port)
        self._tracer = tracer_of(settings, metrics, job="gateway", instance=self.telling.instance)
        traces = Traces(self._tracer, settings.trace_share)
        directives = Directives(self.outlet, self.access, ends, load, requester_key, traces)
        recent = Recent()
        signals = Signals(History(home_of(settings)), self.access, recent)
        self.access.uses.tells = self.telling
        parts = (tail, directives, signals, Watching(settings, self.access), Console())
        self.gateway = Gateway(
            settings, self.outlet, metrics, parts, self.access, recent, tells=self.telling, traces=traces
        )
        follow = partial(Follower, kafka, settings.topics, lanes=settings.lanes)
        keys = follow(names.ACCESS, view=Several(table, LimitsView(self.gateway.admission.limiter)))
        self.access.behind = lambda: keys.behind
        thresholds, _ = follow_thresholds(settings, bootstrap, metrics)
        self._followers = (keys, follow(names.AUDIT, view=ends, span=span(settings.lanes)), thresholds)
        self.certificate = Certificate(settings)
        self._headers = headers_for(settings)
        self._runner = web.AppRunner(
            self.gateway.application(), handle_signals=False, shutdown_timeout=STOP_SECONDS_MAX
        )
        self._watch = Watch(self._transports, metrics.counter(catalogue.GATEWAY_CUT).of())
        self._server: asyncio.Server | None = None
        self.url = ""
        metrics.gauge(catalogue.BUILD).of(version("hopline")).set(1)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        host, port = self._settings.host, self._settings.gateway_port
        loop = asyncio.get_running_loop()
        try:
            tls = self.certificate.context
            self._server = await loop.create_server(
                self._protocol,
                host,
                port,
                backlog=BACKLOG,
                ssl=tls,
                ssl_handshake_timeout=HANDSHAKE_SECONDS_MAX if tls else None,
            )
        except OSError as error:
            await self._runner.cleanup()
            if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise
            raise PortTakenError(
                f"Port {port} of {host} cannot be used: it is taken or not allowed. "
                "Set HOPLINE_GATEWAY_PORT to another one, or to 0 for any."
            ) from error
        shown = f"[{host}]" if ":" in host else host
        scheme = "https" if self.certificate.context else "http"
        self.url = f"{scheme}://{shown}:{self._server.sockets[0].getsockname()[1]}"
        self.outlet.start()
        for follower in self._followers:
            follower.start()
        self.access.uses.start(self.outlet)
        self.telling.start()
        self._watch.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        # No new connections, then the requests under way, then what they wrote.
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()
        await self._watch.close()
        await asyncio.gather(*(follower.close() for follower in self._followers))
        await self.access.uses.close()
        await self.telling.close()
        await self.outlet.close()
        if self._tracer is not None:
            await asyncio.to_thread(self._tracer.close)

    def _protocol(self) -> asyncio.BaseProtocol:
        server = self._runner.server
        if server is None or len(server.connections) >= CONNECTIONS_MAX:
            return _Full()
        connection = Connection(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # none is kept
            keepalive_timeout=IDLE_SECONDS_MAX,
            lingering_time=LINGER_SECONDS_MAX,
            auto_decompress=False,
        )
        connection.headers = self._headers
        return connection

    def _transports(self) -> Iterator[asyncio.Transport]:
        server = self._runner.server
        for connection in server.connections if server else ():
            if connection.transport is not None:
                yield connection.transport


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
