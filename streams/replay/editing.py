"""A changed copy of a dead letter, to be redriven in its place: attributes set or taken off, other data."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import msgspec

from processors.vocabulary import envelope
from processors.vocabulary.reasons import Rejected
from processors.vocabulary.record import Header, PlainRecord
from processors.vocabulary.signal import CONTENT_TYPE, PREFIX, members_of
from streams.replay.letters import Letter

_STRUCTURED: Final = "application/cloudevents"
_DATA: Final = ("data", "data_base64")
_OURS: Final = frozenset({*_DATA, "replayid"})
_TYPE: Final = "datacontenttype"
_NAME: Final = re.compile(r"[a-z0-9]{1,64}").fullmatch
_encode: Final = msgspec.json.Encoder().encode


class EditError(ValueError):
    """The copy would not be let in; the message says why."""


def edited(letter: Letter, changes: Mapping[str, str], data: bytes | None) -> Letter:
    """Return a copy with attributes set (or taken off, by an empty text) and other data. Raises `EditError`."""
    for name in changes:
        if _NAME(name) is None or name in _OURS:
            raise EditError(f"{name!r} cannot be set: give an attribute's name, of a-z and 0-9")
    original = letter.original
    copy = _binary(original, changes, data) if _is_binary(original) else _structured(original, changes, data)
    signal = envelope.decode(copy, reserved_ok=True)
    if isinstance(signal, Rejected):
        wrong = "; ".join(f"{problem.field} {problem.message}".strip() for problem in signal.problems)
        raise EditError(f"so changed it would be set aside again, {signal.reason}: {wrong}")
    if letter.tenant and signal.tenant != letter.tenant:
        raise EditError(f"it belongs to the tenant {letter.tenant}, and cannot be made another one's")
    return replace(letter, original=copy, signal=signal)


def _is_binary(original: PlainRecord) -> bool:
    declared = [value for name, value in original.headers if name.lower() == CONTENT_TYPE]
    if any((value or b"").strip().lower().startswith(_STRUCTURED.encode()) for value in declared):
        return False
    return any(name.lower().startswith(PREFIX) for name, _ in original.headers)


def _binary(original: PlainRecord, changes: Mapping[str, str], data: bytes | None) -> PlainRecord:
    """Change headers, and the value, which is the data."""
    named = {CONTENT_TYPE if name == _TYPE else PREFIX + name: text for name, text in changes.items()}
    headers: list[Header] = [header for header in original.headers if header[0].lower() not in named]
    headers += [(name, text.encode()) for name, text in named.items() if text]
    return replace(original, headers=tuple(headers), value=original.value if data is None else data)


def _structured(original: PlainRecord, changes: Mapping[str, str], data: bytes | None) -> PlainRecord:
    """Change members; those that are not named stay byte for byte. What is no event becomes one from nothing."""
    try:
        members: dict[str, object] = dict(members_of(original.value or b""))
    except (msgspec.DecodeError, UnicodeDecodeError):
        members = {}
    members.setdefault("specversion", "1.0")
    for name, text in changes.items():
        members.pop(name, None)
        if text:
            members[name] = text
    if data is not None:
        for name in _DATA:
            members.pop(name, None)
        members |= _data(data, members.get(_TYPE))
    headers = [header for header in original.headers if header[0].lower() != CONTENT_TYPE]
    headers.append((CONTENT_TYPE, f"{_STRUCTURED}+json".encode()))
    return replace(original, headers=tuple(headers), value=_encode(members))


def _data(data: bytes, kind: object) -> dict[str, object]:
    text = msgspec.json.decode(kind) if isinstance(kind, msgspec.Raw) else kind
    if not text or str(text).partition(";")[0].strip().lower().endswith("json"):
        try:
            msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise EditError(f"the data is no JSON ({error}); what else it is says --set {_TYPE}=…") from error
        return {"data": msgspec.Raw(data)}
    try:
        return {"data": data.decode()}
    except UnicodeDecodeError:
        # Bytes become base64.
        return {"data_base64": data}
