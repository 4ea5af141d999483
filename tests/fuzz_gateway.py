"""Requests by the hundred thousand, sound and broken, against a real gateway: no hang, no 5xx but 503, memory flat.

    python -m tests.fuzz_gateway --requests 1000000 [--seed 1] [--connections 32]

Not part of the test run. Prints one JSON object; exit code 1 if the gateway hung, failed, or grew.
"""

# ruff: noqa: T201 - a program with an output

import argparse
import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import psutil
import uvloop

from bench.harness import Options, ground, silence
from bench.hopline import Hopline
from processors.validation.schemas import catalogue
from streams.gateway import openapi

HANG_SECONDS: Final = 20.0
PATIENCE_SECONDS: Final = 0.25
"""For what may not be a whole request."""
GROWTH_BYTES_MAX: Final = 64 * 1_048_576
WARM_SHARE: Final = 0.2
LANES: Final = 4
SHOWN_MAX: Final = 10
PROGRESS: Final = 50_000
PATHS: Final = [*openapi.document()["paths"], "/", "/v1", "/v1/schemas/cloudevent", "/v1/signals/", "/%00", "/..%2f"]
METHODS: Final = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT", "get", "\x00"]
TYPES: Final = [
    "application/cloudevents+json",
    "application/cloudevents-batch+json",
    "application/json",
    "text/plain",
    "application/cloudevents+avro",
    "",
    "application/cloudevents+json; charset=latin-1",
]
TEXTS: Final = ["", "a.b", "/s", "1.0", "t", "\x00", "é", "\ud800", "x" * 300, "_system", "2026-01-01T00:00:00Z", "low"]
NAMES: Final = [*catalogue()["cloudevent"].schema["properties"], "own", "Bad-Name", "x" * 30]


@dataclass(slots=True)
class Seen:
    """What came back."""

    requests: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    closed: int = 0
    unfinished: int = 0
    hangs: int = 0
    bad: list[str] = field(default_factory=list)
    memory_bytes: list[int] = field(default_factory=list)


def value(rng: random.Random, depth: int = 0) -> Any:
    """Return some JSON."""
    kind = rng.randrange(9 if depth < 4 else 6)
    if kind < 3:
        return rng.choice(TEXTS)
    if kind < 6:
        return rng.choice([0, -1, 2**40, 1.5, True, None, 1e300])
    if kind < 8:
        return {rng.choice(NAMES): value(rng, depth + 1) for _ in range(rng.randrange(4))}
    return [value(rng, depth + 1) for _ in range(rng.randrange(4))]


def event(rng: random.Random) -> dict[str, Any]:
    """Return an event, right or nearly so."""
    made: dict[str, Any] = {
        "specversion": "1.0",
        "id": str(rng.getrandbits(40)),
        "source": "/fuzz",
        "type": "a.b",
        "tenantid": f"t{rng.randrange(50)}",
        "data": value(rng),
    }
    for _ in range(rng.choice([0, 0, 0, 1, 2])):
        made[rng.choice(NAMES)] = value(rng)
    for _ in range(rng.choice([0, 0, 0, 1])):
        made.pop(rng.choice(list(made)))
    return made


def encoded(content: Any) -> bytes:
    """Return JSON, lone surrogates escaped."""
    return json.dumps(content).encode()


def request(method: str, path: str, headers: list[str], body: bytes, length: int | None = None) -> bytes:
    """Return the bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogatepass") + body


def structured(rng: random.Random) -> bytes:
    """Return one event in its own content type, or another one."""
    kind = TYPES[0] if rng.random() < 0.9 else rng.choice(TYPES)
    return request("POST", "/v1/signals", [f"Content-Type: {kind}"], encoded(event(rng)))


def batch(rng: random.Random) -> bytes:
    """Return a batch."""
    content = [event(rng) if rng.random() < 0.9 else value(rng) for _ in range(rng.choice([0, 1, 3, 20]))]
    return request("POST", "/v1/signals", [f"Content-Type: {TYPES[1]}"], encoded(content))


def binary(rng: random.Random) -> bytes:
    """Return an event in headers."""
    found = {name: text for name, text in event(rng).items() if isinstance(text, str)}
    headers = [f"ce-{name}: {text}".replace("\x00", "%00") for name, text in found.items()]
    return request("POST", "/v1/signals", [*headers, "Content-Type: application/json"], b"{}")


def wandering(rng: random.Random) -> bytes:
    """Return any method on any path."""
    path = rng.choice(PATHS).replace("{name}", rng.choice(["cloudevent", "none", "%ff", "a/b"]))
    return request(rng.choice(METHODS), path, [], b"")


def mutated(rng: random.Random) -> bytes:
    """Return a request with some bytes changed, lost or doubled."""
    content = bytearray(rng.choice([structured, batch, binary])(rng))
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(content))
        match rng.randrange(4):
            case 0:
                content[at] = rng.randrange(256)
            case 1:
                del content[at : at + rng.randrange(1, 9)]
            case 2:
                content[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 9)))
            case _:
                content[at:at] = content[at : at + rng.randrange(1, 64)]
        if not content:
            return b"\r\n\r\n"
    return bytes(content)


def rubbish(rng: random.Random) -> bytes:
    """Return bytes that are no HTTP."""
    return bytes(rng.randrange(256) for _ in range(rng.randrange(1, 400))) + b"\r\n\r\n"


def chunked(rng: random.Random) -> bytes:
    """Return a body in chunks, well framed or not."""
    body = encoded(event(rng))
    cut = rng.randrange(len(body))
    size = cut if rng.random() < 0.8 else rng.randrange(2**40)
    headers = [f"Content-Type: {TYPES[0]}", "Transfer-Encoding: chunked"]
    head = "\r\n".join(["POST /v1/signals HTTP/1.1", "Host: localhost", *headers]) + "\r\n\r\n"
    tail = f"\r\n{len(body) - cut:x}\r\n".encode() + body[cut:] + b"\r\n0\r\n\r\n"
    return head.encode() + f"{size:x}\r\n".encode() + body[:cut] + tail


def oversized(rng: random.Random) -> bytes:
    """Return a request that is too large somewhere."""
    match rng.randrange(3):
        case 0:
            return request("POST", "/v1/signals", [f"Content-Type: {TYPES[0]}"], b" " * 2_000, 2**31)
        case 1:
            return request("GET", "/healthz", [f"X: {'y' * 20_000}"], b"")
        case _:
            return request("GET", "/healthz", [f"X-{number}: y" for number in range(300)], b"")


KINDS: Final[list[tuple[Callable[[random.Random], bytes], int, bool]]] = [
    # What it is, how often, and whether a whole request is sure to be there, so that an answer must come.
    (structured, 30, True),
    (batch, 15, True),
    (binary, 10, False),
    (wandering, 15, False),
    (mutated, 20, False),
    (rubbish, 4, False),
    (chunked, 5, False),
    (oversized, 1, False),
]


async def one_connection(port: int, work: "Work") -> None:
    """Send until there is nothing left to send."""
    reader: asyncio.StreamReader | None = None
    writer: asyncio.StreamWriter | None = None
    while (made := work.next()) is not None:
        content, whole = made
        if writer is None or reader is None or writer.is_closing():
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with suppress(ConnectionError):
            writer.write(content)
        status = await answered(reader, content, work.seen, whole=whole)
        if status is None or not whole:
            writer.close()
            writer = None
    if writer is not None:
        writer.close()


async def answered(reader: asyncio.StreamReader, content: bytes, seen: Seen, *, whole: bool) -> str | None:
    """Read one answer; return its status, None if the connection was closed instead."""
    try:
        async with asyncio.timeout(HANG_SECONDS if whole else PATIENCE_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
            status = head.split(b" ", 2)[1].decode()
            length = next(
                (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
            )
            if not content.startswith(b"HEAD"):
                await reader.readexactly(length)
    except TimeoutError:
        if not whole:
            # The gateway waits for more of it, and rightly so: it has limits of its own for that.
            seen.unfinished += 1
            return None
        seen.hangs += 1
        seen.bad.append(f"no answer to {content[:300]!r}")
        return None
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        seen.closed += 1
        return None
    seen.statuses[status] += 1
    if status >= "500" and status != "503":
        seen.bad.append(f"{status} to {content[:300]!r}")
    return status


class Work:
    """Makes requests from a seed."""

    def __init__(self, count: int, seed: int, process: psutil.Process) -> None:
        self.seen = Seen()
        self._count = count
        self._rng = random.Random(seed)
        self._process = process
        self._kinds = [(make, whole) for make, _, whole in KINDS]
        self._weights = [weight for _, weight, _ in KINDS]
        self._sample_every = max(1, count // 20)

    def next(self) -> tuple[bytes, bool] | None:
        """Return the next request, and whether it is whole."""
        seen = self.seen
        if seen.requests >= self._count:
            return None
        seen.requests += 1
        if not seen.requests % self._sample_every:
            seen.memory_bytes.append(self._process.memory_info().rss)
        if not seen.requests % PROGRESS:
            print(f"{seen.requests:,} requests, {dict(seen.statuses)}", file=sys.stderr, flush=True)
        ((make, whole),) = self._rng.choices(self._kinds, self._weights)
        return make(self._rng), whole


async def run(count: int, seed: int, connections: int) -> dict[str, Any]:
    """Run it all, and return what is to be printed."""
    async with ground(Options(quick=True)) as where:
        hopline = Hopline(where, "fuzz", LANES)
        await hopline.make()
        child = hopline.gateway()
        await hopline.gateway_ready(child)
        work = Work(count, seed, psutil.Process(child.pid))
        began = time.perf_counter()
        await asyncio.gather(*(one_connection(hopline.gateway_port, work) for _ in range(connections)))
        seconds = time.perf_counter() - began
        alive = child.alive()
    return _result(work.seen, seed, seconds, alive=alive)


def _result(seen: Seen, seed: int, seconds: float, *, alive: bool) -> dict[str, Any]:
    warm = seen.memory_bytes[int(len(seen.memory_bytes) * WARM_SHARE) :]
    growth = warm[-1] - warm[0] if warm else 0
    failures = {status: count for status, count in seen.statuses.items() if status >= "500"}
    good = alive and not seen.hangs and not seen.bad and growth <= GROWTH_BYTES_MAX
    return {
        "requests": seen.requests,
        "seed": seed,
        "seconds": round(seconds, 1),
        "statuses": dict(sorted(seen.statuses.items())),
        "closed_without_answer": seen.closed,
        "unfinished": seen.unfinished,
        "hangs": seen.hangs,
        "5xx": failures,
        "5xx_but_503": sum(count for status, count in failures.items() if status != "503"),
        "memory_growth_bytes": growth,
        "memory_bytes": warm[-1] if warm else 0,
        "alive": alive,
        "shown": seen.bad[:SHOWN_MAX],
        "good": good,
    }


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--connections", type=int, default=32)
    asked = parser.parse_args()
    silence()
    found = uvloop.run(run(asked.requests, asked.seed, asked.connections))
    print(json.dumps(found))
    return 0 if found["good"] else 1


if __name__ == "__main__":
    sys.exit(main())
