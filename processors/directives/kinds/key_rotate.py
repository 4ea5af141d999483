"""`hopline.key.rotate`: a new secret for an API key; the old one stays good for a grace time."""

from typing import Final

import msgspec

from processors.directives import keys
from processors.directives.definition import Applied, Definition, Place, RefusedError
from processors.directives.kinds.key_create import HASH_WRONG
from processors.vocabulary.access import is_hash
from processors.vocabulary.permissions import KEY_WRITE
from processors.vocabulary.reasons import Problem

ROTATE: Final = "hopline.key.rotate"
GRACE_SECONDS: Final = 24 * 3_600
GRACE_SECONDS_MAX: Final = 30 * 24 * 3_600


class RotateKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which one, the hash of its new secret, and how long the old secret is still good."""

    prefix: str
    hash: str
    grace_seconds: int = GRACE_SECONDS


def _judge(wanted: RotateKey) -> tuple[Problem, ...]:
    problems = []
    if not is_hash(wanted.hash):
        problems.append(Problem("data.hash", HASH_WRONG))
    if not 0 <= wanted.grace_seconds <= GRACE_SECONDS_MAX:
        problems.append(Problem("data.grace_seconds", f"must be from 0 to {GRACE_SECONDS_MAX}"))
    return tuple(problems)


def _apply(place: Place, wanted: RotateKey) -> Applied:
    key, now_ms = keys.require(place, wanted.prefix), place.step.now_ms
    # Who rotates a key has its new secret: that must not be more than it has already.
    keys.require_no_more(place, key.permissions)
    if dead := key.dead(now_ms):
        message = f"key {wanted.prefix!r} is {dead}; create another one"
        raise RefusedError(message)
    if wanted.hash in {key.hash, key.previous}:
        message = f"key {wanted.prefix!r} has or had this very secret; rotate to a new one"
        raise RefusedError(message)
    after = msgspec.structs.replace(
        key,
        hash=wanted.hash,
        previous=key.hash if wanted.grace_seconds else "",
        previous_until_ms=now_ms + 1_000 * wanted.grace_seconds if wanted.grace_seconds else 0,
        number=key.number + 1,
    )
    return keys.keep(place, key, after)


DEFINITION: Final = Definition(
    ROTATE, "give a key of the gateway a new secret", KEY_WRITE, RotateKey, _apply, _judge, for_system=True
)
