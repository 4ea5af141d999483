"""`hopline.directive.cancel`: take back a directive that waits for its time. The hop carries it out itself."""

from typing import Final

import msgspec

from processors.directives.definition import Applied, Definition, Place, RefusedError
from processors.directives.record import Directive, Status, directive_key, unpack

CANCEL: Final = "hopline.directive.cancel"


class Cancel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which one: its idempotency key, or `source#id` of the event that asked for it without one."""

    key: str


def found(place: Place, wanted: Cancel) -> Directive:
    """Return the directive that is to be cancelled. Raises `RefusedError` if there is none that waits."""
    packed = place.step.overlay.get(directive_key(place.tenant, wanted.key))
    directive = None if packed is None else unpack(packed)
    if directive is None:
        message = f"tenant {place.tenant!r} has no directive {wanted.key!r}"
        raise RefusedError(message)
    if directive.status is not Status.REQUESTED:
        message = f"directive {wanted.key!r} has {directive.status} already"
        raise RefusedError(message)
    return directive


def _apply(place: Place, wanted: Cancel) -> Applied:
    directive = found(place, wanted)
    return Applied({"key": wanted.key, "status": directive.status}, {"key": wanted.key, "status": Status.CANCELLED})


DEFINITION: Final = Definition(CANCEL, "cancel a directive that waits for its time", "directive:write", Cancel, _apply)
