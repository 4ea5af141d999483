"""`hopline.key.create`: a new API key for a tenant; its secret stays with who made it, only a keyed hash comes here."""

from typing import Final

import msgspec

from processors.admission import Tier
from processors.directives import keys
from processors.directives.definition import Applied, Definition, Place, RefusedError
from processors.vocabulary import rules
from processors.vocabulary.access import (
    LABEL_CHARACTERS_MAX,
    PERMISSIONS_MAX,
    PREFIX_CHARACTERS,
    TIER,
    AccessKey,
    is_hash,
    is_prefix,
)
from processors.vocabulary.permissions import EVERYTHING, KEY_WRITE, PERMISSIONS
from processors.vocabulary.reasons import Problem
from processors.vocabulary.timestamps import is_time, milliseconds

CREATE: Final = "hopline.key.create"
HASH_WRONG: Final = "must be what `hopline keys create` makes of a key: the keyed hash, never the key itself"


class CreateKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose it is says the directive's tenant; `_system` is an operator's key."""

    prefix: str
    hash: str
    permissions: tuple[str, ...]
    tier: str = TIER
    label: str = ""
    """What it is for, in words."""
    expires: str = ""
    """RFC 3339; without it the key is good until it is revoked."""


def _judge(wanted: CreateKey) -> tuple[Problem, ...]:
    unknown = sorted({*wanted.permissions} - PERMISSIONS.keys() - {EVERYTHING})
    listed = f"must be some of {', '.join(PERMISSIONS)} or {EVERYTHING}"
    checks = (
        ("prefix", is_prefix(wanted.prefix), f"must be {PREFIX_CHARACTERS} letters and digits"),
        ("hash", is_hash(wanted.hash), HASH_WRONG),
        ("permissions", 0 < len(wanted.permissions) <= PERMISSIONS_MAX and not unknown, listed),
        ("tier", wanted.tier in set(Tier), f"must be one of {', '.join(Tier)}"),
        (
            "label",
            len(wanted.label) <= LABEL_CHARACTERS_MAX and rules.is_allowed(wanted.label),
            f"must be at most {LABEL_CHARACTERS_MAX} characters, without control characters",
        ),
        ("expires", not wanted.expires or is_time(wanted.expires), "must be an RFC 3339 timestamp"),
    )
    return tuple(Problem(f"data.{field}", message) for field, right, message in checks if not right)


def _apply(place: Place, wanted: CreateKey) -> Applied:
    keys.require_no_more(place, wanted.permissions)
    if keys.find(place, wanted.prefix) is not None:
        message = f"there is or was a key {wanted.prefix!r} already; make another one"
        raise RefusedError(message)
    now_ms = place.step.now_ms
    expires_ms = milliseconds(wanted.expires) if wanted.expires else 0
    if wanted.expires and expires_ms <= now_ms:
        message = f"the key would have expired already ({wanted.expires})"
        raise RefusedError(message)
    keys.make_room(place)
    key = AccessKey(
        tenant=place.tenant,
        prefix=wanted.prefix,
        hash=wanted.hash,
        permissions=tuple(sorted(set(wanted.permissions))),
        created_ms=now_ms,
        tier=wanted.tier,
        label=wanted.label,
        expires_ms=expires_ms,
    )
    return keys.keep(place, None, key)


DEFINITION: Final = Definition(
    CREATE, "create a key of the gateway", KEY_WRITE, CreateKey, _apply, _judge, for_system=True
)
