"""Ids that derive from their cause, so that the same input gives the same ids on every replay."""

from hashlib import blake2b
from typing import Final

DIGEST_BYTES: Final = 16
_SEPARATOR: Final = b"\x00"


def digest(*parts: bytes) -> bytes:
    """Return 16 bytes that stand for the parts in their order. Parts must not contain NUL."""
    return blake2b(_SEPARATOR.join(parts), digest_size=DIGEST_BYTES).digest()


def derived_id(parent: str, path: str) -> str:
    """Return the id of what `parent` caused at `path`."""
    return digest(parent.encode(), path.encode()).hex()


def coordinate_id(topic: str, partition: int, offset: int) -> str:
    """Return the id of a record that came without one: derived from where it stands."""
    return digest(topic.encode(), b"%d" % partition, b"%d" % offset).hex()


def signal_ref(tenant: str, source: str, id_: str) -> str:
    """Return the reference of a signal: the same for whoever knows whose it is, where it comes from and its id."""
    return digest(tenant.encode(), source.encode(), id_.encode()).hex()


def uuid7(now_ms: int, randomness: bytes) -> str:
    """Return a UUIDv7 (RFC 9562) of the time and ten random bytes, both given."""
    number = (now_ms & (2**48 - 1)) << 80 | int.from_bytes(randomness[:10], "big")
    number = number & ~(0xF << 76) | 0x7 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
