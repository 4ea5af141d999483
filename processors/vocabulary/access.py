"""An API key as the lane keeps it and the gateways know it: whose, what it may, until when; never its secret."""

import re
from typing import Final

import msgspec

TIER: Final = "normal"
PREFIX_CHARACTERS: Final = 10
LABEL_CHARACTERS_MAX: Final = 100
PERMISSIONS_MAX: Final = 64
VERSION: Final = 1
_NAMES: Final = b"key/"

is_prefix: Final = re.compile(rf"[0-9A-Za-z]{{{PREFIX_CHARACTERS}}}").fullmatch
is_hash: Final = re.compile(r"[0-9a-f]{8}:[0-9a-f]{64}").fullmatch
"""Which secret_key it was made with (eight digits that tell nothing of it), and the keyed hash of the key."""


class AccessKey(msgspec.Struct, frozen=True, gc=False):
    """One key. What the topic `access` and the lane's state hold is this, in JSON."""

    tenant: str
    prefix: str
    """The part of the key that is no secret: by it a key is named."""
    hash: str
    permissions: tuple[str, ...]
    created_ms: int
    number: int = 1
    """How many changes it has seen: of two records of one key the higher one holds, in whatever order they come."""
    tier: str = TIER
    label: str = ""
    expires_ms: int = 0
    previous: str = ""
    """The hash before the last rotation, good for a grace time."""
    previous_until_ms: int = 0
    revoked_ms: int = 0
    version: int = VERSION

    @property
    def name(self) -> bytes:
        """What the key is found by, in the topic and in state."""
        return name_of(self.tenant, self.prefix)

    def dead(self, now_ms: int) -> str:
        """Return why it is good no more; empty if it is good."""
        if self.revoked_ms:
            return "revoked"
        return "expired" if self.expires_ms and self.expires_ms <= now_ms else ""

    def hashes(self, now_ms: int) -> tuple[str, ...]:
        """Return the hashes that are good now, as far as the key itself is."""
        return (self.hash, self.previous) if self.previous and now_ms < self.previous_until_ms else (self.hash,)


pack: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(AccessKey).decode


def unpack(packed: bytes) -> AccessKey:
    """Read a key. Raises `msgspec.DecodeError` for what is none."""
    return _decode(packed)


def name_of(tenant: str, prefix: str) -> bytes:
    """Return what a key is found by. Its tenant is in it: nobody takes another one's key away with the same prefix."""
    return b"%b%b\x00%b" % (_NAMES, tenant.encode(), prefix.encode())


def is_name(name: bytes) -> bool:
    """Tell whether a record of `access` is a key's: other things that gateways must know stand there, too."""
    return name.startswith(_NAMES)


def named(name: bytes) -> tuple[str, str]:
    """Return the tenant and the prefix of a key that is found by this."""
    tenant, _, prefix = name.removeprefix(_NAMES).partition(b"\x00")
    return tenant.decode(), prefix.decode()
