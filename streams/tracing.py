"""Spans of sampled signals, made after the commit by the OpenTelemetry SDK and written where settings say."""

import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.semconv._incubating.attributes import messaging_attributes as semantic
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    TraceFlags,
    set_span_in_context,
)
from typing_extensions import override

from processors.telemetry.trace import Span

log = logging.getLogger(__name__)

_MS_NS: Final = 1_000_000
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
EXPORT_TIMEOUT_MS: Final = 5_000


class _GivenIds(IdGenerator):
    """Uses the ids that the core derived, so that a header written before the span names it."""

    def __init__(self) -> None:
        self.span_id = 0
        self._random = RandomIdGenerator()

    @override
    def generate_span_id(self) -> int:
        given, self.span_id = self.span_id, 0
        return given or self._random.generate_span_id()

    @override
    def generate_trace_id(self) -> int:
        return self._random.generate_trace_id()


class FileExporter(SpanExporter):
    """Appends spans to a file, one JSON object a line."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """See `SpanExporter.export`."""
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(json.loads(span.to_json())) + "\n" for span in spans)
        except OSError as error:
            log.warning("spans were lost: %s", error)
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS


class Tracer:
    """Turns the core's spans into OpenTelemetry's. Costs nothing where nothing is sampled."""

    def __init__(self, exporter: SpanExporter, *, group: str) -> None:
        self._ids = _GivenIds()
        self._group = group
        provider = TracerProvider(
            resource=Resource.create({SERVICE_NAME: "hopline"}), id_generator=self._ids, shutdown_on_exit=False
        )
        provider.add_span_processor(BatchSpanProcessor(exporter, export_timeout_millis=EXPORT_TIMEOUT_MS))
        self._provider = provider
        self._tracer = provider.get_tracer("hopline")

    def committed(self, spans: Sequence[Span], *, ended_ms: int) -> None:
        """Make the spans of one commit. Parent and link both name the span before."""
        for span in spans:
            before = SpanContext(int(span.trace_id, 16), int(span.parent_id, 16), is_remote=True, trace_flags=_SAMPLED)
            self._ids.span_id = int(span.span_id, 16)
            made = self._tracer.start_span(
                f"process {span.topic}",
                context=set_span_in_context(NonRecordingSpan(before)),
                kind=SpanKind.CONSUMER,
                links=(Link(before),),
                start_time=span.began_ms * _MS_NS,
                attributes=dict(self._attributes(span)),
            )
            made.end(end_time=max(ended_ms, span.began_ms) * _MS_NS)

    def _attributes(self, span: Span) -> Iterator[tuple[str, str | int]]:
        yield semantic.MESSAGING_SYSTEM, "kafka"
        yield semantic.MESSAGING_OPERATION_TYPE, "process"
        yield semantic.MESSAGING_DESTINATION_NAME, span.topic
        yield semantic.MESSAGING_DESTINATION_PARTITION_ID, str(span.partition)
        yield semantic.MESSAGING_KAFKA_OFFSET, span.offset
        yield semantic.MESSAGING_CONSUMER_GROUP_NAME, self._group
        yield "hopline.tenant", span.tenant
        yield "cloudevents.event_id", span.signal_id

    def close(self) -> None:
        """Write what is left."""
        self._provider.shutdown()
