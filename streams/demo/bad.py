"""Every kind of badness that the demo sends, with the reason that must be found for it."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from processors.vocabulary.limits import DEPTH_MAX, SIGNAL_BYTES_MAX
from processors.vocabulary.reasons import Reason
from processors.vocabulary.record import Header
from processors.vocabulary.signal import CONTENT_TYPE

STRUCTURED: Final[Header] = (CONTENT_TYPE, b"application/cloudevents+json")
_AVRO: Final[Header] = (CONTENT_TYPE, b"application/cloudevents+avro")
_STRANGER: Final = b"another-tenant"

Attributes: TypeAlias = Mapping[str, Any]
Bad: TypeAlias = tuple[Reason, bytes | None, bytes | None, list[Header]]
"""Reason, key (None: the tenant's own), value, headers."""
Kind: TypeAlias = Callable[[Attributes], Bad]


def _structured(reason: Reason, value: bytes | None, key: bytes | None = None) -> Bad:
    return reason, key, value, [STRUCTURED]


def _null(_: Attributes) -> Bad:
    return Reason.NULL_VALUE, None, None, []


def _cut_short(event: Attributes) -> Bad:
    return _structured(Reason.NOT_JSON, json.dumps(event).encode()[:-7])


def _not_a_number(event: Attributes) -> Bad:
    return _structured(Reason.NOT_JSON, json.dumps({**event, "data": {"price": float("nan")}}).encode())


def _other_encoding(event: Attributes) -> Bad:
    return _structured(
        Reason.NOT_UTF8, json.dumps({**event, "subject": "Zürich"}, ensure_ascii=False).encode("latin-1")
    )


def _too_deep(event: Attributes) -> Bad:
    nested = "[" * (DEPTH_MAX + 1) + "]" * (DEPTH_MAX + 1)
    return _structured(Reason.TOO_DEEP, json.dumps(event).encode()[:-1] + f', "data": {nested}}}'.encode())


def _twice(event: Attributes) -> Bad:
    return _structured(Reason.DUPLICATE_ATTRIBUTE, json.dumps(event).encode()[:-1] + b', "source": "/other"}')


def _no_source(event: Attributes) -> Bad:
    rest = {name: value for name, value in event.items() if name != "source"}
    return _structured(Reason.INVALID_ENVELOPE, json.dumps(rest).encode())


def _no_such_day(event: Attributes) -> Bad:
    return _structured(Reason.INVALID_ENVELOPE, json.dumps({**event, "time": "2026-02-30T25:00:00Z"}).encode())


def _other_format(event: Attributes) -> Bad:
    return Reason.UNSUPPORTED_MODE, None, json.dumps(event).encode(), [_AVRO]


def _wrong_key(event: Attributes) -> Bad:
    return _structured(Reason.WRONG_KEY, json.dumps(event).encode(), _STRANGER)


def _too_large(event: Attributes) -> Bad:
    return _structured(Reason.TOO_LARGE, json.dumps({**event, "data": "x" * SIGNAL_BYTES_MAX}).encode())


BAD: Final[tuple[Kind, ...]] = (
    _null,
    _cut_short,
    _not_a_number,
    _other_encoding,
    _too_deep,
    _twice,
    _no_source,
    _no_such_day,
    _other_format,
    _wrong_key,
)
ONLY_KAFKA: Final[frozenset[Kind]] = frozenset({_wrong_key})
"""Over HTTP there is no key, so this cannot go wrong there."""
TOO_LARGE: Final[Kind] = _too_large
"""A megabyte each, so sent a few times only."""
