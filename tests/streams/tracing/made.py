"""Spans made by hand, an exporter that does as it is told, and servers that take what is posted."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from typing_extensions import override

from processors.telemetry.trace import Event, Kind, Span, Why

AT_MS = 1_800_000_000_000


def span(number: int = 1, **given: Any) -> Span:
    plain: dict[str, Any] = {
        "trace_id": "a" * 32,
        "parent_id": "b" * 16,
        "span_id": f"{number:016x}",
        "topic": "signals.in",
        "partition": 3,
        "offset": 14,
        "tenant": "acme",
        "signal_id": "s1",
        "began_ms": AT_MS,
        "events": (Event("stepped", AT_MS + 2),),
        "links": (f"00-{'a' * 32}-{'b' * 16}-01",),
        "more": (("hopline.hop", "ingest"),),
        "ended_ms": AT_MS + 5,
    }
    return Span(**{**plain, **given})


def failed() -> Span:
    stack = (("exception.type", "WrongError"), ("exception.message", "no"), ("exception.stacktrace", "Traceback"))
    events = (Event("exception", AT_MS + 3, stack),)
    return span(2, why=Why.RAISED, error="bug", events=events, links=(), kind=Kind.INTERNAL, parent_id="")


@dataclass
class Exporter(SpanExporter):
    """Takes spans, or fails, or waits, as it is told."""

    taken: list[ReadableSpan] = field(default_factory=list)
    fails: bool = False
    raises: bool = False
    lets: threading.Event = field(default_factory=threading.Event)
    ended: bool = False

    def __post_init__(self) -> None:
        self.lets.set()

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.lets.wait(30)
        if self.raises:
            raise OSError("it is away")
        if self.fails:
            return SpanExportResult.FAILURE
        self.taken += spans
        return SpanExportResult.SUCCESS

    @override
    def shutdown(self) -> None:
        self.ended = True


@dataclass
class Posted:
    """What came to a server."""

    url: str
    bodies: list[bytes] = field(default_factory=list)
    status: int = 202


@contextmanager
def server(path: str) -> Iterator[Posted]:
    """Run a server that keeps what is posted to it."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # as http.server wants it
            posted.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(posted.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        @override
        def log_message(self, *_: Any) -> None:
            return

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    posted = Posted(f"http://127.0.0.1:{listening.server_address[1]}{path}")
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    try:
        yield posted
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join(10)


async def until(condition: Callable[[], object], look_seconds: float = 0.02) -> None:
    """Wait for a condition, within a limit."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  # another thread changes it
            await asyncio.sleep(look_seconds)
