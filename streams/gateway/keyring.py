"""All API keys as a gateway knows them, and which of them a text is. No I/O: records, time and the pepper are given."""

import hmac
import logging
from collections.abc import Iterator
from enum import StrEnum
from typing import Final

import msgspec

from processors.admission import Tier
from processors.vocabulary.access import AccessKey, is_name, named, unpack
from processors.vocabulary.rules import SYSTEM
from streams.gateway.caller import Caller
from streams.keys import Pepper, prefix_of

log = logging.getLogger(__name__)

KEYS_MAX: Final = 100_000
"""Keys that a gateway keeps in memory, those that are dead included."""
_NOBODYS: Final = f"{0:08x}:{0:064x}"
"""Compared with where there is no hash, so that it takes as long."""


class Refusal(StrEnum):
    """Why a text opens nothing. Closed: it is a label of a metric."""

    MISSING = "missing_key"
    MISTYPED = "mistyped_key"
    UNKNOWN = "unknown_key"
    REVOKED = "revoked_key"
    EXPIRED = "expired_key"
    ROTATED = "rotated_key"


class Keyring:
    """The keys by their records in the topic `access`, read in whatever order the lanes give them."""

    def __init__(self, pepper: Pepper | None = None) -> None:
        self._pepper = pepper
        self._keys: dict[str, dict[str, AccessKey]] = {}
        """By prefix, and then by tenant: two tenants may have the same prefix, each its own secret."""
        self._count = 0
        self._full = False

    @property
    def can_check(self) -> bool:
        """Whether there is a secret to check keys with."""
        return self._pepper is not None

    @property
    def full(self) -> bool:
        """Whether some keys are not known here because there are too many."""
        return self._full

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[AccessKey]:
        for keys in self._keys.values():
            yield from keys.values()

    def strangers(self) -> int:
        """Return how many living keys were made with another secret_key: nobody gets in with those."""
        mark = self._pepper.mark if self._pepper else ""
        return sum(not key.revoked_ms and not key.hash.startswith(mark) for key in self)

    def take(self, name: bytes | None, packed: bytes | None) -> None:
        """Take a record of the topic in: a key as it is now, or that it is forgotten. Others' are left alone."""
        if name is None or not is_name(name):
            return
        try:
            tenant, prefix = named(name)
            if packed is None:
                self._forget(tenant, prefix)
                return
            key = unpack(packed)
        except (msgspec.DecodeError, UnicodeError) as error:
            log.warning("a record of the keys' topic cannot be read and is left out: %s", type(error).__name__)
            return
        if (key.tenant, key.prefix) == (tenant, prefix):
            self._put(key)

    def _forget(self, tenant: str, prefix: str) -> None:
        keys = self._keys.get(prefix, {})
        if keys.pop(tenant, None) is not None:
            self._count -= 1
        if not keys:
            self._keys.pop(prefix, None)

    def _put(self, key: AccessKey) -> None:
        known = self._keys.get(key.prefix, {}).get(key.tenant)
        if known is not None and known.number > key.number:
            return
        if known is None:
            if self._count >= KEYS_MAX:
                self._full = True
                return
            self._count += 1
        self._keys.setdefault(key.prefix, {})[key.tenant] = key

    def hash(self, text: str) -> str:
        """Return what a key that was found is compared by."""
        return self._pepper.hash(text) if self._pepper else ""

    def holds(self, name: bytes, made: str, now_ms: int) -> bool:
        """Tell whether what was found once, by this hash, still opens: for who stays longer than a request."""
        tenant, prefix = named(name)
        key = self._keys.get(prefix, {}).get(tenant)
        return key is not None and not key.dead(now_ms) and made in key.hashes(now_ms)

    def find(self, text: str, now_ms: int) -> tuple[Caller, AccessKey] | Refusal:
        """Return whose key a text is, or why it opens nothing. Takes as long for a stranger's as for a wrong secret."""
        prefix = prefix_of(text)
        if prefix is None or self._pepper is None:
            return Refusal.MISTYPED if prefix is None else Refusal.UNKNOWN
        made = self._pepper.hash(text)
        found: tuple[AccessKey, bool] | None = None
        for key in self._keys.get(prefix, {}).values() or (None,):
            own, before = (_NOBODYS, "") if key is None else (key.hash, key.previous)
            is_own = hmac.compare_digest(made, own)
            was_own = hmac.compare_digest(made, before or _NOBODYS)
            if key is not None and (is_own or was_own):
                found = (key, is_own)
        return Refusal.UNKNOWN if found is None else _judged(*found, now_ms)


def _judged(key: AccessKey, is_own: bool, now_ms: int) -> tuple[Caller, AccessKey] | Refusal:  # noqa: FBT001 - unpacked
    """Return who comes with a key whose secret is right. Only he is told what is wrong with it."""
    if dead := key.dead(now_ms):
        return Refusal.REVOKED if dead == "revoked" else Refusal.EXPIRED
    if not is_own and now_ms >= key.previous_until_ms:
        return Refusal.ROTATED
    tenant = "" if key.tenant == SYSTEM else key.tenant
    return Caller(f"key:{key.prefix}", tenant, frozenset(key.permissions), _tier(key)), key


def _tier(key: AccessKey) -> Tier:
    """Return a key's tier; the usual one if a later version has given it one that is not known here."""
    return Tier(key.tier) if key.tier in set(Tier) else Tier.NORMAL
