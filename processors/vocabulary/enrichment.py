"""Add to a signal what its sender left out, and touch nothing else: data and extensions stay byte for byte."""

from collections.abc import Mapping
from typing import Final

import msgspec

from processors.vocabulary.arrival import ADDABLE
from processors.vocabulary.record import Header, Headers
from processors.vocabulary.signal import CONTENT_TYPE, PREFIX, Absent, Mode, Signal, members_of

STRUCTURED_TYPE: Final = b"application/cloudevents+json"
_STRUCTURED_HEADER: Final[Header] = (CONTENT_TYPE, STRUCTURED_TYPE)
_BINARY: Final = Mode.BINARY
_CLOSING: Final = b"}"[0]
_encode: Final = msgspec.json.Encoder().encode


def enrich(signal: Signal, additions: Mapping[str, str]) -> tuple[bytes | None, list[Header]]:
    """Return value and headers of the signal with the additions that are absent, `tenantid` of itself among them.

    `additions` may name the attributes of `ADDABLE` only; what the signal has already is left as it is.
    """
    absent = signal.absent
    if not absent:
        return signal.value, list(signal.headers)
    wanted: dict[str, str] = {}
    for name, text in additions.items():
        if absent & ADDABLE[name]:
            wanted[name] = text  # noqa: PERF403 - a comprehension is slower by its call
    if absent & Absent.TENANTID:
        wanted["tenantid"] = signal.tenant
    if signal.mode is _BINARY:
        return signal.value, _with_headers(signal.headers, wanted, absent)
    if absent & Absent.CONTENT_TYPE:
        headers = [header for header in signal.headers if header[0] != CONTENT_TYPE]
        headers.append(_STRUCTURED_HEADER)
    else:
        headers = list(signal.headers)
    value = signal.value
    if not wanted or value is None:
        return value, headers
    if absent & Absent.UNUSABLE:
        return _rewritten(value, wanted), headers
    if value[-1] == _CLOSING:
        return value[:-1] + b"," + _encode(wanted)[1:], headers
    # Blanks after the object are kept behind it. It has attributes, so a comma is right.
    end = value.rindex(b"}")
    return b"%b,%b%b" % (value[:end], _encode(wanted)[1:], value[end + 1 :]), headers


def _rewritten(value: bytes, wanted: dict[str, str]) -> bytes:
    """Return the object with members replaced; each other one keeps its own bytes."""
    members: dict[str, object] = {name: raw for name, raw in members_of(value).items() if not _replaced(name, wanted)}
    return _encode(members | wanted)


def _with_headers(headers: Headers, wanted: dict[str, str], absent: int) -> list[Header]:
    if absent & Absent.UNUSABLE:
        headers = [
            header
            for header in headers
            if not header[0].startswith(PREFIX) or not _replaced(header[0].removeprefix(PREFIX), wanted)
        ]
    return [*headers, *[(PREFIX + name, text.encode()) for name, text in wanted.items()]]


def _replaced(name: str, wanted: dict[str, str]) -> bool:
    # A tracestate must not join a trace that it did not come with.
    return name in wanted or (name == "tracestate" and "traceparent" in wanted)
