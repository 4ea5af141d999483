"""Slow clients are cut off, each kind by its own limit; the others go on meanwhile. Over real sockets."""

import asyncio
import socket
import time
from typing import Any

import pytest

from processors.telemetry import catalogue
from streams.gateway import limits, service, slow
from streams.metrics import Metrics
from tests.streams.gateway.serving import SECONDS_MAX, answer, connected, port_of, serving

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = (
    b"POST /v1/signals HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/cloudevents+json\r\n"
    b"Content-Length: 100\r\n\r\n{"
)


async def closed(reader: asyncio.StreamReader) -> bytes:
    """Read until the other side closes; return what it said before."""
    async with asyncio.timeout(SECONDS_MAX):
        try:
            return await reader.read()
        except ConnectionError:
            return b""


async def drip(writer: asyncio.StreamWriter, drop: bytes, every_seconds: float) -> None:
    """Send a little again and again, until nobody takes it."""
    while not writer.is_closing():
        writer.write(drop)
        await asyncio.sleep(every_seconds)


async def test_a_head_that_comes_byte_by_byte_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "IDLE_SECONDS_MAX", 0.5)
    async with serving() as (gateway, _), connected(gateway) as (reader, writer), connected(gateway) as other:
        writer.write(b"GET /healthz HTTP/1.1\r\n")
        dripping = asyncio.create_task(drip(writer, b"X: y\r\n", 0.05))
        other[1].write(HEALTH)
        assert (await answer(other[0]))[0] == 200
        assert await closed(reader) == b""
        dripping.cancel()


async def test_a_body_that_comes_byte_by_byte_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY_SECONDS_MAX", 0.5)
    monkeypatch.setattr(service, "LINGER_SECONDS_MAX", 0.1)
    async with serving() as (gateway, _), connected(gateway) as (reader, writer):
        writer.write(POST)
        dripping = asyncio.create_task(drip(writer, b" ", 0.05))
        assert (await answer(reader))[0] == 408
        assert await closed(reader) == b""
        dripping.cancel()
        assert gateway.gateway.load.bytes == 0


async def test_who_does_not_read_the_answers_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow, "UNREAD_SECONDS_MAX", 0.5)
    async with serving() as (gateway, _):
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        deaf.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(SECONDS_MAX):
                await loop.sock_connect(deaf, ("127.0.0.1", port_of(gateway)))
                asked = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
                with pytest.raises(ConnectionError):
                    await loop.sock_sendall(deaf, asked * 100_000)
                server = gateway._runner.server
                while server is not None and server.connections:  # noqa: ASYNC110 - nobody tells of it
                    await asyncio.sleep(0)
            async with connected(gateway) as (reader, writer):
                writer.write(HEALTH)
                assert (await answer(reader))[0] == 200
        finally:
            deaf.close()


class Pipe:
    """A transport whose buffer is told."""

    def __init__(self, waiting: int) -> None:
        self.waiting = waiting
        self.aborted = False

    def is_closing(self) -> bool:
        return self.aborted

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def abort(self) -> None:
        self.aborted = True


def test_only_who_has_not_emptied_the_buffer_once_is_cut_off() -> None:
    pipes: list[Any] = [Pipe(9), Pipe(9), Pipe(0)]
    stuck, reading, idle = pipes
    cut = Metrics().counter(catalogue.GATEWAY_CUT).of()
    watch = slow.Watch(lambda: pipes, cut, 10)
    watch.look(0)
    reading.waiting = 0
    watch.look(5)
    reading.waiting = 9
    watch.look(10)
    assert (stuck.aborted, reading.aborted, idle.aborted) == (True, False, False)
    watch.look(19.9)
    assert not reading.aborted
    watch.look(20)
    assert reading.aborted
    assert not watch._waiting


async def test_many_slow_ones_do_not_keep_others_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "IDLE_SECONDS_MAX", 0.5)
    monkeypatch.setattr(service, "CONNECTIONS_MAX", 20)
    async with serving() as (gateway, _):
        crowd = [await asyncio.open_connection("127.0.0.1", port_of(gateway)) for _ in range(30)]
        for _, writer in crowd:
            writer.write(b"GET /")
        until = time.monotonic() + SECONDS_MAX
        status = 0
        while status != 200 and time.monotonic() < until:
            try:
                async with connected(gateway) as (reader, writer):
                    writer.write(HEALTH)
                    status = (await answer(reader))[0]
            except (OSError, asyncio.IncompleteReadError):
                await asyncio.sleep(0)
        assert status == 200
        for _, writer in crowd:
            writer.close()
