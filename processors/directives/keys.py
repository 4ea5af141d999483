"""The API keys of a tenant in its lane's state; each change is written to `access` in the same transaction."""

from typing import Any, Final

from processors.directives.definition import Applied, Place, RefusedError
from processors.directives.record import HOP
from processors.state import value_key
from processors.step import format_header
from processors.vocabulary import permissions, topics
from processors.vocabulary.access import AccessKey, pack, unpack

LIVING_MAX: Final = 100
"""Keys of one tenant that are neither revoked nor expired."""
KEPT_MAX: Final = 500
"""Keys of one tenant in all. What is dead is kept to be listed, and so that its prefix is not used again."""


def state_key(tenant: str, prefix: str) -> bytes:
    """Return where a key stands; with an empty prefix, what all keys of a tenant begin with."""
    return value_key(tenant, HOP, b"k/" + prefix.encode())


def find(place: Place, prefix: str) -> AccessKey | None:
    """Return a key of the tenant; None if it has no such key."""
    packed = place.step.overlay.get(state_key(place.tenant, prefix))
    return None if packed is None else unpack(packed)


def require(place: Place, prefix: str) -> AccessKey:
    """Return a key of the tenant. Raises `RefusedError` if it has no such key."""
    key = find(place, prefix)
    if key is None:
        message = f"tenant {place.tenant!r} has no key {prefix!r}"
        raise RefusedError(message)
    return key


def require_no_more(place: Place, wanted: tuple[str, ...]) -> None:
    """Refuse to hand out what the requester has not got itself."""
    missing = permissions.lacking(place.granted, wanted)
    if missing:
        message = f"the key may {', '.join(missing)}, and its requester may not"
        raise RefusedError(message)


def make_room(place: Place) -> None:
    """Forget the key that died first if there are too many. Raises `RefusedError` if too many live."""
    found = place.step.overlay.scan(state_key(place.tenant, ""), KEPT_MAX)
    keys = [unpack(packed) for _, packed in found]
    now_ms = place.step.now_ms
    dead = [key for key in keys if key.dead(now_ms)]
    if len(keys) - len(dead) >= LIVING_MAX:
        message = f"tenant {place.tenant!r} has {LIVING_MAX} keys, which is the limit; revoke some"
        raise RefusedError(message)
    if len(keys) >= KEPT_MAX:
        oldest = min(dead, key=lambda key: (key.revoked_ms or key.expires_ms, key.prefix))
        place.step.overlay.put(state_key(place.tenant, oldest.prefix), None)
        _write(place, oldest.name, None)


def keep(place: Place, before: AccessKey | None, after: AccessKey) -> Applied:
    """Put a key in force: in state, and for the gateways."""
    packed = pack(after)
    place.step.overlay.put(state_key(after.tenant, after.prefix), packed)
    _write(place, after.name, packed)
    return Applied(None if before is None else _shown(before), _shown(after))


def _write(place: Place, name: bytes, packed: bytes | None) -> None:
    step = place.step
    step.emit(topics.ACCESS, step.lane, (name, packed, [format_header(step.write_format)]))


def _shown(key: AccessKey) -> dict[str, Any]:
    """Return a key as the audit shows it: without its hashes."""
    return {
        "prefix": key.prefix,
        "number": key.number,
        "permissions": key.permissions,
        "tier": key.tier,
        "label": key.label,
        "expires_ms": key.expires_ms,
        "previous_until_ms": key.previous_until_ms,
        "revoked_ms": key.revoked_ms,
    }
