"""A gateway that really listens, its Kafka played; and raw connections to it."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, cast

from streams.gateway.outlet import Outlet
from streams.gateway.service import Serving
from streams.metrics import Metrics
from streams.settings import Settings
from tests.streams.gateway.played import PlayedOutlet

SECONDS_MAX: Final = 20.0
NOBODY: Final = "127.0.0.1:1"


@asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[tuple[Serving, PlayedOutlet]]:
    """Give a gateway on a port of its own."""
    made = Settings(kafka=NOBODY, gateway_port=0, lanes=4, **settings)
    async with Serving(made, NOBODY, Metrics()) as gateway:
        outlet = PlayedOutlet()
        gateway.gateway._outlet = cast("Outlet", outlet)
        yield gateway, outlet


def port_of(gateway: Serving) -> int:
    """Return where it listens."""
    return int(gateway.url.rpartition(":")[2])


@asynccontextmanager
async def connected(
    gateway: Serving, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Give a raw connection."""
    async with asyncio.timeout(SECONDS_MAX):
        name = "localhost" if tls else None
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(gateway), ssl=tls, server_hostname=name)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            async with asyncio.timeout(SECONDS_MAX):
                await writer.wait_closed()


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """Read one answer."""
    async with asyncio.timeout(SECONDS_MAX):
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return int(first.split()[1]), headers, body
