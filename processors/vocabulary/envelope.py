"""From records to signals and back: CloudEvents 1.0 in structured and binary mode, single and in batches."""

from functools import lru_cache
from typing import Final

import msgspec

from processors.vocabulary.arrival import Arrival
from processors.vocabulary.binary import decode_binary
from processors.vocabulary.enrichment import STRUCTURED_TYPE, enrich
from processors.vocabulary.http_binding import from_http, is_batch
from processors.vocabulary.limits import DEPTH_MAX, HEADER_BYTES_MAX, HEADER_COUNT_MAX, SIGNAL_BYTES_MAX
from processors.vocabulary.reasons import Problem, Reason, Rejected
from processors.vocabulary.record import Header, Headers, Record
from processors.vocabulary.rules import invalid
from processors.vocabulary.signal import CONTENT_TYPE, PREFIX, Absent, Mode, Signal
from processors.vocabulary.structured import decode_structured, judge_text, not_json
from processors.vocabulary.timestamps import rfc3339

__all__ = ["decode", "decode_batch", "enrich", "from_http", "is_batch", "rfc3339"]

_CLOUDEVENTS: Final = "application/cloudevents"
_CONTENT_TYPES_REMEMBERED_MAX: Final = 256
_CONTENT_TYPE_BYTES_MAX: Final = 256
_BINARY: Final = Mode.BINARY
_UNDECLARED: Final = (Mode.STRUCTURED, Absent.CONTENT_TYPE)
_ELEMENT_HEADERS: Final[tuple[Header, ...]] = ((CONTENT_TYPE, STRUCTURED_TYPE),)

_elements_of: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


def decode(record: Record, tenant_default: str | None = None, *, reserved_ok: bool = False) -> Signal | Rejected:
    """Return a record as a signal, or why it is none. Never raises, whatever the bytes.

    Whose signal it is says `tenantid`, else the record's key, else `tenant_default`. `reserved_ok` lets names pass
    that Hopline keeps for itself.
    """
    value, headers = record.value, record.headers
    if value is not None and len(value) > SIGNAL_BYTES_MAX:
        return _too_large("value", f"has {len(value)} bytes, {SIGNAL_BYTES_MAX} are the limit")
    mode, absent = _UNDECLARED
    if headers:
        chosen = _judge_headers(headers)
        if type(chosen) is Rejected:
            return chosen
        mode, absent = chosen
    arrival = Arrival(value, headers, record.key, tenant_default, reserved_ok, absent)
    if mode is _BINARY:
        return decode_binary(arrival)
    if value is None:
        return Rejected(Reason.NULL_VALUE)
    return decode_structured(arrival, value)


def decode_batch(
    body: bytes, *, count_max: int, tenant_default: str | None = None, reserved_ok: bool = False
) -> list[Signal | Rejected] | Rejected:
    """Return each event of an `application/cloudevents-batch+json` body by itself, in its own bytes and their order.

    The size of the body is the caller's matter, that of each event is looked at here.
    """
    unreadable = judge_text(body, DEPTH_MAX + 1)
    if unreadable is not None:
        return unreadable
    try:
        elements = _elements_of(body)
    except msgspec.ValidationError:
        return invalid([Problem("value", "must be a JSON array of events; send a single one with its own content type")])
    except msgspec.DecodeError as error:
        return not_json(body, error)
    if len(elements) > count_max:
        return _too_large("value", f"has {len(elements)} events, {count_max} are the limit; send several batches")
    return [_element(bytes(element), tenant_default, reserved_ok=reserved_ok) for element in elements]


def _element(value: bytes, tenant_default: str | None, *, reserved_ok: bool) -> Signal | Rejected:
    if len(value) > SIGNAL_BYTES_MAX:
        return _too_large("value", f"has {len(value)} bytes, {SIGNAL_BYTES_MAX} are the limit")
    return decode_structured(Arrival(value, _ELEMENT_HEADERS, None, tenant_default, reserved_ok, 0), value)


def _judge_headers(headers: Headers) -> tuple[Mode, int] | Rejected:
    """Return how the record carries its event, as the Kafka binding has it, and what the headers lack."""
    if len(headers) > HEADER_COUNT_MAX:
        return _too_large("headers", f"are {len(headers)}, {HEADER_COUNT_MAX} are the limit")
    content_type: bytes | None = None
    declared = binary = False
    size = 0
    for name, raw in headers:
        size += len(name)
        if raw is not None:
            size += len(raw)
        if name == CONTENT_TYPE:
            if declared:
                return Rejected(Reason.DUPLICATE_ATTRIBUTE, (Problem(CONTENT_TYPE, "occurs twice; send it once"),))
            declared, content_type = True, raw
        elif name.startswith(PREFIX):
            binary = True
    if size > HEADER_BYTES_MAX:
        return _too_large("headers", f"have {size} bytes, {HEADER_BYTES_MAX} are the limit")
    if content_type is None:
        return (_BINARY, 0) if binary else _UNDECLARED
    return _declared_mode(content_type[:_CONTENT_TYPE_BYTES_MAX])


@lru_cache(maxsize=_CONTENT_TYPES_REMEMBERED_MAX)
def _declared_mode(content_type: bytes) -> tuple[Mode, int] | Rejected:
    media_type, _, parameters = content_type.decode(errors="replace").lower().partition(";")
    media_type = media_type.strip()
    if not media_type.startswith(_CLOUDEVENTS):
        return Mode.BINARY, 0
    if media_type != STRUCTURED_TYPE.decode():
        message = f"must be {STRUCTURED_TYPE.decode()} for a structured event; other formats and batches are not read"
        return Rejected(Reason.UNSUPPORTED_MODE, (Problem(CONTENT_TYPE, message),))
    for parameter in parameters.split(";"):
        name, _, charset = parameter.partition("=")
        if name.strip() == "charset" and charset.strip().strip('"') not in {"utf-8", "utf8", "us-ascii"}:
            problem = Problem(CONTENT_TYPE, "declares another charset; encode the event as UTF-8 and say so")
            return Rejected(Reason.NOT_UTF8, (problem,))
    return Mode.STRUCTURED, 0


def _too_large(field: str, message: str) -> Rejected:
    return Rejected(Reason.TOO_LARGE, (Problem(field, message),))
