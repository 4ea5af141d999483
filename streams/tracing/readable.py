"""From the core's spans to OpenTelemetry's: names and attributes as its messaging conventions have them."""

from collections.abc import Iterator
from typing import Final

from opentelemetry.sdk.resources import (
    SERVICE_INSTANCE_ID,
    SERVICE_NAME,
    SERVICE_NAMESPACE,
    Resource,
)
from opentelemetry.sdk.trace import Event as ReadableEvent
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.semconv._incubating.attributes import messaging_attributes as semantic
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from processors.telemetry.trace import Kind, Span
from streams.logs import hidden

NS_PER_MS: Final = 1_000_000
TENANT: Final = "hopline.tenant"
WHY: Final = "hopline.why"
EVENT_ID: Final = "cloudevents.event_id"
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_SCOPE: Final = InstrumentationScope("hopline")
_KINDS: Final = {
    Kind.SERVER: SpanKind.SERVER,
    Kind.PRODUCER: SpanKind.PRODUCER,
    Kind.CONSUMER: SpanKind.CONSUMER,
    Kind.CLIENT: SpanKind.CLIENT,
    Kind.INTERNAL: SpanKind.INTERNAL,
}
_TYPES: Final = {"process": "process", "send": "send", "poll": "receive", "commit": "settle"}
"""What an operation is in the conventions' closed list."""


def resource_of(job: str, instance: str) -> Resource:
    """Return what all spans of a process have in common."""
    return Resource({SERVICE_NAMESPACE: "hopline", SERVICE_NAME: f"hopline-{job}", SERVICE_INSTANCE_ID: instance})


def readable(span: Span, resource: Resource, group: str) -> ReadableSpan:
    """Return a span as exporters take it. Its end is given by now."""
    began_ns = round(span.began_ms * NS_PER_MS)
    failed = bool(span.error)
    return ReadableSpan(
        name=span.title,
        context=_context(span.trace_id, span.span_id),
        parent=_context(span.trace_id, span.parent_id) if span.parent_id else None,
        resource=resource,
        attributes=dict(_attributes(span, group)),
        events=[
            ReadableEvent(event.name, {name: hidden(text) for name, text in event.attributes}, _ns(event.at_ms))
            for event in span.events
        ],
        links=[Link(_context(link[3:35], link[36:52])) for link in span.links],
        kind=_KINDS[span.kind],
        status=Status(StatusCode.ERROR, hidden(span.error)) if failed else Status(StatusCode.UNSET),
        start_time=began_ns,
        end_time=max(_ns(span.ended_ms), began_ns),
        instrumentation_scope=_SCOPE,
    )


def _ns(at_ms: float) -> int:
    return round(at_ms * NS_PER_MS)


def _context(trace_id: str, span_id: str) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=_SAMPLED)


def _attributes(span: Span, group: str) -> Iterator[tuple[str, str | int | float]]:
    if span.topic:
        yield semantic.MESSAGING_SYSTEM, "kafka"
        yield semantic.MESSAGING_OPERATION_NAME, span.operation
        yield semantic.MESSAGING_OPERATION_TYPE, _TYPES[span.operation]
        yield semantic.MESSAGING_DESTINATION_NAME, span.topic
        if span.partition >= 0:
            yield semantic.MESSAGING_DESTINATION_PARTITION_ID, str(span.partition)
        if span.offset >= 0:
            yield semantic.MESSAGING_KAFKA_OFFSET, span.offset
        if span.kind is not Kind.PRODUCER:
            yield semantic.MESSAGING_CONSUMER_GROUP_NAME, group
    if span.tenant:
        yield TENANT, span.tenant
    if span.signal_id:
        yield EVENT_ID, span.signal_id
        yield semantic.MESSAGING_MESSAGE_ID, span.signal_id
    yield WHY, span.why.value
    yield from span.more
