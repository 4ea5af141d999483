"""Set a record aside whole: its bytes and headers as they came, its coordinates, and why."""

from typing import Final

import msgspec

from processors.step import Outcome, Step, Verdict, format_header
from processors.telemetry import spans
from processors.vocabulary import headers as names
from processors.vocabulary import topics
from processors.vocabulary.limits import PROBLEMS_MAX
from processors.vocabulary.reasons import EXPLAINED, Problem, Reason, Rejected
from processors.vocabulary.record import Header, Record

UNKNOWN_TENANT: Final = ""
_encode = msgspec.json.Encoder().encode


def problems_json(reason: Reason, problems: tuple[Problem, ...]) -> bytes:
    """Return the problems as JSON; where a reason has none of its own, what it means and what to do."""
    listed = problems[:PROBLEMS_MAX] or (Problem(field="", message=EXPLAINED[reason]),)
    return _encode(listed)


def set_aside(
    step: Step, hop: str, topic: str, record: Record, rejected: Rejected, *, tenant: str = UNKNOWN_TENANT
) -> None:
    """Write the record to `dead-letters`, in the lane that found it."""
    _write(step, hop, (topic, record), tenant, Verdict(rejected.reason), rejected.problems)


def condemn(step: Step, hop: str, topic: str, record: Record, verdict: Verdict) -> None:
    """Write a record to `dead-letters` that must not be stepped, unseen."""
    _write(step, hop, (topic, record), UNKNOWN_TENANT, verdict, ())


def _write(
    step: Step,
    hop: str,
    found: tuple[str, Record],
    tenant: str,
    verdict: Verdict,
    problems: tuple[Problem, ...],
) -> None:
    topic, record = found
    # Ours come last and a reader takes the last of a name, so a sender cannot forge them.
    headers: list[Header] = [
        *record.headers,
        (names.DEAD_REASON, verdict.reason.value.encode()),
        (names.DEAD_HOP, hop.encode()),
        (names.DEAD_TOPIC, topic.encode()),
        (names.DEAD_PARTITION, b"%d" % record.partition),
        (names.DEAD_OFFSET, b"%d" % record.offset),
        (names.DEAD_TIMESTAMP, b"%d" % record.timestamp),
        (names.DEAD_AT, b"%d" % step.now_ms),
        (names.DEAD_TENANT, tenant.encode()),
        (names.DEAD_PROBLEMS, problems_json(verdict.reason, problems)),
        (names.DEAD_STACK, verdict.stack.encode()),
        format_header(step.write_format),
    ]
    step.emit(topics.DEAD_LETTERS, step.lane, (record.key, record.value, headers))
    if step.may_note():
        reason = verdict.reason.value
        step.spans.append(spans.dead(hop, found, step.now_ms, tenant=tenant, reason=reason, stack=verdict.stack))
    step.count(hop, tenant, Outcome.DEAD)
    told = step.dead.get(of := (hop, tenant, verdict.reason, topic))
    if told is None:
        step.dead[of] = [1, record.offset, record.offset]
    else:
        told[0] += 1
        told[2] = record.offset
