"""Carries the limits out: each request's tokens, the pause of who misbehaves, and what the answer says of both."""

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web
from multidict import CIMultiDict

from processors.admission import Channel, Conduct, Decision, Limiter, Tier
from processors.admission.table import PREFIX
from processors.telemetry import catalogue
from streams.gateway import problems
from streams.gateway.caller import Caller, caller_of
from streams.gateway.limits import RefusedError
from streams.metrics import Metrics
from streams.settings import Settings

VIOLATIONS: Final = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE}
)
"""What a program that works as it should does not get."""
POLICY: Final = "RateLimit-Policy"
STATE: Final = "RateLimit"
WARNING: Final = "RateLimit-Warning"
USE_SHOWN_MAX: Final = 1_000
TABLE_PREFIX: Final = PREFIX
_DECISION: Final = web.RequestKey("decision", Decision)
_CHANNEL: Final = web.RequestKey("channel", Channel)
_NS_PER_MS: Final = 1_000_000


class Admission:
    """Limits and pauses of one gateway."""

    def __init__(self, settings: Settings, metrics: Metrics, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self.limiter = Limiter()
        self.conduct = Conduct()
        self._local_limits = settings.gateway_local_limits
        self._clock_ns = clock_ns
        metrics.gauge(catalogue.GATEWAY_BUCKETS).of().set_function(lambda: len(self.limiter))
        metrics.gauge(catalogue.GATEWAY_COOLING).of().set_function(lambda: self.conduct.cooling(self._now_ms()))

    def caller(self, request: web.Request) -> Caller:
        """Return who makes a request."""
        return caller_of(request, local_limits=self._local_limits)

    def enter(self, request: web.Request) -> Caller:
        """Return who makes a request. Raises `RefusedError` if they must wait after too many invalid ones."""
        caller = self.caller(request)
        if caller.tier != Tier.UNLIMITED:
            pause_ms = self.conduct.pause_ms(caller.name, self._now_ms())
            if pause_ms:
                raise RefusedError(problems.cooling(pause_ms))
        return caller

    def take(self, request: web.Request, caller: Caller, channel: Channel, count: int = 1) -> None:
        """Take tokens for events, all or none; of 0 see whether there is one. Raises `RefusedError`."""
        if caller.tier == Tier.UNLIMITED:
            return
        decision = self.limiter.take(caller.name, channel, Tier(caller.tier), count, self._clock_ns())
        if decision.limit is not None:
            request[_DECISION], request[_CHANNEL] = decision, channel
        if not decision.allowed:
            raise RefusedError(problems.limited(channel.value, decision.retry_after_ms))

    def finish(self, request: web.Request, response: web.StreamResponse) -> None:
        """Count what was wrong, and say in the answer how much is left."""
        caller = self.caller(request)
        if caller.tier == Tier.UNLIMITED:
            return
        if response.status in VIOLATIONS:
            self.conduct.violated(caller.name, self._now_ms())
        decision = request.get(_DECISION)
        if decision is not None:
            _tell(response.headers, decision, request[_CHANNEL])

    def changed(self, key: str, value: bytes | None) -> str:
        """Take over a limit that was set while this runs."""
        return self.limiter.table.set(key, value)

    def shown(self, caller: Caller) -> dict[str, Any]:
        """Return the limits, and what is left in each bucket that the caller may see."""
        limits = [
            {
                "channel": channel.value,
                "tier": tier.value,
                "rate_per_second": limit.rate_per_second,
                "burst": limit.burst,
                "set": own,
            }
            for channel, tier, limit, own in self.limiter.table.rows()
        ]
        use = [
            {"caller": name, "channel": channel.value, "burst": limit.burst, "remaining": remaining}
            for name, channel, limit, remaining in self.limiter.used(self._clock_ns())
            if not caller.tenant or name == caller.name
        ]
        use.sort(key=lambda row: str(row["caller"]))
        return {"limits": limits, "use": use[:USE_SHOWN_MAX], "use_left_out": max(0, len(use) - USE_SHOWN_MAX)}

    def _now_ms(self) -> int:
        return self._clock_ns() // _NS_PER_MS


def _tell(headers: "CIMultiDict[str]", decision: Decision, channel: Channel) -> None:
    """Say where the bucket stands, in the fields of the IETF's draft on rate limits."""
    limit = decision.limit
    if limit is None:
        return
    headers[POLICY] = f'"{channel.value}";q={limit.burst};w={limit.window_seconds}'
    headers[STATE] = f'"{channel.value}";r={decision.remaining};t={-(-decision.full_ms // 1_000)}'
    if decision.low:
        headers[WARNING] = f"less than a fifth is left: {decision.remaining} of {limit.burst}"
