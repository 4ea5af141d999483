"""A second opinion on CloudEvents: the standard library's parsers and plain rules, slow and meant to be obvious."""

import base64
import calendar
import json
import string
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from processors.vocabulary import limits
from processors.vocabulary.reasons import Reason
from processors.vocabulary.record import Record

Value: TypeAlias = str | int | bool | None
BITS_32: Final = 31
HEX: Final = set("0123456789abcdef")
TOKEN: Final = set(string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~")
URI: Final = set(string.ascii_letters + string.digits + "-._~:/?#[]@!$&'()*+,;=%")
TENANT: Final = set(string.ascii_letters + string.digits + "_.:-")
KNOWN_STRINGS: Final = {
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "dataschema",
    "tenantid",
    "priority",
    "correlationid",
    "causationid",
    "replayid",
}


class Number(str):
    """A JSON number as it was written."""

    __slots__ = ()


class Pairs(list[tuple[str, Any]]):
    """A JSON object as it was written, repeated names too."""


@dataclass(frozen=True, slots=True)
class Event:
    """What must come out of a record that is right."""

    tenant: str
    attributes: dict[str, Value]
    """Without nulls and without what cannot be used; with `tenantid`."""
    absent: frozenset[str]
    data: Any


def judge(record: Record) -> Event | Reason:
    """Say what a record is, or why it is to be refused."""
    value, headers = record.value, record.headers
    if value is not None and len(value) > limits.SIGNAL_BYTES_MAX:
        return Reason.TOO_LARGE
    size = sum(len(name) + len(raw or b"") for name, raw in headers)
    if len(headers) > limits.HEADER_COUNT_MAX or size > limits.HEADER_BYTES_MAX:
        return Reason.TOO_LARGE
    declared = [raw for name, raw in headers if name == "content-type"]
    if len(declared) > 1:
        return Reason.DUPLICATE_ATTRIBUTE
    if declared and declared[0] is not None:
        text = declared[0].decode(errors="replace").lower()
        if text.strip().startswith("application/cloudevents"):
            return _structured_as(text, record)
        return _binary(record)
    if any(name.startswith("ce_") for name, _ in headers):
        return _binary(record)
    return _structured(value, record)


def _structured_as(content_type: str, record: Record) -> Event | Reason:
    media_type, *parameters = [part.strip() for part in content_type.split(";")]
    if media_type != "application/cloudevents+json":
        return Reason.UNSUPPORTED_MODE
    for parameter in parameters:
        name, _, setting = parameter.partition("=")
        if name.strip() == "charset" and setting.strip().strip('"') not in {"utf-8", "utf8", "us-ascii"}:
            return Reason.NOT_UTF8
    return _structured(record.value, record)


def _structured(value: bytes | None, record: Record) -> Event | Reason:
    if value is None:
        return Reason.NULL_VALUE
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return Reason.NOT_UTF8
    if text.startswith("\ufeff"):
        return Reason.NOT_UTF8
    if depth_of(text) > limits.DEPTH_MAX:
        return Reason.TOO_DEEP
    try:
        top = json.loads(
            text, object_pairs_hook=Pairs, parse_int=Number, parse_float=Number, parse_constant=_refuse_constant
        )
    except ValueError:
        return Reason.NOT_UTF8 if "\0" in text[:4] else Reason.NOT_JSON
    if _has_surrogates(top):
        return Reason.NOT_JSON
    if not isinstance(top, Pairs):
        return Reason.INVALID_ENVELOPE
    names = [name for name, _ in top]
    if len(set(names)) != len(names):
        return Reason.DUPLICATE_ATTRIBUTE
    return _of_members(dict(top), record)


def _of_members(members: dict[str, Any], record: Record) -> Event | Reason:
    attributes: dict[str, Value] = {}
    for name, written in members.items():
        if name in {"data", "data_base64"} or written is None:
            continue
        if isinstance(written, Number):
            if any(letter not in "-0123456789" for letter in written) or len(written) > 11 or not _fits(int(written)):
                return Reason.INVALID_ENVELOPE
            attributes[name] = int(written)
        elif isinstance(written, str | bool):
            attributes[name] = written
        else:
            return Reason.INVALID_ENVELOPE
    encoded = members.get("data_base64")
    data = members.get("data", ...)
    if encoded is not None:
        if data is not ... or not _is_base64(encoded):
            return Reason.INVALID_ENVELOPE
        data = base64.b64decode(encoded)
    return _conclude(attributes, data, record)


def _binary(record: Record) -> Event | Reason:
    found: list[tuple[str, bytes | None]] = []
    for name, raw in record.headers:
        if name == "content-type":
            found.append(("datacontenttype", raw))
        elif name.startswith("ce_"):
            found.append((name[3:], raw))
    if len({name for name, _ in found}) != len(found):
        return Reason.DUPLICATE_ATTRIBUTE
    attributes: dict[str, Value] = {}
    for name, raw in found:
        if raw is None:
            continue
        try:
            attributes[name] = raw.decode("utf-8")
        except UnicodeDecodeError:
            return Reason.INVALID_ENVELOPE
    return _conclude(attributes, ... if record.value is None else record.value, record)


def _conclude(attributes: dict[str, Value], data: Any, record: Record) -> Event | Reason:
    if not all(_is_right(name, value) for name, value in attributes.items()):
        return Reason.INVALID_ENVELOPE
    if not {"specversion", "source", "type"} <= attributes.keys() or len(attributes) > limits.ATTRIBUTE_COUNT_MAX:
        return Reason.INVALID_ENVELOPE
    tenant, key = attributes.get("tenantid"), record.key or None
    if tenant is None:
        if key is None or not is_tenant(key.decode("latin-1")):
            return Reason.INVALID_ENVELOPE
        tenant = key.decode()
    elif key is not None and str(tenant).encode() != key:
        return Reason.WRONG_KEY
    absent = {"id", "time", "correlationid", "tenantid", "traceparent"} - attributes.keys()
    kept = dict(attributes)
    if not _is_traceparent(kept.get("traceparent")):
        kept.pop("traceparent", None)
        kept.pop("tracestate", None)
        absent.add("traceparent")
    if "retrycount" in kept:
        kept["retrycount"] = int(str(kept["retrycount"]))
    kept["tenantid"] = tenant
    return Event(str(tenant), kept, frozenset(absent), data)


def _is_right(name: str, value: Value) -> bool:
    if not 0 < len(name) <= limits.ATTRIBUTE_NAME_CHARACTERS_MAX or name == "data":
        return False
    if not set(name) <= set(string.ascii_lowercase + string.digits):
        return False
    if name == "traceparent":
        return True
    if name == "retrycount":
        return _is_retrycount(value)
    if name == "tracestate":
        return isinstance(value, str) and _is_right_text(name, value)
    if name in KNOWN_STRINGS:
        return isinstance(value, str) and value != "" and _is_right_text(name, value)
    return not isinstance(value, str) or _is_right_text(name, value)


def _is_right_text(name: str, text: str) -> bool:  # noqa: C901 - a rule for each attribute, as the specification has it
    if any(map(_is_forbidden, text)) or len(text.encode()) > limits.ATTRIBUTE_VALUE_BYTES_MAX:
        return False
    match name:
        case "specversion":
            return text == "1.0"
        case "id":
            return len(text.encode()) <= limits.ID_BYTES_MAX
        case "source":
            return _is_uri_reference(text) and len(text) <= limits.SOURCE_BYTES_MAX
        case "type":
            return is_type(text)
        case "time":
            return is_time(text)
        case "datacontenttype":
            return _is_media_type(text)
        case "dataschema":
            return _is_uri_reference(text) and _has_scheme(text)
        case "tenantid":
            return is_tenant(text)
        case "priority":
            return text in {"low", "normal", "high", "critical"}
        case _:
            return True


def depth_of(text: str) -> int:
    """Return how deep brackets are nested at most, not counting those in strings."""
    deepest = depth = 0
    quoted = escaped = False
    for letter in text:
        if quoted:
            if escaped:
                escaped = False
            elif letter == "\\":
                escaped = True
            elif letter == '"':
                quoted = False
        elif letter == '"':
            quoted = True
        elif letter in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif letter in "]}":
            depth -= 1
    return deepest


def is_time(text: str) -> bool:
    """RFC 3339, section 5.6, with leap seconds."""
    day, letter, clock = text[:10], text[10:11], text[11:]
    if len(text) > limits.TIME_CHARACTERS_MAX:
        return False
    if letter not in {"T", "t"} or len(day) != 10 or day[4] != "-" or day[7] != "-":
        return False
    year, month, date = day[:4], day[5:7], day[8:]
    if not all(map(_is_digits, (year, month, date))) or not 1 <= int(month) <= 12:
        return False
    # The calendar repeats every 400 years; year 0 has none of its own here.
    if not 1 <= int(date) <= calendar.monthrange(int(year) + 400, int(month))[1]:
        return False
    if clock[-1:] in {"Z", "z"}:
        clock = clock[:-1]
    else:
        offset = clock[-6:]
        clock = clock[:-6]
        if len(offset) != 6 or offset[0] not in "+-" or offset[3] != ":":
            return False
        if not _is_below(offset[1:3], 24) or not _is_below(offset[4:], 60):
            return False
    whole, dot, fraction = clock.partition(".")
    if (dot and not _is_digits(fraction)) or len(whole) != 8 or whole[2] != ":" or whole[5] != ":":
        return False
    return _is_below(whole[:2], 24) and _is_below(whole[3:5], 60) and _is_below(whole[6:], 61)


def is_type(text: str) -> bool:
    """Segments of anything visible but what patterns are made of."""
    if len(text) > limits.TYPE_CHARACTERS_MAX:
        return False
    return all(
        segment and not any(letter.isspace() or letter in "*{}," for letter in segment) for segment in text.split(".")
    )


def is_tenant(text: str) -> bool:
    """An outsider's tenant."""
    if not 0 < len(text) <= limits.TENANT_CHARACTERS_MAX or not set(text) <= TENANT:
        return False
    return not text.startswith((".", "_", "pool:"))


def _is_traceparent(value: Value) -> bool:
    parts = value.split("-") if isinstance(value, str) else []
    if len(parts) < 4 or list(map(len, parts[:4])) != [2, 32, 16, 2]:
        return False
    if not all(set(part) <= HEX for part in parts[:4]) or parts[0] == "ff":
        return False
    if set(parts[1]) == {"0"} or set(parts[2]) == {"0"} or "\n" in str(value):
        return False
    return len(parts) == 4 or parts[0] != "00"


def _is_media_type(text: str) -> bool:
    rest = _after_token(text)
    rest = _after_token(rest[1:]) if rest is not None and rest[:1] == "/" else None
    while rest is not None and rest.strip(" \t").removeprefix(";").strip(" \t"):
        rest = rest.lstrip(" \t")
        if rest[:1] != ";":
            return False
        rest = _after_token(rest[1:].lstrip(" \t"))
        if rest is None or rest[:1] != "=":
            return False
        rest = _after_quoted(rest[1:]) if rest[1:2] == '"' else _after_token(rest[1:])
    return rest is not None


def _after_token(text: str) -> str | None:
    end = 0
    while end < len(text) and text[end] in TOKEN:
        end += 1
    return text[end:] if end else None


def _after_quoted(text: str) -> str | None:
    at = 1
    while at < len(text) and text[at] != '"':
        at += 2 if text[at] == "\\" else 1
    return text[at + 1 :] if at < len(text) else None


def _is_uri_reference(text: str) -> bool:
    if not set(text) <= URI:
        return False
    return all(
        len(part) >= 2 and part[0] in string.hexdigits and part[1] in string.hexdigits for part in text.split("%")[1:]
    )


def _has_scheme(text: str) -> bool:
    scheme, colon, rest = text.partition(":")
    if not (colon and rest and scheme[:1] in string.ascii_letters and scheme):
        return False
    return set(scheme) <= set(string.ascii_letters + string.digits + "+.-")


def _is_retrycount(value: Value) -> bool:
    if isinstance(value, str):
        digits = value.removeprefix("-")
        if not _is_digits(digits) or (digits != "0" and digits.startswith("0")) or len(digits) > 10:
            return False
        value = int(value)
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= limits.RETRYCOUNT_MAX


def _is_base64(value: object) -> bool:
    if not isinstance(value, str) or len(value) % 4 or isinstance(value, Number):
        return False
    body = value.rstrip("=")
    return len(value) - len(body) <= 2 and set(body) <= set(string.ascii_letters + string.digits + "+/")


def _is_forbidden(letter: str) -> bool:
    code = ord(letter)
    if code < 0x20 or 0x7F <= code <= 0x9F or 0xD800 <= code <= 0xDFFF:
        return True
    return 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE


def _is_digits(text: str) -> bool:
    return text != "" and set(text) <= set(string.digits)


def _is_below(text: str, limit: int) -> bool:
    return len(text) == 2 and _is_digits(text) and int(text) < limit


def _fits(number: int) -> bool:
    return -(1 << BITS_32) <= number < 1 << BITS_32


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _has_surrogates(tree: object) -> bool:
    if isinstance(tree, str):
        return any(0xD800 <= ord(letter) <= 0xDFFF for letter in tree)
    if isinstance(tree, Pairs):
        return any(_has_surrogates(name) or _has_surrogates(value) for name, value in tree)
    return isinstance(tree, list) and any(map(_has_surrogates, tree))
