"""From records to signals and back: CloudEvents 1.0 in structured and binary mode, single and in batches."""

from functools import lru_cache
from typing import Final

import msgspec

from processors.vocabulary.arrival import Arrival
from processors.vocabulary.binary import decode_binary
from processors.vocabulary.enrichment import STRUCTURED_TYPE, enrich
from processors.vocabulary.http_binding import from_http, is_batch
from processors.vocabulary.json_text import another_kind, judge_text, not_json
from processors.vocabulary.limits import DEPTH_MAX, HEADER_BYTES_MAX, HEADER_COUNT_MAX, SIGNAL_BYTES_MAX
from processors.vocabulary.reasons import Problem, Reason, Rejected
from processors.vocabulary.record import Header, Record
from processors.vocabulary.rules import duplicate
from processors.vocabulary.shapes import shape_of
from processors.vocabulary.signal import CONTENT_TYPE, Absent, Mode, Signal
from processors.vocabulary.structured import decode_structured
from processors.vocabulary.timestamps import rfc3339

__all__ = ["decode", "decode_batch", "decode_structured_event", "enrich", "from_http", "is_batch", "rfc3339"]

_CLOUDEVENTS: Final = "application/cloudevents"
_CONTENT_TYPES_REMEMBERED_MAX: Final = 256
_CONTENT_TYPE_BYTES_MAX: Final = 256
_BINARY: Final = Mode.BINARY
_STRUCTURED: Final = Mode.STRUCTURED
_ELEMENT_HEADERS: Final[tuple[Header, ...]] = ((CONTENT_TYPE, STRUCTURED_TYPE),)

_elements_of: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


def decode(record: Record, tenant_default: str | None = None, *, reserved_ok: bool = False) -> Signal | Rejected:
    """Return a record as a signal, or why it is none. Never raises, whatever the bytes.

    Whose signal it is says `tenantid`, else the record's key, else `tenant_default`. `reserved_ok` lets names pass
    that Hopline keeps for itself.
    """
    value = record.value
    if value is not None and len(value) > SIGNAL_BYTES_MAX:
        return _too_large("value", f"has {len(value)} bytes, {SIGNAL_BYTES_MAX} are the limit")
    if record.headers:
        return _decode_with_headers(record, value, tenant_default, reserved_ok=reserved_ok)
    if value is None:
        return Rejected(Reason.NULL_VALUE)
    arrival = Arrival(value, (), record.key, tenant_default, reserved_ok, Absent.CONTENT_TYPE)
    return decode_structured(arrival, value)


def _decode_with_headers(
    record: Record, value: bytes | None, tenant_default: str | None, *, reserved_ok: bool
) -> Signal | Rejected:
    """Choose the content mode as the Kafka binding has it: by `content-type`, else by whether there are attributes."""
    headers = record.headers
    if len(headers) > HEADER_COUNT_MAX:
        return _too_large("headers", f"are {len(headers)}, {HEADER_COUNT_MAX} are the limit")
    names, values = zip(*headers)  # noqa: B905 - a header is a pair; being strict costs as much again
    characters = len("".join(names))
    size = characters + len(b"".join(values if None not in values else filter(None, values)))
    if size > HEADER_BYTES_MAX:
        return _too_large("headers", f"have {size} bytes, {HEADER_BYTES_MAX} are the limit")
    shape = shape_of(names, characters)
    if shape.ambiguous:
        return duplicate([CONTENT_TYPE])
    content_type = values[shape.content_type] if shape.content_type >= 0 else None
    absent = 0
    if content_type is not None:
        mode = _declared_mode(content_type[:_CONTENT_TYPE_BYTES_MAX])
        if isinstance(mode, Rejected):
            return mode
    elif shape.has_attributes:
        mode = _BINARY
    else:
        mode, absent = _STRUCTURED, Absent.CONTENT_TYPE
    arrival = Arrival(value, headers, record.key, tenant_default, reserved_ok, absent)
    if mode is _BINARY:
        return decode_binary(arrival, shape, values)
    return Rejected(Reason.NULL_VALUE) if value is None else decode_structured(arrival, value)


def decode_structured_event(
    value: bytes, content_type: bytes, tenant_default: str | None = None, *, reserved_ok: bool = False
) -> Signal | Rejected:
    """Return what `decode` does of a record that has this value, this content type and nothing else, but faster."""
    if len(value) > SIGNAL_BYTES_MAX:
        return _too_large("value", f"has {len(value)} bytes, {SIGNAL_BYTES_MAX} are the limit")
    mode = _declared_mode(content_type[:_CONTENT_TYPE_BYTES_MAX])
    if isinstance(mode, Rejected):
        return mode
    headers: list[Header] = [(CONTENT_TYPE, content_type)]
    return decode_structured(Arrival(value, headers, None, tenant_default, reserved_ok, 0), value)


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
        return another_kind(body, "must be a JSON array of events; send a single one with its own content type")
    except msgspec.DecodeError as error:
        return not_json(body, error)
    if len(elements) > count_max:
        return _too_large("value", f"has {len(elements)} events, {count_max} are the limit; send several batches")
    return [_element(bytes(element), tenant_default, reserved_ok=reserved_ok) for element in elements]


def _element(value: bytes, tenant_default: str | None, *, reserved_ok: bool) -> Signal | Rejected:
    if len(value) > SIGNAL_BYTES_MAX:
        return _too_large("value", f"has {len(value)} bytes, {SIGNAL_BYTES_MAX} are the limit")
    return decode_structured(Arrival(value, _ELEMENT_HEADERS, None, tenant_default, reserved_ok, 0), value)


@lru_cache(maxsize=_CONTENT_TYPES_REMEMBERED_MAX)
def _declared_mode(content_type: bytes) -> Mode | Rejected:
    media_type, _, parameters = content_type.decode(errors="replace").lower().partition(";")
    media_type = media_type.strip()
    if not media_type.startswith(_CLOUDEVENTS):
        return Mode.BINARY
    if media_type != STRUCTURED_TYPE.decode():
        message = f"must be {STRUCTURED_TYPE.decode()} for a structured event; other formats and batches are not read"
        return Rejected(Reason.UNSUPPORTED_MODE, (Problem(CONTENT_TYPE, message),))
    for parameter in parameters.split(";"):
        name, _, charset = parameter.partition("=")
        if name.strip() == "charset" and charset.strip().strip('"') not in {"utf-8", "utf8", "us-ascii"}:
            problem = Problem(CONTENT_TYPE, "declares another charset; encode the event as UTF-8 and say so")
            return Rejected(Reason.NOT_UTF8, (problem,))
    return Mode.STRUCTURED


def _too_large(field: str, message: str) -> Rejected:
    return Rejected(Reason.TOO_LARGE, (Problem(field, message),))
