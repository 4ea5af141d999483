"""Decode a CloudEvent in binary mode: attributes in `ce_*` headers, the data as the record's value, opaque."""

from collections import Counter
from typing import Final

import msgspec

from processors.vocabulary import rules
from processors.vocabulary.arrival import Arrival, Envelope, conclude, signal_of, tenant_of
from processors.vocabulary.limits import ATTRIBUTE_COUNT_MAX, ATTRIBUTE_VALUE_BYTES_MAX
from processors.vocabulary.reasons import Problem, Reason, Rejected
from processors.vocabulary.signal import CONTENT_TYPE, PREFIX, Mode, Scalar, Signal
from processors.vocabulary.structured import plain_length

_BINARY: Final = Mode.BINARY
_PREFIX_LENGTH: Final = len(PREFIX)
_PRINTABLE: Final = bytes(range(0x20, 0x7F))
_SEPARATOR: Final = b"\n"
"""Not printable, so that no value can hold it."""
_DATACONTENTTYPE: Final = "datacontenttype"


def decode_binary(arrival: Arrival) -> Signal | Rejected:
    """Decode the headers of a record. Their size is the caller's matter, and that `content-type` occurs once."""
    headers = arrival.headers
    names = [header[_PREFIX_LENGTH:] for header, _ in headers if header.startswith(PREFIX)]
    texts = {header[_PREFIX_LENGTH:]: raw for header, raw in headers if header.startswith(PREFIX)}
    for header, raw in headers:
        if header == CONTENT_TYPE:
            names.append(_DATACONTENTTYPE)
            texts[_DATACONTENTTYPE] = raw
            break
    if len(names) != len(texts):
        twice = [name for name, count in Counter(names).items() if count > 1]
        problems = rules.invalid(Problem(rules.shown(name), "occurs twice; send it once") for name in twice)
        return Rejected(Reason.DUPLICATE_ATTRIBUTE, problems.problems)
    envelope = _plain(texts)
    if envelope is None:
        return _exact(arrival, texts)
    tenant = tenant_of(envelope.tenantid, arrival)
    if type(tenant) is Rejected:
        return tenant
    return signal_of(arrival, _BINARY, tenant, envelope)


def _plain(texts: dict[str, bytes | None]) -> Envelope | None:
    """Return the envelope if there is nothing odd about it."""
    raws = [raw for raw in texts.values() if raw]
    joined = _SEPARATOR.join(raws)
    if (
        len(raws) != len(texts)
        or len(raws) > ATTRIBUTE_COUNT_MAX
        or len(joined) > ATTRIBUTE_VALUE_BYTES_MAX
        or joined.translate(None, _PRINTABLE) != _SEPARATOR * (len(raws) - 1)
        or not all(map(rules.is_name, texts.keys() - rules.KNOWN))
    ):
        return None
    decoded = dict(zip(texts, joined.decode().split(_SEPARATOR.decode()), strict=True))
    count = decoded.pop("retrycount", None)
    envelope = msgspec.convert(decoded, Envelope)
    if count is not None:
        envelope.retrycount = rules.integer_of(count)
        if envelope.retrycount is None:
            return None
    return envelope if plain_length(envelope) else None


def _exact(arrival: Arrival, texts: dict[str, bytes | None]) -> Signal | Rejected:
    """Judge the headers one by one, and say all that is wrong."""
    problems: list[Problem] = []
    attributes: dict[str, Scalar] = {}
    nulls: set[str] = set()
    for name, raw in texts.items():
        if raw is None:
            nulls.add(name)
            continue
        try:
            attributes[name] = raw.decode()
        except UnicodeDecodeError as error:
            problems.append(Problem(rules.shown(name), f"is not UTF-8 at byte {error.start}"))
    if attributes.keys() <= {_DATACONTENTTYPE} and not problems:
        message = (
            "declares plain data, and no ce_ headers say what it is; send "
            "`application/cloudevents+json` for a structured event, or the attributes as ce_ headers"
        )
        return rules.invalid([Problem(CONTENT_TYPE, message)])
    return conclude(arrival, _BINARY, attributes, problems, nulls)
