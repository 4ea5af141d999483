"""Who asks for a directive, signed by a gateway that has checked a key: what is signed, and whether it holds."""

import hmac
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import msgspec

from processors.directives.names import EXPIRES, GRANTED, KEY, NOT_BEFORE, REQUESTER, SIGNATURE, SIGNED_AT
from processors.vocabulary.signal import Scalar

AGE_MS_MAX: Final = 10 * 60_000
"""A signed command that comes later than this, or from so far ahead, is too old: it must be asked for anew."""
PURPOSE: Final = "requester"
"""What the key that signs is derived for."""
_DIGEST: Final = "sha256"
_MARK_BYTES: Final = 16
_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Event:
    """What identifies the event that asks."""

    tenant: str
    source: str
    id: str
    type: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Signed:
    """Who asks, and with which permissions, as a gateway has found it."""

    requester: str
    granted: tuple[str, ...]
    stale: bool
    """It was signed too long ago to be carried out, though nobody has changed it."""


def extensions(
    key: bytes, event: Event, steering: Mapping[str, str], requester: str, granted: Collection[str], now_ms: int
) -> dict[str, str]:
    """Return the extensions that a gateway adds. `steering` are the event's others: key and times."""
    found = {REQUESTER: requester, GRANTED: " ".join(sorted(granted)), SIGNED_AT: str(now_ms)}
    return {**found, SIGNATURE: _signature(key, event, {**steering, **found})}


def verified(key: bytes, event: Event, found: Mapping[str, Scalar], now_ms: int) -> Signed | None:
    """Return who asks; None if the signature does not hold."""
    texts = {name: str(found.get(name, "")) for name in (*_COVERED, SIGNATURE)}
    if not key or not hmac.compare_digest(_signature(key, event, texts).encode(), texts[SIGNATURE].encode()):
        return None
    # Ours, so it is a number.
    age_ms = now_ms - int(texts[SIGNED_AT])
    return Signed(texts[REQUESTER], tuple(texts[GRANTED].split()), abs(age_ms) > AGE_MS_MAX)


def mark_of(key: bytes, fingerprint: bytes) -> str:
    """Return what tells two directives under one idempotency key apart, and nothing about their payloads."""
    return hmac.digest(key, b"mark\x00" + fingerprint, _DIGEST)[:_MARK_BYTES].hex() if key else ""


_COVERED: Final = (REQUESTER, GRANTED, SIGNED_AT, KEY, NOT_BEFORE, EXPIRES)


def _signature(key: bytes, event: Event, texts: Mapping[str, str]) -> str:
    """Return the signature over everything that decides what is done, when, for whom and how often."""
    payload = blake2b(event.payload, digest_size=32).hexdigest()
    parts = ["1", event.tenant, event.source, event.id, event.type, payload]
    # As JSON, so that no two lists of texts are the same bytes.
    message = _encode([*parts, *(texts.get(name, "") for name in _COVERED)])
    return hmac.digest(key, b"requester\x00" + message, _DIGEST).hex()
