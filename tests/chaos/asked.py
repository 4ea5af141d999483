"""The directives of a chaos run: numbered by who asks, of various kinds, some twice, some late, some impossible."""

import json
import time
from collections import deque
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from typing_extensions import override

from processors.directives.kinds.state import STATE_CLEAR
from processors.ingest.policy import TENANT_SET
from processors.vocabulary.partition import lane_of
from processors.vocabulary.timestamps import rfc3339
from tests.chaos.load import Feeder
from tests.chaos.tenants import STRUCTURED, Sent

ASKING_TENANTS: Final = 24
SPREAD: Final = "spread-00"
"""A tenant whose answers are cleared, so many at once that it takes several commits."""
SPREAD_SHARE: Final = 0.35
CLEAR_EVERY: Final = 300
AGAIN_SHARE: Final = 0.12
CLASH_SHARE: Final = 0.05
ASTRAY_SHARE: Final = 0.08
WAITING_SHARE: Final = 0.2
CANCEL_SHARE: Final = 0.08
IMPOSSIBLE_SHARE: Final = 0.06
WAIT_MS: Final = (300, 3_000)
REMEMBERED_MAX: Final = 30
"""Of a tenant's directives, how many of the newest may be asked for again or cancelled."""


@dataclass(slots=True)
class Asking:
    """Directives from a seed, one after another; each is known by its requester, `n` and a number."""

    lanes: int
    random: Random
    made: int = 0
    _recent: dict[str, deque[tuple[str, str, dict[str, Any]]]] = field(default_factory=dict)
    _waiting: dict[str, deque[str]] = field(default_factory=dict)
    _spread: int = 0

    def take(self, count: int) -> list[Sent]:
        """Return the next directives."""
        return [self._next() for _ in range(count)]

    def _next(self) -> Sent:
        self.made += 1
        if self.random.random() < SPREAD_SHARE:
            return self._to_be_cleared()
        tenant = f"asks-{self.random.randrange(ASKING_TENANTS):02d}"
        recent = self._recent.setdefault(tenant, deque(maxlen=REMEMBERED_MAX))
        waiting = self._waiting.setdefault(tenant, deque(maxlen=REMEMBERED_MAX))
        chance, times = self.random.random(), {}
        if recent and chance < AGAIN_SHARE:
            key, kind, data = self.random.choice(recent)
        elif recent and chance < AGAIN_SHARE + CLASH_SHARE:
            key, kind, data = self.random.choice(recent)[0], "hopline.limit.set", {"burst": 1_000_000 - self.made}
        else:
            key = f"k{self.made}"
            kind, data = self._wanted(waiting)
            if self.random.random() < WAITING_SHARE:
                times = self._times()
                waiting.append(key)
            recent.append((key, kind, data))
        return self._record(tenant, key, kind, data, times)

    def _to_be_cleared(self) -> Sent:
        self._spread += 1
        kind: str = TENANT_SET
        data: dict[str, Any] = {"burst": self.made}
        if self._spread % CLEAR_EVERY == 0:
            kind, data = STATE_CLEAR, {"hops": ["directives"]}
        return self._record(SPREAD, f"k{self.made}", kind, data, {})

    def _wanted(self, waiting: deque[str]) -> tuple[str, dict[str, Any]]:
        chance, number = self.random.random(), self.made
        if waiting and chance < CANCEL_SHARE:
            return "hopline.directive.cancel", {"key": self.random.choice(waiting)}
        if chance < CANCEL_SHARE + IMPOSSIBLE_SHARE:
            kinds: tuple[tuple[str, dict[str, Any]], ...] = (
                ("hopline.tenant.set", {"burst": 0}),
                ("hopline.tenant.explode", {}),
            )
            return self.random.choice(kinds)
        return self.random.choice(
            (
                ("hopline.tenant.set", {"burst": number}),
                ("hopline.tenant.create", {"burst": number}),
                ("hopline.limit.set", {"burst": number}),
                ("hopline.tenant.suspend", {"reason": f"number {number}"}),
                ("hopline.tenant.resume", {}),
                ("hopline.agent.pause", {}),
                ("hopline.agent.resume", {}),
                ("hopline.state.clear", {"hops": ["ingest"], "policy": number % 2 == 0}),
                ("hopline.state.export", {}),
                ("hopline.integration.set", {"name": "crm", "secrets": {"token": f"s1.{number:016x}.{'A' * 50}"}}),
            )
        )

    def _times(self) -> dict[str, str]:
        """Return when: later, and sometimes with so little time that it may expire."""
        due_ms = time.time_ns() // 1_000_000 + self.random.randint(*WAIT_MS)
        found = {"notbefore": rfc3339(due_ms)}
        if self.random.random() < 0.3:
            found["expires"] = rfc3339(due_ms + self.random.choice((1, 500)))
        return found

    def _record(self, tenant: str, key: str, kind: str, data: dict[str, Any], times: dict[str, str]) -> Sent:
        event = {
            "specversion": "1.0",
            "id": f"ask-{self.made}",
            "source": "/chaos/asking",
            "type": kind,
            "tenantid": tenant,
            "idempotencykey": key,
            "requester": f"n{self.made}",
            **times,
            "data": data,
        }
        lane = lane_of(tenant.encode(), self.lanes)
        if self.random.random() < ASTRAY_SHARE:
            lane = (lane + 1) % self.lanes
        value = json.dumps(event, separators=(",", ":")).encode()
        return Sent(tenant, self.made, lane, tenant.encode(), value, [("content-type", STRUCTURED)])


@dataclass(slots=True)
class Both(Feeder):
    """Signals, and beside them directives: of each a like share with every burst."""

    asking: Feeder | None = None

    @property
    def beside(self) -> Feeder:
        """Who sends the directives; open already."""
        assert self.asking is not None
        return self.asking

    @override
    def burst(self, count: int) -> int:
        """Hand over signals and their share of directives; whoever sends the last signal sends the last directive."""
        handed = Feeder.burst(self, count)
        share = self.traffic.made / self.budget
        self.beside.burst(int(share * self.beside.budget) - self.beside.traffic.made)
        return handed

    @override
    async def flush(self) -> None:
        """Wait until each record has its answer."""
        await Feeder.flush(self)
        await self.beside.flush()
