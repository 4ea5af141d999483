"""Records for the tests, made with as little as can be said."""

import json
from collections.abc import Sequence
from typing import Any, Final

from processors.vocabulary.envelope import decode
from processors.vocabulary.reasons import Rejected
from processors.vocabulary.record import Header, PlainRecord
from processors.vocabulary.signal import Signal

BASE: Final[dict[str, Any]] = {"specversion": "1.0", "source": "/s", "type": "a.b", "tenantid": "acme", "id": "1"}
LEFT_OUT: Final = object()
FULL: Final[dict[str, Any]] = {
    **BASE,
    "time": "2026-11-21T10:11:12.123Z",
    "correlationid": "c",
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
}
STRUCTURED: Final[Header] = ("content-type", b"application/cloudevents+json")


def event(**changes: Any) -> bytes:
    """Return a small structured event, with attributes changed, added, or `LEFT_OUT`."""
    members = {name: value for name, value in {**BASE, **changes}.items() if value is not LEFT_OUT}
    return json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode()


def record(value: bytes | None, headers: Sequence[Header] = (), key: bytes | None = None) -> PlainRecord:
    """Return a record of `signals.in`."""
    return PlainRecord("signals.in", 3, 17, 1_795_256_000_123, key, value, tuple(headers))


def binary(value: bytes | None = None, *more: Header, **changes: Any) -> PlainRecord:
    """Return a small event in binary mode."""
    members = {name: text for name, text in {**BASE, **changes}.items() if text is not LEFT_OUT}
    return record(value, [*((f"ce_{name}", text.encode()) for name, text in members.items()), *more])


def accepted(value: bytes | PlainRecord) -> Signal:
    """Return the signal that a record or structured event is."""
    signal = decode(value if isinstance(value, PlainRecord) else record(value))
    assert isinstance(signal, Signal), signal
    return signal


def refused(value: bytes | PlainRecord) -> Rejected:
    """Return why a record or structured event is none."""
    rejected = decode(value if isinstance(value, PlainRecord) else record(value))
    assert isinstance(rejected, Rejected), rejected
    return rejected
