"""Seal and open with AES-256-GCM: a secret under its tenant's data key, a data key under the master key.

What is sealed is bound to where it belongs: a secret to tenant, integration, field and data key, a data key to tenant
and its own id. Put anywhere else it does not open. No error says more than that.
"""

import base64
import binascii
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from processors.directives.integrations import SEALED

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
SECRET_BYTES_MAX: Final = 8_192
VERSION: Final = "s1"


class SealError(Exception):
    """Something cannot be sealed or opened. The message never holds a value."""


def seal(data_key: bytes, key_id: str, place: tuple[str, str, str], secret: bytes) -> str:
    """Return a secret sealed for tenant, integration and field."""
    if not 0 < len(secret) <= SECRET_BYTES_MAX:
        raise SealError(f"a secret must have 1 to {SECRET_BYTES_MAX} bytes, this one has {len(secret)}")
    return f"{VERSION}.{key_id}.{_text(_close(data_key, _bound('secret', *place, key_id), secret))}"


def open_sealed(data_key: bytes, place: tuple[str, str, str], sealed: str) -> bytes:
    """Return the secret. Raises `SealError` if it is not for this place, or the key is another one."""
    found = SEALED.fullmatch(sealed)
    if found is None:
        raise SealError("this is not a sealed secret")
    return _open(data_key, _bound("secret", *place, found[1]), found[2], "the secret")


def wrap(master_key: bytes, tenant: str, key_id: str, data_key: bytes) -> str:
    """Return a data key sealed by the master key."""
    return _text(_close(master_key, _bound("data key", tenant, key_id), data_key))


def unwrap(master_key: bytes, tenant: str, key_id: str, wrapped: str) -> bytes:
    """Return the data key. Raises `SealError` if the master key is another one."""
    return _open(master_key, _bound("data key", tenant, key_id), wrapped, "the data key")


def _bound(*parts: str) -> bytes:
    """Return what binds to a place; with lengths, so that no two places give the same."""
    return b"".join(b"%d:%b" % (len(part.encode()), part.encode()) for part in ("hopline", VERSION, *parts))


def _close(key: bytes, bound: bytes, content: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, content, bound)


def _open(key: bytes, bound: bytes, text: str, what: str) -> bytes:
    try:
        whole = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        return AESGCM(key).decrypt(whole[:NONCE_BYTES], whole[NONCE_BYTES:], bound)
    except (InvalidTag, binascii.Error, ValueError):
        # From none: what it was made of is nobody's business who reads a traceback.
        raise SealError(f"{what} does not open: sealed for another place or with another key, or damaged") from None


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
