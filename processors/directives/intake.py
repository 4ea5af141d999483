"""Read a directive out of the event that asks for it."""

from dataclasses import dataclass, field
from typing import Final

from processors.directives.record import KEY_CHARACTERS_MAX, Directive
from processors.vocabulary.ids import digest
from processors.vocabulary.reasons import Problem
from processors.vocabulary.signal import Scalar, Signal, attributes, data_of
from processors.vocabulary.timestamps import is_time, milliseconds

KEY: Final = "idempotencykey"
NOT_BEFORE: Final = "notbefore"
EXPIRES: Final = "expires"
REQUESTER: Final = "requester"
BY_KAFKA: Final = "kafka"
"""Who asks over Kafka is whoever may write to `commands`; what the event says of its requester is only claimed."""
PAYLOAD_BYTES_MAX: Final = 65_536


@dataclass(slots=True)
class Asked:
    """A directive as it was asked for, and what is wrong with how."""

    tenant: str
    directive: Directive
    problems: list[Problem] = field(default_factory=list)


def asked_of(signal: Signal, now_ms: int) -> Asked:
    """Return the directive that an event asks for. Nothing is judged but the event's own attributes."""
    found = attributes(signal)
    problems: list[Problem] = []
    key = str(found.get(KEY, "") or f"{signal.source}#{signal.id}")
    if len(key) > KEY_CHARACTERS_MAX:
        problems.append(Problem(KEY, f"has {len(key)} characters, {KEY_CHARACTERS_MAX} are the limit"))
        key = digest(key.encode()).hex()
    payload = data_of(signal) or b""
    fingerprint = digest(signal.type.encode(), payload.replace(b"\0", b""))
    if len(payload) > PAYLOAD_BYTES_MAX:
        problems.append(Problem("data", f"has {len(payload)} bytes, {PAYLOAD_BYTES_MAX} are the limit"))
        payload = b""
    claimed = found.get(REQUESTER)
    directive = Directive(
        key=key,
        name=signal.type,
        id=signal.id,
        correlation=str(found.get("correlationid", "") or signal.id),
        requester=f"{BY_KAFKA}:{claimed}"[:KEY_CHARACTERS_MAX] if claimed else BY_KAFKA,
        fingerprint=fingerprint,
        payload=payload,
        requested_ms=now_ms,
        due_ms=_moment(found, NOT_BEFORE, problems),
        expires_ms=_moment(found, EXPIRES, problems),
    )
    if directive.expires_ms and directive.expires_ms <= max(now_ms, directive.due_ms):
        problems.append(Problem(EXPIRES, "lies before the moment at which it could be carried out"))
    return Asked(signal.tenant, directive, problems)


def _moment(found: dict[str, Scalar], name: str, problems: list[Problem]) -> int:
    text = found.get(name)
    if text is None:
        return 0
    if not isinstance(text, str) or not is_time(text):
        problems.append(Problem(name, "must be an RFC 3339 timestamp, such as 2026-11-21T10:00:00Z"))
        return 0
    return milliseconds(text)
