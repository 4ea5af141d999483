"""Who makes a request: a key, or an address where no key is asked for."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from aiohttp import web

from processors.admission import Tier
from processors.vocabulary import rules
from streams.gateway.hosts import is_loopback

EVERYTHING: Final = "*"
NORMAL: Final = "normal"
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
        return EVERYTHING in self.permissions or permission in self.permissions

    def may_speak_for(self, tenant: str) -> bool:
        """Return whether it may name a tenant. Reserved ones are nobody's who is bound to a tenant."""
        return self.tenant in {"", tenant} and rules.is_tenant(tenant, reserved_ok=not self.tenant)


KEY: Final = web.RequestKey("caller", Caller)
"""Where a request carries it, once somebody has authenticated it."""


def caller_of(request: web.Request, *, local_limits: bool = False) -> Caller:
    """Return who makes a request: whom a middleware has found, else the address that it comes from."""
    found = request.get(KEY)
    if found is None:
        # The peer of the connection; what `Forwarded` says is only claimed.
        found = request[KEY] = _at(request.remote or "", local_limits)
    return found


@lru_cache(maxsize=_REMEMBERED_MAX)
def _at(peer: str, local_limits: bool) -> Caller:  # noqa: FBT001 - asked for just above
    free = is_loopback(peer) and not local_limits
    return Caller(f"address:{peer}", tier=Tier.UNLIMITED if free else Tier.NORMAL)
