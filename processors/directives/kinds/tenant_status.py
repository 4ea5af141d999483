"""`hopline.tenant.create|suspend|resume|delete`: a tenant's life."""

from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from processors.directives.definition import Applied, Definition, Place, RefusedError
from processors.ingest import policy
from processors.ingest.policy import TenantChange
from processors.ingest.tenant import Status
from processors.vocabulary.permissions import TENANT_WRITE


class Why(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a tenant's status is changed, for who reads the audit."""

    reason: str = ""


def _create(place: Place, change: TenantChange) -> Applied:
    there = place.policy()
    if there is not None and there.status is not Status.DELETED:
        message = f"tenant {place.tenant!r} is there already; set what should change with hopline.tenant.set"
        raise RefusedError(message)
    return place.change(msgspec.structs.replace(change, status=change.status or Status.ACTIVE))


def _to(status: Status, place: Place, _: Why) -> Applied:
    if place.require().status is Status.DELETED and status is not Status.DELETED:
        message = f"tenant {place.tenant!r} is deleted; hopline.tenant.create makes it anew"
        raise RefusedError(message)
    return place.change(TenantChange(status=status))


def _status(verb: str, summary: str, status: Status) -> Definition[Why]:
    apply: Callable[[Place, Why], Applied] = partial(_to, status)
    return Definition(f"hopline.tenant.{verb}", summary, TENANT_WRITE, Why, apply)


DEFINITIONS: Final = (
    Definition(
        "hopline.tenant.create",
        "create a tenant, with limits if wanted",
        TENANT_WRITE,
        TenantChange,
        _create,
        policy.problems_of,
    ),
    _status("suspend", "set a tenant's signals aside until it is resumed", Status.SUSPENDED),
    _status("resume", "handle a suspended tenant's signals again", Status.ACTIVE),
    _status("delete", "handle no signals of a tenant any more", Status.DELETED),
)
