"""`hopline.directive.cancel`: take back a directive that waits for its time. The hop carries it out itself."""

from typing import Final

import msgspec

from processors.directives.definition import Applied, Definition, Place, RefusedError
from processors.directives.record import Status, directive_key, unpack
from processors.vocabulary.permissions import DIRECTIVE_WRITE

CANCEL: Final = "hopline.directive.cancel"


class Cancel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which one: its idempotency key, or `source#id` of the event that asked for it without one."""

    key: str


def _apply(place: Place, wanted: Cancel) -> Applied:
    packed = place.step.overlay.get(directive_key(place.tenant, wanted.key))
    if packed is None:
        message = f"tenant {place.tenant!r} has no directive {wanted.key!r}"
        raise RefusedError(message)
    directive = unpack(packed)
    if directive.status is not Status.REQUESTED:
        running = directive.status is Status.RUNNING
        message = f"directive {wanted.key!r} " + ("runs already" if running else f"has {directive.status} already")
        raise RefusedError(message)
    before, after = ({"key": wanted.key, "status": status} for status in (directive.status, Status.CANCELLED))
    return Applied(before, after, cancelled=(directive,))


DEFINITION: Final = Definition(
    CANCEL, "cancel a directive that waits for its time", DIRECTIVE_WRITE, Cancel, _apply, for_system=True
)
