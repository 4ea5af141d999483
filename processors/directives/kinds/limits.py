"""`hopline.limit.set`: how many signals a tenant may send, and what happens above that."""

from typing import Final

import msgspec

from processors.directives.definition import Applied, Definition, Place
from processors.ingest import policy
from processors.ingest.policy import TenantChange
from processors.ingest.tenant import Over
from processors.vocabulary.permissions import LIMIT_WRITE
from processors.vocabulary.reasons import Problem


class SetRateLimit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Only what is named changes; a rate of 0 is no limit."""

    rate_per_second: float | None = None
    burst: int | None = None
    over: Over | None = None
    queue_records: int | None = None


def _judge(wanted: SetRateLimit) -> tuple[Problem, ...]:
    return policy.problems_of(_as_change(wanted))


def _apply(place: Place, wanted: SetRateLimit) -> Applied:
    place.require()
    return place.change(_as_change(wanted))


def _as_change(wanted: SetRateLimit) -> TenantChange:
    return TenantChange(**msgspec.structs.asdict(wanted))


DEFINITION: Final = Definition(
    name="hopline.limit.set",
    summary="set a tenant's rate, burst and queue",
    permission=LIMIT_WRITE,
    payload=SetRateLimit,
    apply=_apply,
    judge=_judge,
)
