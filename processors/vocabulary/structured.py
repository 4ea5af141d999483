"""Decode a CloudEvent in structured mode: a fast way that accounts for every byte, and an exact one for the rest.

The fast way trusts what it sees only if the lengths of the attributes and of the data, with JSON's punctuation, add up
to the length of the value. Then no attribute occurs twice (the bytes of a second one would be left over), no string
holds an escape (it would be shorter decoded than written) and nothing else is there. What does not add up is looked
at again with each member in its own bytes, and what is odd even then is judged field by field.
"""

import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections import Counter
from typing import Final

import msgspec

from processors.vocabulary import rules
from processors.vocabulary.arrival import Arrival, Envelope, conclude, signal_of, tenant_of
from processors.vocabulary.json_text import BLANKS, another_kind, brackets_of, each_once, judge_text, names_of, not_json
from processors.vocabulary.limits import (
    ATTRIBUTE_COUNT_MAX,
    ATTRIBUTE_VALUE_BYTES_MAX,
    DEPTH_MAX,
    ID_BYTES_MAX,
    RETRYCOUNT_MAX,
    SOURCE_BYTES_MAX,
    TYPE_CHARACTERS_MAX,
)
from processors.vocabulary.reasons import Problem, Rejected
from processors.vocabulary.signal import Mode, Scalar, Signal, members_of
from processors.vocabulary.timestamps import is_time

_DELETE: Final = 0x7F
_BACKSLASH: Final = b"\\"[0]
_EMPTY_BYTES: Final = len('""')
_FIRST_NAME_BYTES_MAX: Final = 48
"""So far into a value its first name has ended, and shows whether its writer puts blanks."""
_MEMBERS_JUDGED_MAX: Final = 4 * ATTRIBUTE_COUNT_MAX
"""With more of them none is looked at, so that a hostile value takes no time to speak of."""
_DATA: Final = frozenset({"data", "data_base64"})
_STRUCTURED: Final = Mode.STRUCTURED
_PLAIN: Final = rules.KNOWN | _DATA

_decode: Final = msgspec.json.Decoder(Envelope).decode
_EXTENSION: Final = re.compile(rb'"[\x20-\x21\x23-\x5b\x5d-\x7e]*"|true|false|null|-?(?:0|[1-9][0-9]{0,8})').fullmatch

# What each attribute takes besides its text in compact JSON, the comma before it included.
_REQUIRED: Final = len('{"specversion":"1.0","source":"","type":""}')
_ID: Final = len(',"id":""')
_TIME: Final = len(',"time":""')
_TENANTID: Final = len(',"tenantid":""')
_SUBJECT: Final = len(',"subject":""')
_DATACONTENTTYPE: Final = len(',"datacontenttype":""')
_DATASCHEMA: Final = len(',"dataschema":""')
_PRIORITY: Final = len(',"priority":""')
_CORRELATIONID: Final = len(',"correlationid":""')
_CAUSATIONID: Final = len(',"causationid":""')
_TRACEPARENT: Final = len(',"traceparent":""')
_TRACESTATE: Final = len(',"tracestate":""')
_REPLAYID: Final = len(',"replayid":""')
_RETRYCOUNT: Final = len(',"retrycount":')
_DATA_MEMBER: Final = len(',"data":')
_DATA_BASE64: Final = len(',"data_base64":""')


def decode_structured(arrival: Arrival, value: bytes) -> Signal | Rejected:
    """Decode the value of a record. Its size is the caller's matter."""
    if not value.isascii() or brackets_of(value) > DEPTH_MAX:
        unreadable = judge_text(value, DEPTH_MAX)
        if unreadable is not None:
            return unreadable
    try:
        envelope = _decode(value)
    except msgspec.DecodeError:
        return _exact(arrival, value)
    length = plain_length(envelope)
    if length == 0 or _DELETE in value:
        return _exact(arrival, value)
    if length != len(value) and not _only_blanks(envelope, length, value) and not _adds_up(envelope, value):
        return _exact(arrival, value)
    tenant = tenant_of(envelope.tenantid, arrival)
    if isinstance(tenant, Rejected):
        return tenant
    return signal_of(arrival, _STRUCTURED, tenant, envelope)


def plain_length(envelope: Envelope) -> int:  # noqa: C901, PLR0912 - a branch for each attribute; a loop takes longer
    """Return the envelope's length as compact JSON without escapes, or 0 if it needs the exact way to judge it.

    Its texts must turn out to be printable ASCII: forbidden characters are not looked for here.
    """
    if (
        envelope.specversion != rules.SPECVERSION
        or len(envelope.source) > SOURCE_BYTES_MAX
        or len(envelope.type) > TYPE_CHARACTERS_MAX
        or not rules.is_source(envelope.source)
        or not rules.is_type(envelope.type)
    ):
        return 0
    length = _REQUIRED + len(envelope.source) + len(envelope.type)
    if text := envelope.id:
        if len(text) > ID_BYTES_MAX:
            return 0
        length += _ID + len(text)
    if text := envelope.time:
        if not is_time(text):
            return 0
        length += _TIME + len(text)
    if text := envelope.tenantid:
        length += _TENANTID + len(text)
    if text := envelope.subject:
        length += _SUBJECT + len(text)
    if text := envelope.priority:
        if text not in rules.PRIORITIES:
            return 0
        length += _PRIORITY + len(text)
    if text := envelope.correlationid:
        length += _CORRELATIONID + len(text)
    if text := envelope.causationid:
        length += _CAUSATIONID + len(text)
    if text := envelope.traceparent:
        length += _TRACEPARENT + len(text)
    if text := envelope.tracestate:
        length += _TRACESTATE + len(text)
    if text := envelope.replayid:
        length += _REPLAYID + len(text)
    count = envelope.retrycount
    if count is not None:
        if not 0 <= count <= RETRYCOUNT_MAX:
            return 0
        length += _RETRYCOUNT + len(str(count))
    datacontenttype, dataschema = envelope.datacontenttype, envelope.dataschema
    if datacontenttype:
        length += _DATACONTENTTYPE + len(datacontenttype)
    if dataschema:
        length += _DATASCHEMA + len(dataschema)
    # All attributes together are within the limit of one; so what follows is asked of short texts only.
    if length > ATTRIBUTE_VALUE_BYTES_MAX:
        return 0
    if (datacontenttype and not rules.is_media_type(datacontenttype)) or (dataschema and not rules.is_uri(dataschema)):
        return 0
    if text := envelope.data_base64:
        if envelope.data or not _is_base64(text):
            return 0
        length += _DATA_BASE64 + len(text)
    if envelope.data:
        length += _DATA_MEMBER + len(envelope.data)
    return length


def _only_blanks(envelope: Envelope, length: int, value: bytes) -> bool:
    """Tell whether what the value is longer than its compact form are blanks between its members and nothing else.

    A second member of a name is never blank: it has quotes at least.
    """
    if value.find(b'": ', 0, _FIRST_NAME_BYTES_MAX) < 0:
        return False
    # Without attributes that hold no blank once they were found right.
    texts = (
        envelope.id,
        envelope.subject,
        envelope.datacontenttype,
        envelope.correlationid,
        envelope.causationid,
        envelope.tenantid,
        envelope.traceparent,
        envelope.tracestate,
        envelope.replayid,
    )
    inside = "".join(texts).count(" ")
    data = bytes(envelope.data)
    inside += len(data) - len(data.translate(None, BLANKS))
    return len(value.translate(None, BLANKS)) == length - inside


def _adds_up(envelope: Envelope, value: bytes) -> bool:
    """Tell whether a value with extensions or with escapes is right, and has no member twice."""
    members = members_of(value)
    if len(members) > ATTRIBUTE_COUNT_MAX or not each_once(value, members):
        return False
    members.pop("data", None)
    if _EMPTY_BYTES in map(len, members.values()) and b'""' in map(bytes, members.values()):
        return False
    written = b",".join(members.values())
    if len(written) > len(envelope.data_base64) + ATTRIBUTE_VALUE_BYTES_MAX:
        return False
    if (_BACKSLASH in written or not written.isascii()) and not _texts_are_right(envelope):
        return False
    for name in members.keys() - _PLAIN:  # noqa: SIM110 - all() of a generator takes longer
        if not rules.is_name(name) or _EXTENSION(members[name]) is None:
            return False
    return True


def _texts_are_right(envelope: Envelope) -> bool:
    """Tell whether texts that are not plain ASCII hold allowed characters only. Other rules were asked already."""
    texts = (
        envelope.id,
        envelope.subject,
        envelope.datacontenttype,
        envelope.correlationid,
        envelope.causationid,
        envelope.tracestate,
        envelope.replayid,
    )
    return rules.is_allowed("".join(texts)) and len(envelope.id.encode()) <= ID_BYTES_MAX


def _exact(arrival: Arrival, value: bytes) -> Signal | Rejected:
    """Judge a value member by member, and say all that is wrong."""
    try:
        members = members_of(value)
    except msgspec.ValidationError:
        return another_kind(value, "must be a JSON object, with the attributes as its members")
    except msgspec.DecodeError as error:
        return not_json(value, error)
    if len(members) > _MEMBERS_JUDGED_MAX:
        return rules.invalid([rules.too_many(len(members))])
    if not each_once(value, members):
        # So many are enough: some occur twice among them, as there are fewer different ones.
        names = names_of(value.decode(), _MEMBERS_JUDGED_MAX + 1)
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            return rules.duplicate(twice)
    problems, nulls, attributes = _attributes(members)
    problems.extend(_data_problems(members))
    return conclude(arrival, _STRUCTURED, attributes, problems, nulls)


def _attributes(members: dict[str, msgspec.Raw]) -> tuple[list[Problem], set[str], dict[str, Scalar]]:
    """Decode each attribute; return what is wrong with their types, which are null, and the rest."""
    problems: list[Problem] = []
    nulls: set[str] = set()
    attributes: dict[str, Scalar] = {}
    for name, raw in members.items():
        if name in _DATA:
            continue
        written = bytes(raw)
        if written.startswith((b"{", b"[")):
            problems.append(Problem(rules.shown(name), "must be a string, a boolean or an integer; the rest is data"))
        elif written.startswith((b'"', b"t", b"f")):
            attributes[name] = msgspec.json.decode(written)
        elif written == b"null":
            nulls.add(name)
        elif (number := rules.integer_of(written.decode())) is not None:
            attributes[name] = number
        else:
            problems.append(Problem(rules.shown(name), "must be an integer of 32 bits, or a string"))
    return problems, nulls, attributes


def _data_problems(members: dict[str, msgspec.Raw]) -> list[Problem]:
    raw = members.get("data_base64")
    if raw is None or bytes(raw) == b"null":
        return []
    if "data" in members:
        return [Problem("data_base64", "stands beside `data`; send one of them")]
    written = bytes(raw)
    if not written.startswith(b'"') or not _is_base64(msgspec.json.decode(written)):
        return [Problem("data_base64", "must be a string of Base64 (RFC 4648 with padding, without line breaks)")]
    return []


def _is_base64(text: str) -> bool:
    try:
        a2b_base64(text, strict_mode=True)
    except (Base64Error, ValueError):
        return False
    return True
