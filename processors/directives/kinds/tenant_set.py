"""`hopline.tenant.set`: a tenant's status and limits; only what is named changes. Creates the tenant if need be."""

from typing import Final

from processors.directives.definition import Applied, Definition, Place
from processors.ingest import policy
from processors.ingest.policy import TenantChange
from processors.vocabulary.permissions import TENANT_WRITE


def _apply(place: Place, change: TenantChange) -> Applied:
    return place.change(change)


DEFINITION: Final = Definition(
    name=policy.TENANT_SET,
    summary="set a tenant's status and limits",
    permission=TENANT_WRITE,
    payload=TenantChange,
    apply=_apply,
    judge=policy.problems_of,
)
