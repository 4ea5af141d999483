"""What CloudEvents 1.0 and Hopline ask of each attribute, and what to tell a sender who got it wrong."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from processors.vocabulary.limits import (
    ATTRIBUTE_COUNT_MAX,
    ATTRIBUTE_NAME_CHARACTERS_MAX,
    ATTRIBUTE_VALUE_BYTES_MAX,
    ID_BYTES_MAX,
    PROBLEMS_MAX,
    RETRYCOUNT_MAX,
    SOURCE_BYTES_MAX,
    TENANT_CHARACTERS_MAX,
    TYPE_CHARACTERS_MAX,
)
from processors.vocabulary.reasons import Problem, Reason, Rejected
from processors.vocabulary.signal import Scalar
from processors.vocabulary.timestamps import is_time

SPECVERSION: Final = "1.0"
SYSTEM: Final = "_system"
"""The tenant of what belongs to no tenant: keys and limits of the gateways."""
PRIORITIES: Final = frozenset({"low", "normal", "high", "critical"})
INTEGER_MAX: Final = 2**31 - 1
"""CloudEvents' integers have 32 bits with sign."""
_REMEMBERED_MAX: Final = 2_048
"""Of sources, types and content types: these repeat, so a hit saves judging the text again."""
_SHOWN_CHARACTERS_MAX: Final = 64

# Control characters, Unicode's noncharacters and surrogates: what a CloudEvents string must not hold.
_FORBIDDEN: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(17))
    + "]"
).search
_NAME: Final = re.compile(rf"[a-z0-9]{{1,{ATTRIBUTE_NAME_CHARACTERS_MAX}}}").fullmatch
_TENANT: Final = re.compile(rf"[A-Za-z0-9_:-][A-Za-z0-9_.:-]{{0,{TENANT_CHARACTERS_MAX - 1}}}").fullmatch
_OUTSIDER: Final = re.compile(rf"(?!_|pool:)[A-Za-z0-9_:-][A-Za-z0-9_.:-]{{0,{TENANT_CHARACTERS_MAX - 1}}}").fullmatch
# Any text without blanks, but `*`, `{`, `}` and `,` belong to patterns.
_TYPE: Final = re.compile(r"[^\s.*{},]+(?:\.[^\s.*{},]+)*").fullmatch
_URI_REFERENCE: Final = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+").fullmatch
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:.").match
_TOKEN: Final = r"[A-Za-z0-9!#$%&'*+.^_`|~-]++"  # noqa: S105 - a token of MIME's grammar
# Possessive (`*+`), so that no text takes more than one pass.
_MEDIA_TYPE: Final = re.compile(
    rf'{_TOKEN}/{_TOKEN}(?:[ \t]*+;[ \t]*+{_TOKEN}=(?:{_TOKEN}|"(?:[^"\\]|\\.)*+"))*(?:[ \t]*+;)?[ \t]*+'
).fullmatch
_TRACE: Final = "-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
_TRACEPARENT: Final = re.compile(rf"00{_TRACE}|(?!00|ff)[0-9a-f]{{2}}{_TRACE}(?:-.*)?").fullmatch
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,9})").fullmatch


def is_name(text: str) -> bool:
    """Tell whether an attribute may be called so."""
    return _NAME(text) is not None and text != "data"


def is_allowed(text: str) -> bool:
    """Tell whether a text holds only characters that CloudEvents allows."""
    # What is printable is allowed, and more than ten times as fast to find out; not all that is allowed is printable.
    return text.isprintable() or _FORBIDDEN(text) is None


def is_tenant(text: str, *, reserved_ok: bool) -> bool:
    """Tell whether a tenant may be called so. `_…` and `pool:…` are Hopline's own."""
    return (_TENANT if reserved_ok else _OUTSIDER)(text) is not None


def is_reserved(tenant: str) -> bool:
    """Tell whether a tenant's name is one that Hopline keeps for itself."""
    return _OUTSIDER(tenant) is None


def is_traceparent(text: str) -> bool:
    """Tell whether a text is a W3C traceparent of a version that can be read."""
    return _TRACEPARENT(text) is not None


@lru_cache(maxsize=_REMEMBERED_MAX)
def is_source(text: str) -> bool:
    """Tell whether a text is a URI-reference, as far as its characters go. The caller bounds its length."""
    return _URI_REFERENCE(text) is not None


@lru_cache(maxsize=_REMEMBERED_MAX)
def is_type(text: str) -> bool:
    """Tell whether a text is an event's type: segments with dots between them. The caller bounds its length."""
    return _TYPE(text) is not None and _FORBIDDEN(text) is None


@lru_cache(maxsize=_REMEMBERED_MAX)
def is_media_type(text: str) -> bool:
    """Tell whether a text is a content type as RFC 2046 has it. The caller bounds its length."""
    return _MEDIA_TYPE(text) is not None


@lru_cache(maxsize=_REMEMBERED_MAX)
def is_uri(text: str) -> bool:
    """Tell whether a text is a URI with a scheme. The caller bounds its length."""
    return _URI_REFERENCE(text) is not None and _SCHEME(text) is not None


def integer_of(text: str) -> int | None:
    """Return the 32-bit integer that a text is, in CloudEvents' notation; None if it is none."""
    if _INTEGER(text) is None:
        return None
    number = int(text)
    return number if -INTEGER_MAX - 1 <= number <= INTEGER_MAX else None


def shown(name: str) -> str:
    """Return an attribute's name in a form that is safe to write anywhere."""
    text = ascii(name)[1:-1]
    return text if len(text) <= _SHOWN_CHARACTERS_MAX else f"{text[:_SHOWN_CHARACTERS_MAX]}..."


def _wrong_text(text: str) -> str:
    """Return what is wrong with a text as the value of any attribute, or nothing."""
    if len(text) > ATTRIBUTE_VALUE_BYTES_MAX or len(text.encode(errors="replace")) > ATTRIBUTE_VALUE_BYTES_MAX:
        return f"is longer than {ATTRIBUTE_VALUE_BYTES_MAX} bytes; put it into the data"
    found = _FORBIDDEN(text)
    if found:
        return f"holds the character U+{ord(found[0]):04X}, which CloudEvents does not allow; take it out"
    return ""


def _wrong_filled(text: str) -> str:
    return _wrong_text(text) if text else "is empty; leave it out or send a text"


def _wrong_id(text: str) -> str:
    if len(text.encode(errors="replace")) > ID_BYTES_MAX:
        return f"is longer than {ID_BYTES_MAX} bytes; send a shorter one, such as a UUID"
    return _wrong_filled(text)


def _wrong_source(text: str) -> str:
    if not text:
        return 'is empty; send a URI-reference such as "/orders/eu"'
    if len(text.encode(errors="replace")) > SOURCE_BYTES_MAX:
        return f"is longer than {SOURCE_BYTES_MAX} bytes; send a shorter URI-reference"
    if not is_source(text):
        return 'is not a URI-reference; percent-encode what RFC 3986 does not allow (a blank is "%20")'
    return ""


def _wrong_type(text: str) -> str:
    if len(text) > TYPE_CHARACTERS_MAX:
        return f"is longer than {TYPE_CHARACTERS_MAX} characters; send a shorter one"
    if not is_type(text):
        return 'must be segments with dots between, such as "com.example.order.placed", without blanks, *, {, } or ,'
    return ""


def _wrong_media_type(text: str) -> str:
    wrong = _wrong_text(text)
    if not wrong and not is_media_type(text):
        return 'is not a content type; send one such as "application/json"'
    return wrong


def _wrong_uri(text: str) -> str:
    wrong = _wrong_text(text)
    if not wrong and not is_uri(text):
        return 'is not an absolute URI; send one such as "https://example.com/schemas/order.json"'
    return wrong


def _of(text_is_right: Callable[[str], bool], message: str) -> Callable[[str], str]:
    return lambda text: "" if text_is_right(text) else message


_RULES: Final[dict[str, Callable[[str], str]]] = {
    "specversion": _of(lambda text: text == SPECVERSION, f'must be "{SPECVERSION}", the version that Hopline reads'),
    "id": _wrong_id,
    "source": _wrong_source,
    "type": _wrong_type,
    "subject": _wrong_filled,
    "time": _of(is_time, 'is not an RFC 3339 timestamp; send one such as "2026-11-21T10:11:12.123Z"'),
    "datacontenttype": _wrong_media_type,
    "dataschema": _wrong_uri,
    "priority": _of(PRIORITIES.__contains__, "must be low, normal, high or critical"),
    "correlationid": _wrong_filled,
    "causationid": _wrong_filled,
    "replayid": _wrong_filled,
}
_MISSING: Final = {
    "specversion": f'is missing; send "{SPECVERSION}"',
    "source": 'is missing; send a URI-reference that names the producer, such as "/orders/eu"',
    "type": 'is missing; send what happened, such as "com.example.order.placed"',
}
KNOWN: Final = frozenset({*_RULES, "tenantid", "retrycount", "traceparent", "tracestate"})
"""The attributes with rules of their own; any other is an extension and is carried as it is."""


def problems_of(attributes: Mapping[str, Scalar]) -> list[Problem]:
    """Return what is wrong with the attributes, all of it, field by field. The tenant is judged apart."""
    problems = [Problem(name, message) for name, message in _MISSING.items() if name not in attributes]
    if len(attributes) > ATTRIBUTE_COUNT_MAX:
        problems.append(too_many(len(attributes)))
    for name, value in attributes.items():
        wrong = _wrong(name, value)
        if wrong:
            problems.append(Problem(shown(name), wrong))
    return problems


def _wrong(name: str, value: Scalar) -> str:
    if not is_name(name):
        return f"is no attribute's name: lower-case letters and digits, at most {ATTRIBUTE_NAME_CHARACTERS_MAX}"
    if name == "retrycount":
        return _wrong_retrycount(value)
    # W3C: what cannot be read is ignored, and the trace starts anew. The tenant depends on the record's key too.
    if name in {"traceparent", "tenantid"}:
        return ""
    rule = _RULES.get(name)
    if isinstance(value, str):
        return rule(value) if rule else _wrong_text(value)
    return "must be a string" if rule or name in KNOWN else ""


def _wrong_retrycount(value: Scalar) -> str:
    count = integer_of(value) if isinstance(value, str) else value
    if count is None or isinstance(count, bool) or not 0 <= count <= RETRYCOUNT_MAX:
        return f"must be an integer from 0 to {RETRYCOUNT_MAX}"
    return ""


def too_many(count: int) -> Problem:
    """Return what is wrong with so many attributes."""
    return Problem("attributes", f"are {count}, {ATTRIBUTE_COUNT_MAX} are the limit; put the rest into the data")


def invalid(problems: Sequence[Problem]) -> Rejected:
    """Return a refusal that lists the problems, or the first of them and how many more there are."""
    return Rejected(Reason.INVALID_ENVELOPE, _listed(problems, len(problems)))


def duplicate(names: Sequence[str]) -> Rejected:
    """Return a refusal of attributes that occur more than once."""
    message = "occurs twice, so readers could disagree; send it once"
    problems = [Problem(shown(name), message) for name in names[:PROBLEMS_MAX]]
    return Rejected(Reason.DUPLICATE_ATTRIBUTE, _listed(problems, len(names)))


def _listed(problems: Sequence[Problem], count: int) -> tuple[Problem, ...]:
    if count <= PROBLEMS_MAX:
        return tuple(problems)
    more = Problem("", f"and {count - PROBLEMS_MAX + 1} problems more")
    return (*problems[: PROBLEMS_MAX - 1], more)
