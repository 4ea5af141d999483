"""The tenants of a chaos run, and the records that they send: numbered, so that loss, doubling and order show."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import accumulate
from random import Random
from typing import Final, TypeAlias

from processors.ingest.policy import TENANT_SET
from processors.vocabulary.partition import lane_of

MARK: Final = "chaos"
"""The header that tells whose record it is, which number and of what kind: also on those that cannot be decoded."""
PADDING: Final = "x" * 160
BAD_SHARE: Final = 0.02
BINARY_SHARE: Final = 0.15
STRUCTURED: Final = b"application/cloudevents+json"
SLOW_RATE: Final = 60
SLOW_QUEUE: Final = 10_000
PLAIN_TENANTS: Final = 40
ODD_TENANTS: Final = 4
"""Of those whose records come in a wrong lane; and half as many that are over their rate, and that are suspended."""
ODD_SHARE: Final = 0.01

Headers: TypeAlias = list[tuple[str, bytes | None]]


class Kind(StrEnum):
    """What ought to become of a record."""

    GOOD = "g"
    BAD = "b"
    EITHER = "e"


@dataclass(slots=True)
class Tenant:
    """One tenant, and how many records it has sent."""

    name: str
    lane: int
    window_ms: int | None = None
    """None: the default window."""
    policy: dict[str, int | float | str] = field(default_factory=dict)
    enters: int = -1
    """The lane that its records are sent to; its own but for those that must be moved."""
    suspended: bool = False
    slow: bool = False
    sent: int = 0

    def __post_init__(self) -> None:
        if self.enters < 0:
            self.enters = self.lane
        if self.window_ms is not None:
            self.policy["dedupe_window_ms"] = self.window_ms


@dataclass(frozen=True, slots=True)
class Sent:
    """One record on its way to a lane of `signals.in`."""

    tenant: str
    number: int
    lane: int
    key: bytes | None
    value: bytes | None
    headers: Headers


def make_tenants(lanes: int) -> list[Tenant]:
    """Return the tenants. Each second one of a sort has no dedupe, so that a second step shows as a second signal."""
    found = []

    def add(sort: str, count: int) -> Iterator[Tenant]:
        for index in range(count):
            name = f"{sort}-{index:02d}"
            tenant = Tenant(name, lane_of(name.encode(), lanes), window_ms=0 if index % 2 == 0 else None)
            found.append(tenant)
            yield tenant

    for _ in add("plain", PLAIN_TENANTS):
        pass
    for tenant in add("astray", ODD_TENANTS):
        tenant.enters = (tenant.lane + 1) % lanes
    for tenant in add("slow", ODD_TENANTS // 2):
        tenant.slow = True
        tenant.policy |= {"rate_per_second": SLOW_RATE, "burst": 20, "over": "defer", "queue_records": SLOW_QUEUE}
    for tenant in add("shut", ODD_TENANTS // 2):
        tenant.suspended = True
        tenant.policy["status"] = "suspended"
    return found


def command(tenant: Tenant) -> tuple[bytes, bytes, Headers]:
    """Return key, value and headers of the command that puts the tenant's policy in force."""
    event = _event(tenant.name, "policy", TENANT_SET, tenant.policy)
    return tenant.name.encode(), event, [("content-type", STRUCTURED)]


def _event(tenant: str, identity: str, kind: str, data: object) -> bytes:
    event = {"specversion": "1.0", "id": identity, "source": "/chaos", "type": kind, "tenantid": tenant, "data": data}
    return json.dumps(event, separators=(",", ":")).encode()


@dataclass(slots=True)
class Traffic:
    """All records of a run, from a seed, one after another."""

    tenants: list[Tenant]
    random: Random
    made: int = 0
    _weights: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        sorts = [tenant.name.partition("-")[0] for tenant in self.tenants]
        shares = {sort: ODD_SHARE / sorts.count(sort) for sort in set(sorts)}
        shares["plain"] = (1 - ODD_SHARE * (len(shares) - 1)) / PLAIN_TENANTS
        self._weights = list(accumulate(shares[sort] for sort in sorts))

    def take(self, count: int) -> list[Sent]:
        """Return the next records."""
        self.made += count
        chosen = self.random.choices(self.tenants, cum_weights=self._weights, k=count)
        return [self._record(tenant) for tenant in chosen]

    def _record(self, tenant: Tenant) -> Sent:
        tenant.sent += 1
        number, name, chance = tenant.sent, tenant.name, self.random.random()
        plain = not (tenant.slow or tenant.suspended or tenant.enters != tenant.lane)
        if plain and chance < BAD_SHARE:
            return _bad(tenant, number, int(chance / BAD_SHARE * _BAD_KINDS))
        kind = Kind.BAD if tenant.suspended else Kind.EITHER if tenant.slow else Kind.GOOD
        mark = (MARK, b"%b/%d/%b" % (name.encode(), number, kind.encode()))
        identity = f"{name}/{number}"
        if chance > 1 - BINARY_SHARE:
            headers: Headers = [
                ("ce_specversion", b"1.0"),
                ("ce_id", identity.encode()),
                ("ce_source", b"/chaos"),
                ("ce_type", b"chaos.sent"),
                ("content-type", b"text/plain"),
                mark,
            ]
            return Sent(name, number, tenant.enters, name.encode(), PADDING.encode(), headers)
        value = (
            f'{{"specversion":"1.0","id":"{identity}","source":"/chaos","type":"chaos.sent",'
            f'"tenantid":"{name}","data":{{"number":{number},"padding":"{PADDING}"}}}}'
        )
        return Sent(name, number, tenant.enters, name.encode(), value.encode(), [("content-type", STRUCTURED), mark])


_BAD_KINDS: Final = 5


def _bad(tenant: Tenant, number: int, sort: int) -> Sent:
    """Return a record that must be set aside."""
    name = tenant.name
    good = _event(name, f"{name}/{number}", "chaos.sent", number)
    key: bytes | None = name.encode()
    value: bytes | None = good
    if sort == 0:
        value = None
    elif sort == 1:
        value = good[: len(good) // 2]
    elif sort == 2:
        value = good.replace(b'"source":"/chaos",', b"")
    elif sort == 3:
        value = good.replace(b"chaos.sent", b"chaos\xff\xfe")
    else:
        key = b"another"
    mark = (MARK, b"%b/%d/%b" % (name.encode(), number, Kind.BAD.encode()))
    return Sent(name, number, tenant.enters, key, value, [("content-type", STRUCTURED), mark])


def read_mark(headers: list[tuple[str, bytes]]) -> tuple[str, int, Kind] | None:
    """Return whose record it is, its number and kind."""
    for name, value in headers:
        if name == MARK:
            tenant, number, kind = value.decode().split("/")
            return tenant, int(number), Kind(kind)
    return None
