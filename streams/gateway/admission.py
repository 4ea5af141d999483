"""Carries the limits out: each request's tokens, the pause of who misbehaves, and what the answer says of both."""

import logging
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web
from multidict import CIMultiDict

from processors.admission import Channel, Conduct, Decision, Limiter, Tier
from processors.admission.table import PREFIX, Table
from processors.telemetry import catalogue
from streams.gateway import problems
from streams.gateway.caller import KEY as CALLER
from streams.gateway.caller import Caller
from streams.gateway.limits import RefusedError
from streams.metrics import Metrics
from streams.settings import Settings

log = logging.getLogger(__name__)

SIGNALS_PATH: Final = "/v1/signals"
_CHANNELS: Final = {"/v1/directives": Channel.DIRECTIVES, "/v1/tail": Channel.TAIL}
VIOLATIONS: Final = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE}
)
"""What a program that works as it should does not get."""
POLICY: Final = "RateLimit-Policy"
STATE: Final = "RateLimit"
WARNING: Final = "RateLimit-Warning"
USE_SHOWN_MAX: Final = 1_000


class LimitsView:
    """The limits that are set while this runs: a `View` of the topic `access`."""

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter
        self._next = limiter.table

    def begin(self) -> None:
        """See `View.begin`."""
        self._next = Table()

    def take(self, record: Any) -> None:
        """See `View.take`. Keys of another kind are others'."""
        key = (record.key or b"").decode(errors="replace")
        if key.startswith(PREFIX) and (wrong := self._next.set(key, record.value)):
            log.warning("the access topic: %s", wrong)

    def complete(self) -> None:
        """See `View.complete`."""
        self._limiter.table = self._next


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

    def admit(self, request: web.Request) -> None:
        """Let a request in by its channel. Signals are counted where it is known how many they are."""
        if CALLER not in request or (request.path == SIGNALS_PATH and request.method == "POST"):
            return
        channel = next((found for begin, found in _CHANNELS.items() if request.path.startswith(begin)), Channel.READS)
        self.take(request, self.enter(request), channel)

    def enter(self, request: web.Request) -> Caller:
        """Return who makes a request. Raises `RefusedError` if they must wait after too many invalid ones."""
        caller = request[CALLER]
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
        caller = request.get(CALLER)
        if caller is None or caller.tier == Tier.UNLIMITED:
            return
        if response.status in VIOLATIONS:
            self.conduct.violated(caller.name, self._now_ms())
        decision = request.get(_DECISION)
        if decision is not None:
            _tell(response.headers, decision, request[_CHANNEL])

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
