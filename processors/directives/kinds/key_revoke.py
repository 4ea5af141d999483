"""`hopline.key.revoke`: an API key is good no more, at once and for ever; neither is its secret before a rotation."""

from typing import Final

import msgspec

from processors.directives import keys
from processors.directives.definition import Applied, Definition, Place
from processors.vocabulary.permissions import KEY_WRITE

REVOKE: Final = "hopline.key.revoke"


class RevokeKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which one."""

    prefix: str


def _apply(place: Place, wanted: RevokeKey) -> Applied:
    key = keys.require(place, wanted.prefix)
    # Once more changes nothing and succeeds: who revokes wants it dead, not a lecture.
    after = msgspec.structs.replace(
        key,
        revoked_ms=key.revoked_ms or max(1, place.step.now_ms),
        previous="",
        previous_until_ms=0,
        number=key.number + 1,
    )
    return keys.keep(place, key, after)


DEFINITION: Final = Definition(REVOKE, "revoke a key of the gateway", KEY_WRITE, RevokeKey, _apply, for_system=True)
