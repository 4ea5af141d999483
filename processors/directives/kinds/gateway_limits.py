"""`hopline.gateway.limit.set`: how much a tier of callers may do on a channel of the gateways, all of them."""

from typing import Final

import msgspec

from processors.admission import Channel, Limit, Tier
from processors.admission.table import DEFAULTS, key_of, packed, problems_of, unpacked
from processors.directives.definition import Applied, Definition, Place
from processors.directives.record import HOP
from processors.state import value_key
from processors.step import format_header
from processors.vocabulary import topics
from processors.vocabulary.permissions import LIMIT_WRITE
from processors.vocabulary.reasons import Problem

NAME: Final = "hopline.gateway.limit.set"


class SetGatewayLimit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """So many a second, and so many at once after a rest."""

    channel: Channel
    tier: Tier
    rate_per_second: float
    burst: int


def _judge(wanted: SetGatewayLimit) -> tuple[Problem, ...]:
    problems = problems_of(wanted.rate_per_second, wanted.burst)
    if wanted.tier is Tier.UNLIMITED:
        problems = (Problem("data.tier", "has no limit, whatever is set; limit another one"), *problems)
    return problems


def _apply(place: Place, wanted: SetGatewayLimit) -> Applied:
    key = key_of(wanted.channel, wanted.tier)
    kept = value_key(place.tenant, HOP, key.encode())
    known = place.step.overlay.get(kept)
    before = DEFAULTS[wanted.channel, wanted.tier] if known is None else unpacked(known)
    after = packed(Limit(wanted.rate_per_second, wanted.burst))
    place.step.overlay.put(kept, after)
    place.step.emit(topics.ACCESS, place.step.lane, (key.encode(), after, [format_header(place.step.write_format)]))
    shown = {"channel": wanted.channel, "tier": wanted.tier}
    return Applied(
        {**shown, "rate_per_second": before.rate_per_second, "burst": before.burst},
        {**shown, "rate_per_second": wanted.rate_per_second, "burst": wanted.burst},
    )


DEFINITION: Final = Definition(
    name=NAME,
    summary="set how much a tier of callers may do at the gateways",
    permission=LIMIT_WRITE,
    payload=SetGatewayLimit,
    apply=_apply,
    judge=_judge,
    for_tenants=False,
    for_system=True,
)
