"""What comes from outside: tenants with limits, signals good, doubled, misplaced and bad, and commands.

Each record carries a number of its own (`seq`), so that what became of it can be told record by record.
"""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Final

from processors.vocabulary import headers as names
from processors.vocabulary import topics
from processors.vocabulary.partition import lane_of
from processors.vocabulary.reasons import Reason
from processors.vocabulary.record import Header
from tests.simulation.hops import SEQ, TOUCH
from tests.simulation.log import Cluster
from tests.simulation.scheduler import sleep

WINDOWS_MS: Final = (0, 2_000, 60_000, 3_600_000)
TOUCHES: Final = (b"ingest:raise", b"ingest:hang", b"ingest:kill", b"echo:raise", b"echo:hang", b"echo:kill")
KILLS_MAX: Final = 2
SETUP_POLL_MS: Final = 100


SIGNALS_HIDING: Final = 250


@dataclass(frozen=True, slots=True)
class Tenant:
    """One tenant, and what is set for it before its first signal."""

    name: str
    lane: int
    window_ms: int
    rate: float = 0.0
    burst: int = 100
    queue: int = 1_000
    refuse: bool = False
    changes: bool = False
    """Commands change it while signals flow."""

    def settings(self) -> dict[str, Any]:
        """Return the data of the command that sets it up."""
        return {
            "dedupe_window_ms": self.window_ms,
            "rate_per_second": self.rate,
            "burst": self.burst,
            "queue_records": self.queue,
            "over": "refuse" if self.refuse else "defer",
        }


@dataclass(frozen=True, slots=True)
class Sent:
    """A record that the log has taken."""

    seq: int
    topic: str
    lane: int
    tenant: str
    event: str
    """The event's id; empty if it has none."""
    wrong: frozenset[Reason] = frozenset()
    """Why it must be dead-lettered, if it must."""
    touch: bytes = b""
    replay: str = ""
    """The `replayid` that it carries; whether it counts is the lane's to say."""


@dataclass(slots=True)
class Plan:
    """How much of what the driver sends, from the seed."""

    tenants: tuple[Tenant, ...]
    signals: int
    gap_ms: int
    doubled: float
    misplaced: float
    bad: float
    touchy: float
    commands: float


def plan(chance: random.Random, lanes: int) -> Plan:
    """Draw tenants and shares."""
    tenants = []
    for number in range(chance.randrange(6, 11)):
        name = f"t{number}-{chance.randrange(100)}"
        tenant = Tenant(name, lane_of(name.encode(), lanes), chance.choice(WINDOWS_MS))
        kind = chance.random()
        if kind < 0.35:
            tenant = Tenant(
                name,
                tenant.lane,
                tenant.window_ms,
                rate=chance.choice((0.2, 1.0, 5.0)),
                burst=chance.choice((1, 2, 4)),
                queue=chance.choice((0, 2, 5, 12, 40)),
                refuse=chance.random() < 0.2,
                changes=chance.random() < 0.4,
            )
        tenants.append(tenant)
    return Plan(
        tuple(tenants),
        signals=chance.randrange(40, 140),
        gap_ms=chance.choice((2, 15, 80)),
        doubled=chance.choice((0.0, 0.15, 0.4)),
        misplaced=chance.choice((0.0, 0.1, 0.5)),
        bad=chance.choice((0.0, 0.1)),
        touchy=chance.choice((0.0, 0.0, 0.02, 0.06)),
        commands=chance.choice((0.0, 0.05, 0.15)),
    )


def hiding(chance: random.Random, drawn: Plan, lanes: int) -> Plan:
    """Return the plan with many commands in each lane beside records that kill: they may hide behind those."""
    names = (f"h{number}-{chance.randrange(1_000)}" for number in count())
    steered: dict[int, Tenant] = {}
    while len(steered) < lanes:
        name = next(names)
        lane = lane_of(name.encode(), lanes)
        steered.setdefault(lane, Tenant(name, lane, WINDOWS_MS[0], rate=5.0, changes=True))
    tenants = (*(tenant for tenant in drawn.tenants if not tenant.changes), *steered.values())
    return replace(drawn, tenants=tenants, signals=SIGNALS_HIDING, gap_ms=80, touchy=0.06, commands=0.2)


@dataclass(slots=True)
class Driver:
    """Sends a plan's records, one after the other."""

    plan: Plan
    chance: random.Random
    cluster: Cluster
    clock: Callable[[], int]
    applied: Callable[[str, int], int]
    note: Callable[[str], None]
    sent: list[Sent] = field(default_factory=list)
    done: bool = False
    kills: int = 0
    """Records sent that kill the process that steps them."""
    more: Callable[[], None] = lambda: None
    """Called between two records: what others send."""
    _events: dict[str, list[str]] = field(default_factory=dict)

    async def run(self) -> None:
        """Set the tenants up, wait until that is in force, then send."""
        await self._set_up()
        for _ in range(self.plan.signals):
            self.more()
            tenant = self.chance.choice(self.plan.tenants)
            roll = self.chance.random()
            if tenant.changes and roll < self.plan.commands * 3:
                self._command(tenant)
            elif roll < self.plan.bad:
                self._bad(tenant)
            else:
                self._signal(tenant)
            if self.chance.random() < 0.6:
                await sleep(self.chance.randrange(self.plan.gap_ms * 4))
        self.done = True

    async def _set_up(self) -> None:
        least: dict[int, int] = {}
        for tenant in self.plan.tenants:
            data = tenant.settings()
            offset = self._send(tenant, topics.COMMANDS, f"set-{tenant.name}", data, lane=tenant.lane)
            least[tenant.lane] = offset + 1
        while any(self.applied(topics.COMMANDS, lane) < offset for lane, offset in least.items()):
            await sleep(SETUP_POLL_MS)
        # Through the door is not yet in force: what was not looped is read back.
        while not all(self._in_force(lane) for lane in least):
            await sleep(SETUP_POLL_MS)

    def _in_force(self, lane: int) -> bool:
        """Tell whether all directives of a lane have been carried out."""
        partition = self.cluster.partitions[topics.DIRECTIVES, lane]
        if partition.stable != partition.next_offset:
            return False
        committed = partition.committed()
        return not committed or self.applied(topics.DIRECTIVES, lane) > committed[-1].offset

    def events_of(self, tenant: Tenant) -> list[str]:
        """Return the ids that a tenant's signals have had."""
        return self._events.get(tenant.name, [])

    def _signal(self, tenant: Tenant) -> None:
        """Send a signal: fresh or seen before, in its lane or not, plain or touchy."""
        chance = self.chance
        before = self._events.setdefault(tenant.name, [])
        if before and chance.random() < self.plan.doubled:
            event = chance.choice(before)
        elif chance.random() < 0.05:
            event = ""
        else:
            event = f"e{len(self.sent)}"
            before.append(event)
        headers: list[Header] = []
        touch = b""
        # Not for limited tenants: what a record does when it is released, nobody can set aside.
        if tenant.rate == 0 and chance.random() < self.plan.touchy:
            touch = chance.choice(TOUCHES)
            if touch.endswith(b"kill"):
                self.kills += 1
                touch = touch if self.kills <= KILLS_MAX else b"ingest:raise"
            headers.append((TOUCH, touch))
        if chance.random() < 0.05:
            headers.append((chance.choice((names.STEPPED, names.FORMAT, names.DEAD_REASON)), b"7"))
        lane = tenant.lane
        if chance.random() < self.plan.misplaced:
            lane = chance.randrange(self.cluster.lanes)
        wrong: frozenset[Reason] = frozenset()
        if chance.random() < 0.03:
            headers.append((names.MOVED, b"0/0"))
            if lane != tenant.lane:
                wrong = frozenset({Reason.MOVED_TWICE})
        self._send(tenant, topics.SIGNALS_IN, event, {}, lane=lane, headers=headers, touch=touch, wrong=wrong)

    def _command(self, tenant: Tenant) -> None:
        """Change a tenant's limits or status; sometimes say the same again, or something wrong."""
        chance = self.chance
        data: dict[str, Any] = chance.choice(
            (
                {"rate_per_second": chance.choice((0, 0.5, 2, 20))},
                {"burst": chance.choice((1, 3, 8))},
                {"queue_records": chance.choice((0, 3, 50))},
                {"status": chance.choice(("suspended", "active", "active"))},
                {"rate_per_second": -1},
            )
        )
        event = f"c{len(self.sent)}"
        again = self._events.setdefault(f"commands of {tenant.name}", [])
        if again and chance.random() < 0.3:
            event = chance.choice(again)
        again.append(event)
        lane = chance.randrange(self.cluster.lanes) if chance.random() < self.plan.misplaced else tenant.lane
        self._send(tenant, topics.COMMANDS, event, data, lane=lane)

    def _bad(self, tenant: Tenant) -> None:
        """Send what no decoder takes."""
        value, key, reasons = self.chance.choice(
            (
                (b"{", None, {Reason.NOT_JSON}),
                (None, tenant.name.encode(), {Reason.NULL_VALUE}),
                (b"\xff\xfe", None, {Reason.NOT_UTF8}),
                (b'{"specversion":"1.0"}', None, {Reason.INVALID_ENVELOPE}),
                (_event("a", tenant.name, {}, topics.SIGNALS_IN), b"other", {Reason.WRONG_KEY}),
            )
        )
        lane = self.chance.randrange(self.cluster.lanes)
        headers: list[Header] = [(SEQ, b"%d" % len(self.sent))]
        self.cluster.send(topics.SIGNALS_IN, lane, key, value, headers, self.clock())
        self.sent.append(Sent(len(self.sent), topics.SIGNALS_IN, lane, tenant.name, "", frozenset(reasons)))

    def _send(
        self,
        tenant: Tenant,
        topic: str,
        event: str,
        data: dict[str, Any],
        *,
        lane: int,
        headers: list[Header] | None = None,
        touch: bytes = b"",
        wrong: frozenset[Reason] = frozenset(),
    ) -> int:
        seq = len(self.sent)
        carried: list[Header] = list(headers or ())
        value = _event(event, tenant.name, data, topic)
        if self.chance.random() < 0.25:
            attributes = json.loads(value)
            value = json.dumps(attributes.pop("data")).encode()
            carried += [(f"ce_{name}", text.encode()) for name, text in attributes.items()]
            carried.append(("content-type", b"application/json"))
        key = tenant.name.encode() if self.chance.random() < 0.7 else None
        return write(self, Sent(seq, topic, lane, tenant.name, event, wrong, touch), key, value, carried)


def write(driver: Driver, sent: Sent, key: bytes | None, value: bytes, headers: list[Header]) -> int:
    """Put a record into the log under its number; return its offset."""
    carried = [header for header in headers if header[0] != SEQ]
    driver.sent.append(sent)
    numbered = [*carried, (SEQ, b"%d" % sent.seq)]
    offset = driver.cluster.send(sent.topic, sent.lane, key, value, numbered, driver.clock())
    driver.note(f"sent {sent.seq} of {sent.tenant} to {sent.topic}/{sent.lane} at {offset} {sent.touch.decode()}")
    return offset


def _event(event: str, tenant: str, data: dict[str, Any], topic: str) -> bytes:
    kind = "hopline.tenant.set" if topic == topics.COMMANDS else "shop.order.placed"
    attributes: dict[str, Any] = {"specversion": "1.0", "source": "/simulation", "type": kind, "tenantid": tenant}
    if event:
        attributes["id"] = event
    return json.dumps({**attributes, "data": data}, separators=(",", ":")).encode()
