"""Note the spans of directives: of those that are sampled, and of each that was refused or failed."""

from typing import Final

from processors.directives.record import HOP, Directive, Status
from processors.step import Step
from processors.telemetry import spans, trace
from processors.telemetry.trace import ERROR_CHARACTERS_MAX, Event, Span, Why
from processors.vocabulary import topics
from processors.vocabulary.ids import derived_id, digest
from processors.vocabulary.record import Header

_WHY: Final = {Status.REJECTED: Why.REJECTED, Status.FAILED: Why.FAILED}


def traced(step: Step, tenant: str, directive: Directive) -> list[Header]:
    """Note the span of where a directive has come to; return the context for the signal that tells of it."""
    sampled = trace.flagged(directive.trace.encode())
    if sampled and len(step.spans) >= trace.SPANS_MAX:
        step.spans_dropped += 1
        return []
    if not sampled and (directive.status not in _WHY or not step.may_note()):
        return []
    span = span_of(step, tenant, directive)
    step.spans.append(span)
    if not sampled:
        return []
    told = spans.told(span, topics.SIGNALS, step.now_ms, derived_id(directive.id, directive.status))
    step.spans.append(told)
    return [(trace.TRACEPARENT, trace.context(told.trace_id, told.span_id))]


def span_of(step: Step, tenant: str, directive: Directive) -> Span:
    """Return the span of where a directive has come to."""
    before = directive.trace.encode() or trace.derived(digest(tenant.encode(), directive.id.encode()))
    trace_id, parent_id = trace.ids_of(before)
    why = _WHY.get(directive.status, Why.SAMPLED)
    cause = (HOP, tenant, directive.id, directive.status.value)
    return Span(
        trace_id=trace_id,
        parent_id=parent_id,
        span_id=digest(before, *(part.encode() for part in cause), b"%d" % step.sequence)[:8].hex(),
        topic=topics.DIRECTIVES,
        partition=step.lane,
        offset=-1,
        tenant=tenant,
        signal_id=directive.id,
        # What waited for its time begins when that has come.
        began_ms=min(max(directive.requested_ms, directive.due_ms), step.now_ms),
        why=why,
        error=directive.error[:ERROR_CHARACTERS_MAX] if why is not Why.SAMPLED else "",
        events=(Event(spans.STEPPED, step.now_ms),),
        links=(before.decode(),) if parent_id else (),
        more=(
            (spans.HOP, HOP),
            (spans.DIRECTIVE, directive.name),
            (spans.KEY, directive.key),
            (spans.STATUS, directive.status.value),
        ),
    )
