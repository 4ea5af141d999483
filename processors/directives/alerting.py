"""A tenant's thresholds and silences in its lane's state; each change is written to `alert-settings` with it."""

from typing import Any, Final

import msgspec

from processors.alerting.settings import (
    BY_CHARACTERS_MAX,
    SILENCES_MAX,
    Override,
    Setting,
    Silence,
    override_key,
    pack,
    silence_key,
    tenant_of,
    unpack,
)
from processors.directives.record import HOP
from processors.state import value_key
from processors.step import Step, format_header
from processors.vocabulary import topics

OVERRIDES_MAX: Final = 500
"""Of one tenant that are found again; rules with thresholds are far fewer."""
_NAME: Final = b"alerting/"


def settings_prefix(tenant: str) -> bytes:
    """Return what the keys of a tenant's thresholds and silences begin with."""
    return value_key(tenant, HOP, _NAME)


def shown(packed: bytes) -> dict[str, Any]:
    """Return a setting as people and the audit see it."""
    found: dict[str, Any] = msgspec.json.decode(packed)
    return found


def signed(requester: str) -> str:
    """Return who has set it, cut to what a record holds."""
    return requester[:BY_CHARACTERS_MAX]


def override_of(step: Step, tenant: str, alert: str) -> Override | None:
    """Return what a threshold was set to; None if it was not."""
    found = _read(step, tenant, override_key(tenant_of(tenant), alert))
    return found if isinstance(found, Override) else None


def silence_of(step: Step, tenant: str, id_: str) -> Silence | None:
    """Return a silence; None if there is none of this id, or it is over."""
    found = _read(step, tenant, silence_key(tenant_of(tenant), id_))
    return found if isinstance(found, Silence) and found.until_ms > step.now_ms else None


def put(step: Step, tenant: str, setting: Setting) -> None:
    """Put a setting in force: in state, and for all who follow."""
    _write(step, tenant, setting.key, pack(setting))


def drop(step: Step, tenant: str, key: bytes) -> None:
    """Take a setting out of force."""
    _write(step, tenant, key, None)


def make_room(step: Step, tenant: str) -> bool:
    """Forget the silences that are over; tell whether there is room for one more.

    Not by a timer: readers see by its time that one is over, so that nothing has to wake a lane for it.
    """
    living = 0
    for key, packed in _all(step, tenant):
        setting = unpack(key, packed)
        if isinstance(setting, Silence) and setting.until_ms <= step.now_ms:
            drop(step, tenant, key)
        else:
            living += isinstance(setting, Silence)
    return living < SILENCES_MAX


def drop_all(step: Step, tenant: str) -> None:
    """Take all of a tenant's settings out of force: the next of its name is another one."""
    for key, _ in _all(step, tenant):
        drop(step, tenant, key)


def _all(step: Step, tenant: str) -> list[tuple[bytes, bytes]]:
    begin = settings_prefix(tenant)
    # `put` keeps the silences below their bound and thresholds are as many as rules: this reads all there can be.
    found = step.overlay.scan(begin, SILENCES_MAX + OVERRIDES_MAX)
    return [(key[len(begin) :], packed) for key, packed in found]


def _read(step: Step, tenant: str, key: bytes) -> Setting | None:
    packed = step.overlay.get(settings_prefix(tenant) + key)
    return None if packed is None else unpack(key, packed)


def _write(step: Step, tenant: str, key: bytes, packed: bytes | None) -> None:
    step.overlay.put(settings_prefix(tenant) + key, packed)
    step.emit(topics.ALERT_SETTINGS, step.lane, (key, packed, [format_header(step.write_format)]))
