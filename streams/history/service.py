"""Run the projector: as a process of its own, with metrics and health on a port of loopback."""

import asyncio
import errno
import logging
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version

from aiohttp import web

from processors.telemetry import catalogue
from streams.gateway.errors import PortTakenError
from streams.history.projector import DAY_MS, Projector, Source
from streams.history.store import home_of
from streams.metrics import PROCESS
from streams.settings import Settings
from streams.telling import Telling
from streams.thresholds import follow as follow_thresholds

_UNAVAILABLE = 503


def source_of(settings: Settings, bootstrap: str) -> Source:
    """Return what the settings say that history is made of."""
    keep_ms = int(settings.history_days * DAY_MS)
    return Source(settings.cluster(bootstrap), settings.topics, settings.lanes, keep_ms)


async def run(settings: Settings, bootstrap: str, *, tell: Callable[[str], None], patient: bool = True) -> None:
    """Project until SIGTERM or SIGINT.

    Raises `PortTakenError`, `HistoryError` if the setting is wrong, `TakenError` if not patient.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    PROCESS.gauge(catalogue.BUILD).of(version("hopline")).set(1)
    projector = Projector(source_of(settings, bootstrap), home_of(settings), PROCESS, tell)
    telling = Telling(settings, bootstrap, PROCESS, job="history", port=settings.history_port or os.getpid())
    projector.tells = telling
    thresholds, _ = follow_thresholds(settings, bootstrap, PROCESS)
    runner = web.AppRunner(_application(projector), access_log=None, handle_signals=False)
    await runner.setup()
    try:
        await _listen(runner, settings.host, settings.history_port)
        telling.start()
        thresholds.start()
        work = asyncio.ensure_future(projector.run(patient=patient))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, work.cancel)
        with suppress(asyncio.CancelledError):
            await work
    finally:
        await thresholds.close()
        await telling.close()
        await runner.cleanup()


def _application(projector: Projector) -> web.Application:
    async def metrics(request: web.Request) -> web.Response:
        content, content_type = PROCESS.shown(request.headers.get("Accept", ""))
        return web.Response(body=content, headers={"content-type": content_type})

    async def healthy(_: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def ready(_: web.Request) -> web.Response:
        if projector.ready:
            return web.Response(text="ready\n")
        return web.Response(text="not ready: it waits for Kafka or its database\n", status=_UNAVAILABLE)

    application = web.Application()
    application.add_routes([web.get("/metrics", metrics), web.get("/healthz", healthy), web.get("/readyz", ready)])
    return application


async def _listen(runner: web.AppRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
            raise
        raise PortTakenError(
            f"Port {port} of {host} cannot be used: it is taken or not allowed. "
            "Set HOPLINE_HISTORY_PORT to another one, or to 0 for any."
        ) from error
