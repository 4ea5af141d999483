"""`hopline.alert.threshold.set`: from when on an alert is raised, for all or for one tenant; next check, in force."""

from typing import Final

import msgspec

from processors.alerting.rule import Threshold
from processors.alerting.settings import Override, override_key, tenant_of
from processors.directives import alerting
from processors.directives.definition import Applied, Definition, Place, RefusedError
from processors.ingest.tenant import Status
from processors.vocabulary.permissions import ALERT_WRITE
from processors.vocabulary.rules import SYSTEM

SET_THRESHOLD: Final = "hopline.alert.threshold.set"


class SetThreshold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which alert's, and what it is compared with; null goes back to what it was before anybody set it."""

    alert: str
    value: float | None


def _apply(place: Place, wanted: SetThreshold) -> Applied:
    threshold = _movable(place, wanted.alert)
    if wanted.value is not None and not threshold.least <= wanted.value <= threshold.most:
        bounds = f"{threshold.least:g} to {threshold.most:g}"
        message = f"the threshold of {wanted.alert} must be from {bounds} ({threshold.unit})"
        raise RefusedError(message)
    step, tenant = place.step, place.tenant
    before = alerting.override_of(step, tenant, wanted.alert)
    known = {"alert": wanted.alert, "value": None if before is None else before.value}
    if wanted.value is not None:
        by = alerting.signed(place.requester)
        override = Override(wanted.alert, tenant_of(tenant), wanted.value, step.now_ms, by)
        alerting.put(step, tenant, override)
    elif before is not None:
        alerting.drop(step, tenant, override_key(before.tenant, before.alert))
    return Applied(known, {"alert": wanted.alert, "value": wanted.value})


def _movable(place: Place, alert: str) -> Threshold:
    """Return the threshold of an alert. Raises `RefusedError` if this tenant has none to move."""
    if place.tenant != SYSTEM and place.require().status is Status.DELETED:
        message = f"tenant {place.tenant!r} is deleted; hopline.tenant.create makes it anew"
        raise RefusedError(message)
    if alert not in place.alerts:
        message = f"there is no alert {alert[:100]!r}; `hopline alerts threshold` lists them"
        raise RefusedError(message)
    threshold = place.alerts[alert]
    if threshold is None:
        message = f"{alert} has no threshold: it is raised whenever its condition holds"
        raise RefusedError(message)
    if place.tenant != SYSTEM and not threshold.per_tenant:
        message = f"{alert} is judged over all tenants together; its threshold is the tenant {SYSTEM!r}'s to set"
        raise RefusedError(message)
    return threshold


DEFINITION: Final = Definition(
    name=SET_THRESHOLD,
    summary="set what an alert compares with, or go back to the default",
    permission=ALERT_WRITE,
    payload=SetThreshold,
    apply=_apply,
    for_system=True,
)
