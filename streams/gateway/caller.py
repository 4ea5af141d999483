"""Who makes a request: a key, or an address where no key is asked for."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from aiohttp import web

from processors.admission import Tier
from processors.vocabulary import rules
from processors.vocabulary.access import TIER
from processors.vocabulary.permissions import EVERYTHING, allows
from streams.gateway.hosts import is_loopback

NORMAL: Final = TIER
_REMEMBERED_MAX: Final = 1_024


@dataclass(frozen=True, slots=True)
class Caller:
    """What a request may do, and under which name it is counted."""

    name: str
    """`key:PREFIX`, or `address:IP` of somebody on this machine who needs no key."""
    tenant: str = ""
    """The only tenant that it may speak for; empty: every one."""
    permissions: frozenset[str] = frozenset({EVERYTHING})
    tier: str = NORMAL

    def may(self, permission: str) -> bool:
        """Return whether it has a permission."""
        return allows(self.permissions, permission)

    def may_speak_for(self, tenant: str) -> bool:
        """Return whether it may name a tenant. Reserved ones are nobody's who is bound to a tenant."""
        return self.tenant in {"", tenant} and rules.is_tenant(tenant, reserved_ok=not self.tenant)


KEY: Final = web.RequestKey("caller", Caller)
"""Under which a request keeps its caller. Each one below /v1/ has it: a handler that finds none must fail."""


@lru_cache(maxsize=_REMEMBERED_MAX)
def of_address(peer: str, local_limits: bool) -> Caller:  # noqa: FBT001 - one question, asked in one place
    """Return who has no key: the peer of the connection, for what `Forwarded` says is only claimed."""
    free = is_loopback(peer) and not local_limits
    return Caller(f"address:{peer}", tier=Tier.UNLIMITED if free else Tier.NORMAL)
