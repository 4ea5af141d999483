"""Read a directive out of the event that asks for it."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from processors.directives import requester
from processors.directives.names import EXPIRES, KEY, NOT_BEFORE, REQUESTER, SIGNATURE
from processors.directives.record import KEY_CHARACTERS_MAX, Directive
from processors.telemetry import trace
from processors.vocabulary.ids import digest
from processors.vocabulary.reasons import Problem
from processors.vocabulary.signal import Scalar, Signal, attributes, data_of
from processors.vocabulary.timestamps import is_time, milliseconds

__all__ = ["BY_KAFKA", "EXPIRES", "KEY", "NOT_BEFORE", "PAYLOAD_BYTES_MAX", "REQUESTER", "Asked", "asked_of"]

BY_KAFKA: Final = "kafka"
"""Who asks over Kafka is whoever may write to `commands`; what the event says of its requester is only claimed."""
PAYLOAD_BYTES_MAX: Final = 65_536
_FORGED: Final = "its signature does not hold: it was changed, or signed with another secret_key than this worker's"
_NO_KEY: Final = "it is signed, and this worker has no secret_key to check that; give it the gateway's"


@dataclass(slots=True)
class Asked:
    """A directive as it was asked for, and what is wrong with how."""

    tenant: str
    directive: Directive
    problems: list[Problem] = field(default_factory=list)
    distrust: str = ""
    """Why its signature is not believed."""
    stale: bool = False
    """Its signature holds, but is too old."""


def asked_of(signal: Signal, now_ms: int, key: bytes = b"", granted: Collection[str] = ()) -> Asked:
    """Return the directive that an event asks for. Nothing is judged but the event's own attributes.

    `key` checks what gateways have signed; `granted` is what those may ask for who have signed nothing.
    """
    found = attributes(signal)
    problems: list[Problem] = []
    name = str(found.get(KEY, "") or f"{signal.source}#{signal.id}")
    if len(name) > KEY_CHARACTERS_MAX:
        problems.append(Problem(KEY, f"has {len(name)} characters, {KEY_CHARACTERS_MAX} are the limit"))
        name = digest(name.encode()).hex()
    payload = data_of(signal) or b""
    fingerprint = digest(signal.type.encode(), payload.replace(b"\0", b""))
    if len(payload) > PAYLOAD_BYTES_MAX:
        problems.append(Problem("data", f"has {len(payload)} bytes, {PAYLOAD_BYTES_MAX} are the limit"))
        payload = b""
    claimed = found.get(REQUESTER)
    signed = None
    if SIGNATURE in found:
        event = requester.Event(signal.tenant, signal.source, signal.id, signal.type, data_of(signal) or b"")
        signed = requester.verified(key, event, found, now_ms)
    who = f"{BY_KAFKA}:{claimed}" if claimed else BY_KAFKA
    directive = Directive(
        key=name,
        name=signal.type,
        id=signal.id,
        correlation=str(found.get("correlationid", "") or signal.id),
        requester=(who if signed is None else signed.requester)[:KEY_CHARACTERS_MAX],
        fingerprint=fingerprint,
        payload=payload,
        requested_ms=now_ms,
        due_ms=_moment(found, NOT_BEFORE, problems),
        expires_ms=_moment(found, EXPIRES, problems),
        granted=tuple(sorted(granted)) if signed is None else signed.granted,
        trace=(trace.of_headers(signal.headers) or trace.of_event(signal) or b"").decode(),
    )
    if directive.expires_ms and directive.expires_ms <= max(now_ms, directive.due_ms):
        problems.append(Problem(EXPIRES, "lies before the moment at which it could be carried out"))
    distrust = ""
    if signed is None and SIGNATURE in found:
        distrust = _FORGED if key else _NO_KEY
    return Asked(signal.tenant, directive, problems, distrust, stale=signed is not None and signed.stale)


def _moment(found: dict[str, Scalar], name: str, problems: list[Problem]) -> int:
    text = found.get(name)
    if text is None:
        return 0
    if not isinstance(text, str) or not is_time(text):
        problems.append(Problem(name, "must be an RFC 3339 timestamp, such as 2026-11-21T10:00:00Z"))
        return 0
    return milliseconds(text)
