"""The text of an API key: made, told apart from a typo, hashed to be compared, and kept out of what is written.

`hop_PREFIX_SECRET`: the prefix names the key and is no secret; the secret is 43 letters and digits (256 bits) and six
more that check the whole, so that a key that was copied badly is told apart from one that nobody knows.
"""

import hmac
import logging
import re
import secrets
import string
from dataclasses import dataclass, field
from typing import Final
from zlib import crc32

from typing_extensions import override

from processors.vocabulary.access import PREFIX_CHARACTERS
from streams.secret import derived
from streams.settings import Settings

PURPOSE: Final = "access-keys"
SECRET_CHARACTERS: Final = 43
"""62 to the power of this is just above 2 to the power of 256."""
CHECK_CHARACTERS: Final = 6
_ALPHABET: Final = string.digits + string.ascii_letters
_KEY: Final = re.compile(
    rf"hop_(?P<prefix>[0-9A-Za-z]{{{PREFIX_CHARACTERS}}})_"
    rf"(?P<secret>[0-9A-Za-z]{{{SECRET_CHARACTERS}}})(?P<check>[0-9A-Za-z]{{{CHECK_CHARACTERS}}})"
).fullmatch
_ANYWHERE: Final = re.compile(rf"hop_([0-9A-Za-z]{{{PREFIX_CHARACTERS}}})_[0-9A-Za-z]+")
_DIGEST: Final = "sha256"


@dataclass(frozen=True, slots=True)
class Pepper:
    """What keys are hashed with. Who reads the hashes without it cannot even try keys against them."""

    key: bytes = field(repr=False)

    @classmethod
    def of(cls, settings: Settings) -> "Pepper":
        """Return the one that derives from `secret_key`. Raises `SettingsError` if there is none."""
        return cls(derived(settings, PURPOSE))

    @property
    def mark(self) -> str:
        """Eight digits that tell one secret_key from another one, and nothing about it."""
        return hmac.digest(self.key, b"mark", _DIGEST)[:4].hex()

    def hash(self, text: str) -> str:
        """Return the keyed hash of a key, as it is stored."""
        return f"{self.mark}:{hmac.digest(self.key, b'key:' + text.encode(), _DIGEST).hex()}"


def new_prefix() -> str:
    """Return a name for a new key."""
    return _random(PREFIX_CHARACTERS)


def new_key(prefix: str) -> str:
    """Return a new key under a name: 256 bits from the operating system."""
    body = f"hop_{prefix}_{_random(SECRET_CHARACTERS)}"
    return body + _check(body)


def prefix_of(text: str) -> str | None:
    """Return the name of a key; None if the text is none, or was copied badly."""
    # A key is ASCII; `fullmatch` would let no other digit pass, and `compare_digest` wants bytes.
    found = _KEY(text)
    if found is None or not hmac.compare_digest(_check(text[:-CHECK_CHARACTERS]), found["check"]):
        return None
    return found["prefix"]


def redacted(text: str) -> str:
    """Return a text with the secrets of all keys in it taken out."""
    return _ANYWHERE.sub(r"hop_\1_***", text)


class RedactingFormatter(logging.Formatter):
    """Formats as another one does, and takes the secrets of keys out."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    @override
    def format(self, record: logging.LogRecord) -> str:
        return redacted(self._inner.format(record))


def _random(count: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(count))


def _check(body: str) -> str:
    number, digits = crc32(body.encode()), []
    for _ in range(CHECK_CHARACTERS):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(digits)
