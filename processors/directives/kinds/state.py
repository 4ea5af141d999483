"""`hopline.state.clear|export`: begin a tenant's state anew, in part; write down what it is."""

from typing import Any, Final

import msgspec

from processors.directives import export
from processors.directives.definition import Applied, Definition, Place, RefusedError
from processors.directives.record import ENDED, KEPT_MS, SCHEDULED_MAX, Status, prefix, timed_name, unpack
from processors.directives.record import HOP as DIRECTIVES
from processors.ingest import policy
from processors.ingest.tenant import HOP as INGEST
from processors.vocabulary.permissions import STATE_READ, STATE_WRITE
from processors.vocabulary.reasons import Problem

STATE_CLEAR: Final = "hopline.state.clear"
STATE_EXPORT: Final = "hopline.state.export"
CLEARED_MAX: Final = 256
"""Answers forgotten in one commit; the rest comes with the next ticks."""
_HOPS: Final = (INGEST, DIRECTIVES)


class ClearState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """At which hops (all, if none is named), and whether the policy goes back to the default, too."""

    hops: tuple[str, ...] = ()
    policy: bool = False


class ExportState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing is to be said."""


class _Progress(msgspec.Struct, array_like=True):
    """How far a clearing has come: what was there before, and since when it runs."""

    began_ms: int
    before: dict[str, Any]
    after: dict[str, Any]
    answers: int = 0


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Progress).decode


def _judge(wanted: ClearState) -> tuple[Problem, ...]:
    if any(hop not in _HOPS for hop in wanted.hops):
        return (Problem("data.hops", f"must be of {', '.join(_HOPS)}"),)
    if wanted.policy and INGEST not in (wanted.hops or _HOPS):
        return (Problem("data.policy", f"is kept by the hop {INGEST}; name that as well"),)
    return ()


def _clear(place: Place, wanted: ClearState) -> Applied:
    place.require()
    progress = _Progress(place.step.now_ms, {}, {})
    hops = wanted.hops or _HOPS
    if INGEST in hops:
        before, after = policy.clear(place.step, place.ingest, place.tenant, policy_too=wanted.policy)
        progress.before[INGEST], progress.after[INGEST] = before, after
    if DIRECTIVES in hops:
        return _go_on(place, wanted, _encode(progress))
    return Applied(progress.before, progress.after)


def _go_on(place: Place, _: ClearState, packed: bytes) -> Applied:
    """Forget answers, as many as one commit may."""
    step, tenant, progress = place.step, place.tenant, _decode(packed)
    left = CLEARED_MAX
    # Those that wait or run are passed over, so that many more are read.
    for key, found in step.overlay.scan(prefix(tenant), CLEARED_MAX + SCHEDULED_MAX + 1):
        directive = unpack(found)
        ended = directive.status not in {Status.REQUESTED, Status.RUNNING}
        if not ended or directive.finished_ms > progress.began_ms:
            continue
        if not left:
            return Applied(None, None, more=_encode(progress))
        ENDED.clear(step.overlay, directive.finished_ms + KEPT_MS, timed_name(tenant, directive.key))
        step.overlay.put(key, None)
        progress.answers += 1
        left -= 1
    progress.before[DIRECTIVES], progress.after[DIRECTIVES] = {"answers": progress.answers}, {"answers": 0}
    return Applied(progress.before, progress.after)


def _export(place: Place, _: ExportState) -> Applied:
    place.require()
    snapshot = export.of(place.step, place.tenant)
    if snapshot is None:
        message = (
            f"the state is more than {export.KEYS_MAX} values or {export.BYTES_MAX} bytes; "
            "clear what is not needed, or read the changelog"
        )
        raise RefusedError(message)
    snapshot.write(place.step, place.tenant)
    return Applied(None, snapshot.summary())


DEFINITIONS: Final[tuple[Definition[Any], ...]] = (
    Definition(STATE_CLEAR, "begin a tenant's state anew", STATE_WRITE, ClearState, _clear, _judge, _go_on),
    Definition(STATE_EXPORT, "write a tenant's state down", STATE_READ, ExportState, _export),
)
