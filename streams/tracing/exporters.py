"""Where spans can go: a file, and Zipkin's own JSON. OTLP is OpenTelemetry's."""

import json
from collections.abc import Iterator, Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from opentelemetry.sdk.resources import SERVICE_NAME
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import SpanContext, SpanKind
from typing_extensions import override

from processors.vocabulary.timestamps import rfc3339

TIMEOUT_SECONDS: Final = 4.0
"""Of one request; within it nothing else is sent to the same place."""
FILE_BYTES_MAX: Final = 256 * 1_048_576
"""A file that is larger is not written on: spans are lost, and counted, until somebody moves it away."""
TAG_CHARACTERS_MAX: Final = 4_096
_NS_PER_US: Final = 1_000
_NS_PER_MS: Final = 1_000_000
_LINES: Final = msgspec.json.Encoder()
_DONE: Final = range(200, 300)
_KINDS: Final = {
    SpanKind.SERVER: "SERVER",
    SpanKind.CLIENT: "CLIENT",
    SpanKind.PRODUCER: "PRODUCER",
    SpanKind.CONSUMER: "CONSUMER",
}


class FileExporter(SpanExporter):
    """Appends spans to a file, one JSON object a line."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """See `SpanExporter.export`. Raises `OSError`."""
        lines = _LINES.encode_lines(map(line, spans))
        with self._path.open("ab") as file:
            if file.tell() > FILE_BYTES_MAX:
                raise OSError(f"{self._path} has more than {FILE_BYTES_MAX} bytes; move it away")
            file.write(lines)
        return SpanExportResult.SUCCESS


def line(span: ReadableSpan) -> dict[str, Any]:
    """Return a span as OpenTelemetry's `to_json` has it, which takes three times as long."""
    status: dict[str, Any] = {"status_code": span.status.status_code.name}
    if span.status.description:
        status["description"] = span.status.description
    return {
        "name": span.name,
        "context": _context(span.context),
        "kind": str(span.kind),
        "parent_id": f"0x{span.parent.span_id:016x}" if span.parent is not None else None,
        "start_time": _moment(span.start_time or 0),
        "end_time": _moment(span.end_time or 0),
        "status": status,
        "attributes": dict(span.attributes or {}),
        "events": [
            {"name": event.name, "timestamp": _moment(event.timestamp), "attributes": dict(event.attributes or {})}
            for event in span.events
        ],
        "links": [
            {"context": _context(link.context), "attributes": dict(link.attributes or {}) or None}
            for link in span.links
        ],
        "resource": {"attributes": dict(span.resource.attributes), "schema_url": span.resource.schema_url},
    }


def _context(of: SpanContext) -> dict[str, str]:
    return {"trace_id": f"0x{of.trace_id:032x}", "span_id": f"0x{of.span_id:016x}", "trace_state": "[]"}


def _moment(at_ns: int) -> str:
    at_ms, rest_ns = divmod(at_ns, _NS_PER_MS)
    return f"{rfc3339(at_ms)[:-1]}{rest_ns // _NS_PER_US:03d}Z"


class ZipkinExporter(SpanExporter):
    """Posts spans to a Zipkin as its second format has them. It has no links: those are left out."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._class = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._host = parts.hostname or ""
        self._port = parts.port
        self._path = f"{parts.path}?{parts.query}" if parts.query else parts.path

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """See `SpanExporter.export`. Raises `OSError`."""
        body = json.dumps([zipkin(span) for span in spans]).encode()
        # A connection for each batch: there are few, and one that was kept may be closed on the other side.
        connection = self._class(self._host, self._port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request("POST", self._path, body, {"Content-Type": "application/json"})
            status = connection.getresponse().status
        except HTTPException as error:
            raise OSError(f"it does not speak HTTP: {type(error).__name__}") from error
        finally:
            connection.close()
        if status not in _DONE:
            raise OSError(f"it answers {status}")
        return SpanExportResult.SUCCESS


def zipkin(span: ReadableSpan) -> dict[str, Any]:
    """Return a span as Zipkin's API takes it."""
    began_us = (span.start_time or 0) // _NS_PER_US
    ended_us = (span.end_time or 0) // _NS_PER_US
    found: dict[str, Any] = {
        "id": f"{span.context.span_id:016x}",
        "traceId": f"{span.context.trace_id:032x}",
        "name": span.name,
        "timestamp": began_us,
        # Zipkin takes 0 for a span that has not ended.
        "duration": max(1, ended_us - began_us),
        "localEndpoint": {"serviceName": span.resource.attributes.get(SERVICE_NAME, "hopline")},
        "tags": dict(_tags(span)),
        "annotations": [
            {"timestamp": event.timestamp // _NS_PER_US, "value": _said(event.name, dict(event.attributes or {}))}
            for event in span.events
        ],
    }
    if span.parent is not None:
        found["parentId"] = f"{span.parent.span_id:016x}"
    if span.kind in _KINDS:
        found["kind"] = _KINDS[span.kind]
    return found


def _tags(span: ReadableSpan) -> Iterator[tuple[str, str]]:
    for name, value in (span.attributes or {}).items():
        yield name, str(value)[:TAG_CHARACTERS_MAX]
    if not span.status.is_ok:
        yield "error", span.status.description or "failed"
    for event in span.events:
        for name, value in (event.attributes or {}).items():
            yield name, str(value)[:TAG_CHARACTERS_MAX]


def _said(name: str, attributes: dict[str, Any]) -> str:
    what = attributes.get("exception.type")
    return f"{name}: {what}: {attributes.get('exception.message', '')}" if what else name
