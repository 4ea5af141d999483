"""Decode a CloudEvent in binary mode: attributes in `ce_*` headers, the data as the record's value, opaque."""

from collections.abc import Iterable
from typing import Final

import msgspec

from processors.vocabulary import rules
from processors.vocabulary.arrival import Arrival, Envelope, conclude, signal_of, tenant_of
from processors.vocabulary.limits import ATTRIBUTE_VALUE_BYTES_MAX
from processors.vocabulary.reasons import Problem, Rejected
from processors.vocabulary.shapes import Shape, Values
from processors.vocabulary.signal import CONTENT_TYPE, Mode, Scalar, Signal
from processors.vocabulary.structured import plain_length

_BINARY: Final = Mode.BINARY
_PRINTABLE: Final = bytes(range(0x20, 0x7F))
_SEPARATOR: Final = b"\n"
"""Not printable, so that no value can hold it."""
_SEPARATOR_TEXT: Final = _SEPARATOR.decode()
_DATACONTENTTYPE: Final = "datacontenttype"


def decode_binary(arrival: Arrival, shape: Shape, values: Values) -> Signal | Rejected:
    """Decode the headers of a record, given as their shape and values. Their size is the caller's matter."""
    if shape.twice:
        return rules.duplicate(shape.twice)
    picked = shape.pick(values)
    envelope = None if shape.odd else _plain(shape.attributes, picked)
    if envelope is None:
        return _exact(arrival, zip(shape.attributes, picked, strict=True))
    tenant = tenant_of(envelope.tenantid, arrival)
    if isinstance(tenant, Rejected):
        return tenant
    return signal_of(arrival, _BINARY, tenant, envelope)


def _plain(names: tuple[str, ...], values: Values) -> Envelope | None:
    """Return the envelope if there is nothing odd about it."""
    filled = [value for value in values if value]
    joined = _SEPARATOR.join(filled)
    if (
        len(filled) != len(values)
        or len(joined) > ATTRIBUTE_VALUE_BYTES_MAX
        or joined.translate(None, _PRINTABLE) != _SEPARATOR * (len(filled) - 1)
    ):
        return None
    texts = dict(zip(names, joined.decode().split(_SEPARATOR_TEXT), strict=True))
    count = texts.pop("retrycount", None)
    envelope = msgspec.convert(texts, Envelope)
    if count is not None:
        envelope.retrycount = rules.integer_of(count)
        if envelope.retrycount is None:
            return None
    return envelope if plain_length(envelope) else None


def _exact(arrival: Arrival, headers: Iterable[tuple[str, bytes | None]]) -> Signal | Rejected:
    """Judge attributes one by one, and say all that is wrong."""
    problems: list[Problem] = []
    attributes: dict[str, Scalar] = {}
    nulls: set[str] = set()
    for name, raw in headers:
        if raw is None:
            nulls.add(name)
            continue
        try:
            attributes[name] = raw.decode()
        except UnicodeDecodeError as error:
            problems.append(Problem(rules.shown(name), f"is not UTF-8 at byte {error.start}"))
    if attributes.keys() <= {_DATACONTENTTYPE} and not problems and not nulls:
        message = (
            "declares plain data, and no ce_ headers say what it is; send "
            "`application/cloudevents+json` for a structured event, or the attributes as ce_ headers"
        )
        return rules.invalid([Problem(CONTENT_TYPE, message)])
    return conclude(arrival, _BINARY, attributes, problems, nulls)
