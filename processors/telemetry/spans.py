"""How hops note spans. Ids derive from their cause: a batch that is stepped again notes the same ones."""

import re
from typing import Final

from processors.telemetry.trace import (
    ERROR_CHARACTERS_MAX,
    Event,
    Kind,
    Span,
    Why,
    derived,
    ids_of,
    of_event,
    of_headers,
    of_record,
)
from processors.vocabulary.ids import coordinate_id, digest
from processors.vocabulary.record import Record
from processors.vocabulary.signal import Signal

STEPPED: Final = "stepped"
"""When the hop took it up: what lies before is the wait in the log, and in queues."""
EXCEPTION: Final = "exception"
HOP: Final = "hopline.hop"
REASON: Final = "hopline.reason"
REPLAY: Final = "hopline.replay"
DIRECTIVE: Final = "hopline.directive"
KEY: Final = "hopline.key"
STATUS: Final = "hopline.status"
_RAISED: Final = re.compile(r"^([A-Za-z_][\w.]*)(?:: (.*))?$")


def span_id_of(hop: str, traceparent: bytes, topic: str, record: Record) -> str:
    """Return the id of what a hop does with a record. The topic is as Hopline calls it; a cluster may have prefixes."""
    place = b"%d/%d" % (record.partition, record.offset)
    return digest(hop.encode(), traceparent, topic.encode(), place)[:8].hex()


def unsampled(signal: Signal, member: bytes) -> bytes:
    """Return the context of a signal that nobody sampled and that is told of all the same."""
    return of_headers(signal.headers) or of_event(signal) or derived(member)


def processed(
    hop: str,
    traceparent: bytes,
    found: tuple[str, Record],
    signal: Signal,
    now_ms: int,
    *,
    why: Why = Why.SAMPLED,
    replay: str = "",
) -> Span:
    """Return the span of a signal or command that a hop let pass."""
    topic, record = found
    trace_id, parent_id = ids_of(traceparent)
    links = [traceparent.decode()] if parent_id else []
    own = of_event(signal)
    if own is not None and own[3:35] != traceparent[3:35]:
        # It began in another trace than the one that the hop before belongs to.
        links.append(own.decode())
    return Span(
        trace_id=trace_id,
        parent_id=parent_id,
        span_id=span_id_of(hop, traceparent, topic, record),
        topic=topic,
        partition=record.partition,
        offset=record.offset,
        tenant=signal.tenant,
        signal_id=signal.id,
        began_ms=record.timestamp,
        why=why,
        events=(Event(STEPPED, now_ms),),
        links=tuple(links),
        more=((HOP, hop), (REPLAY, replay)) if replay else ((HOP, hop),),
    )


def dead(hop: str, found: tuple[str, Record], now_ms: int, *, tenant: str, reason: str, stack: str) -> Span:
    """Return the span of a record that was set aside. What carries no context begins a trace of its own."""
    topic, record = found
    carried = of_record(record)
    own = coordinate_id(topic, record.partition, record.offset)
    trace_id, parent_id = ids_of(carried) if carried is not None else (own, "")
    events = [Event(STEPPED, now_ms)]
    if stack:
        events.append(raised(stack, now_ms))
    return Span(
        trace_id=trace_id,
        parent_id=parent_id,
        span_id=span_id_of(hop, carried or own.encode(), topic, record),
        topic=topic,
        partition=record.partition,
        offset=record.offset,
        tenant=tenant,
        signal_id="",
        began_ms=record.timestamp,
        why=Why.RAISED if stack else Why.DEAD,
        error=reason,
        events=tuple(events),
        links=(carried.decode(),) if carried is not None and parent_id else (),
        more=((HOP, hop), (REASON, reason)),
    )


def raised(stack: str, at_ms: float) -> Event:
    """Return what a hop raised as an event of its span, by the end of the stack that was kept."""
    kind, message = "Exception", ""
    for line in reversed(stack.splitlines()):
        if found := _RAISED.match(line):
            kind, message = found[1], found[2] or ""
            break
    attributes = (("type", kind), ("message", message[:ERROR_CHARACTERS_MAX]), ("stacktrace", stack))
    return Event(EXCEPTION, at_ms, tuple((f"{EXCEPTION}.{name}", text) for name, text in attributes))


def told(before: Span, topic: str, now_ms: int, signal_id: str) -> Span:
    """Return the span of the signal that a hop writes about what it did, and whose context that signal carries."""
    return Span(
        trace_id=before.trace_id,
        parent_id=before.span_id,
        span_id=digest(before.span_id.encode(), topic.encode(), b"send")[:8].hex(),
        topic=topic,
        partition=before.partition,
        offset=-1,
        tenant=before.tenant,
        signal_id=signal_id,
        began_ms=now_ms,
        kind=Kind.PRODUCER,
        operation="send",
        more=before.more[:1],
    )
