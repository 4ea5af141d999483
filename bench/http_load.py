"""`python -m bench.http_load`: events over raw keep-alive connections, one request under way on each.

With `--null PORT` it is instead a server that answers 202 to whatever comes: what the generator can do at the most.
"""

import argparse
import asyncio
import json
import re
import sys
import time
from collections.abc import Iterator
from typing import Final

import psutil
import uvloop
from typing_extensions import override

_LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_ACCEPTED: Final = b"202"
_PADDING: Final = "Half past nine and nothing moves but the belt. "
EVENT_BYTES: Final = 1_000
TENANTS: Final = 100
SECONDS_MAX: Final = 300.0
HEAD_SHOWN: Final = 9


def event(run: str, number: int) -> bytes:
    """Return one structured event of about a thousand bytes."""
    tenant = f"tenant-{number % TENANTS:03d}"
    head = (
        f'{{"specversion":"1.0","id":"{run}-{number:09d}","source":"/bench/line/{number % 16}",'
        '"type":"line.piece.made",'
        f'"tenantid":"{tenant}","time":"2026-01-01T00:00:00Z","datacontenttype":"application/json","data":{{"text":"'
    )
    return (head + (_PADDING * 30)[: EVENT_BYTES - len(head) - 3] + '"}}').encode()


def requests(run: str, count: int, batch: int) -> Iterator[bytes]:
    """Yield requests, ready to be sent."""
    content = "cloudevents-batch" if batch > 1 else "cloudevents"
    for number in range(count):
        if batch > 1:
            body = b"[%b]" % b",".join(event(run, number * batch + at) for at in range(batch))
        else:
            body = event(run, number)
        yield (
            f"POST /v1/signals HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/{content}+json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body


class Connection(asyncio.Protocol):
    """Sends the next request when the answer to the last one is whole."""

    def __init__(self, work: Iterator[bytes], statuses: dict[str, int]) -> None:
        self._work = work
        self._statuses = statuses
        self._pending = b""
        self._transport: asyncio.Transport | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def start(self) -> None:
        """Send the first."""
        self._next()

    def _next(self) -> None:
        content = next(self._work, None)
        if self._transport is None or content is None:
            self._finish()
        else:
            self._transport.write(content)

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport) or hasattr(transport, "write"):
            self._transport = transport  # type: ignore[assignment]  # uvloop's

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._finish()

    @override
    def data_received(self, data: bytes) -> None:
        data = self._pending + data if self._pending else data
        end = data.find(b"\r\n\r\n")
        length = _LENGTH.search(data, 0, end) if end >= 0 else None
        if length is None or len(data) < end + 4 + int(length[1]):
            self._pending = data
            return
        self._pending = b""
        status = data[HEAD_SHOWN : HEAD_SHOWN + 3].decode()
        self._statuses[status] = self._statuses.get(status, 0) + 1
        self._next()


async def load(port: int, run: str, count: int, batch: int, connections: int) -> dict[str, object]:
    """Send all of it and return how long that took."""
    loop = asyncio.get_running_loop()
    statuses: dict[str, int] = {}
    # Made before: the generator's share of the machine is to be small while it is timed.
    work = iter(list(requests(run, count, batch)))
    opened = [
        (await loop.create_connection(lambda: Connection(work, statuses), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    busy = psutil.Process().cpu_times()
    began = time.perf_counter()
    for connection in opened:
        connection.start()
    await asyncio.wait_for(asyncio.gather(*(connection.done for connection in opened)), SECONDS_MAX)
    seconds = time.perf_counter() - began
    after = psutil.Process().cpu_times()
    used = after.user + after.system - busy.user - busy.system
    return {"seconds": seconds, "statuses": statuses, "generator_busy": used / seconds}


class Null(asyncio.Protocol):
    """Answers 202 as soon as a request is whole."""

    def __init__(self) -> None:
        self._missing = 0
        self._transport: asyncio.Transport | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's

    @override
    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
        else:
            end = data.find(b"\r\n\r\n")
            length = _LENGTH.search(data, 0, end)
            self._missing = end + 4 + int(length[1] if length else 0) - len(data)
        if not self._missing and self._transport is not None:
            self._transport.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}")


async def null(port: int) -> None:
    """Serve until ended."""
    server = await asyncio.get_running_loop().create_server(Null, "127.0.0.1", port)
    print("listening", file=sys.stderr, flush=True)
    await server.serve_forever()  # forever: until the process is ended


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--null", type=int, default=0)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--run", default="r0")
    parser.add_argument("--requests", type=int, default=0)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--connections", type=int, default=32)
    asked = parser.parse_args()
    if asked.null:
        uvloop.run(null(asked.null))
        return
    print(json.dumps(uvloop.run(load(asked.port, asked.run, asked.requests, asked.batch, asked.connections))))


if __name__ == "__main__":
    main()
