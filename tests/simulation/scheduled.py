"""Directives that wait for their time: asked for by tenants of their own, beside everything else, and checked.

They are put off, expire, are cancelled, asked for twice, and lose their tenant while they wait; workers die and clocks
jump meanwhile. What became of them is told from the audit alone: never early, once, and in the order of their times.
"""

import json
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from processors.directives import audit
from processors.directives.audit import Entry
from processors.directives.record import KEPT_MS, Status
from processors.ingest.tenant import Account, Policy, account_key
from processors.state import Store
from processors.vocabulary import topics
from processors.vocabulary.partition import lane_of
from processors.vocabulary.record import Header
from processors.vocabulary.timestamps import rfc3339
from tests.simulation.hops import SEQ, header_of
from tests.simulation.log import Cluster, Stored
from tests.simulation.scheduler import sleep
from tests.simulation.violation import ensure

FIRST: Final = 1_000_000
"""Their numbers begin here, so that nobody takes them for the driver's."""
DELAYS_MS: Final = (0, 200, 2_000, 2_000, 9_000, 60_000)
LIVES_MS: Final = (1, 400, 5_000, 3_600_000)
EXPIRED: Final = "it expired"
SET: Final = "hopline.tenant.set"
CANCEL: Final = "hopline.directive.cancel"
DELETE: Final = "hopline.tenant.delete"
CLEAR: Final = "hopline.state.clear"
EXPORT: Final = "hopline.state.export"
INTEGRATION: Final = "hopline.integration.set"
POLICY_KINDS: Final = (SET, DELETE)


@dataclass(frozen=True, slots=True)
class Asked:
    """One directive, as it was asked for."""

    seq: int
    tenant: str
    key: str
    name: str
    data: dict[str, Any]
    due_ms: int = 0
    expires_ms: int = 0


@dataclass(slots=True)
class Asker:
    """Asks for directives of its own tenants."""

    chance: random.Random
    cluster: Cluster
    clock: Callable[[], int]
    note: Callable[[str], None]
    asked: dict[tuple[str, str], Asked] = field(default_factory=dict)
    """By tenant and key: what was asked first."""
    sent: int = 0
    done: bool = False
    _tenants: tuple[str, ...] = ()

    async def run(self) -> None:
        """Ask for some dozens."""
        self._tenants = tuple(f"later{n}-{self.chance.randrange(100)}" for n in range(self.chance.randrange(1, 4)))
        for _ in range(self.chance.randrange(10, 45)):
            self._ask(self.chance.choice(self._tenants))
            await sleep(self.chance.randrange(600))
        self.done = True

    def _ask(self, tenant: str) -> None:
        chance = self.chance
        before = [one for one in self.asked.values() if one.tenant == tenant]
        if before and chance.random() < 0.15:
            self._send(chance.choice(before))
            return
        data: dict[str, Any]
        key, roll = f"k{self.sent}", chance.random()
        if before and roll < 0.25:
            name, data = CANCEL, {"key": chance.choice(before).key}
        elif roll < 0.33:
            name, data = DELETE, {}
        elif roll < 0.45:
            # At the hop that remembers ids only: answers that are forgotten could not be checked.
            name, data = CLEAR, {"hops": ["ingest"], "policy": chance.random() < 0.3}
        elif roll < 0.52:
            name, data = EXPORT, {}
        elif roll < 0.6:
            sealed = f"s1.{self.sent:016x}.{'A' * 50}"
            name, data = INTEGRATION, {"name": chance.choice("ab"), "secrets": {"token": sealed}}
        else:
            name, data = SET, {"burst": self.sent + 1, "status": "active"}
        delay_ms = chance.choice(DELAYS_MS)
        # On a grid, so that some fall due at the same moment.
        due_ms = (self.clock() + delay_ms) // 500 * 500 + 500 if delay_ms else 0
        expires_ms = due_ms + chance.choice(LIVES_MS) if due_ms and chance.random() < 0.4 else 0
        one = Asked(FIRST + self.sent, tenant, key, name, data, due_ms, expires_ms)
        self.asked[tenant, key] = one
        self._send(one)

    def _send(self, one: Asked) -> None:
        event: dict[str, Any] = {
            "specversion": "1.0",
            "id": f"asked-{self.sent}",
            "source": "/simulation/later",
            "type": one.name,
            "tenantid": one.tenant,
            "idempotencykey": one.key,
            "data": one.data,
        }
        if one.due_ms:
            event["notbefore"] = rfc3339(one.due_ms)
        if one.expires_ms:
            event["expires"] = rfc3339(one.expires_ms)
        lane = lane_of(one.tenant.encode(), self.cluster.lanes)
        if self.chance.random() < 0.15:
            lane = self.chance.randrange(self.cluster.lanes)
        headers: list[Header] = [(SEQ, b"%d" % (FIRST + self.sent))]
        self.sent += 1
        value = json.dumps(event, separators=(",", ":")).encode()
        self.cluster.send(topics.COMMANDS, lane, one.tenant.encode(), value, headers, self.clock())
        self.note(f"asks {one.name} {one.key} of {one.tenant}, due {one.due_ms}")

    # ------------------------------------------------------------ what became of them

    def check(self, store_of: Callable[[int], Store]) -> dict[str, int]:
        """Raise on the first rule that does not hold; return how many ended how."""
        counts: dict[str, int] = {}
        for lane in range(self.cluster.lanes):
            _check_order(self._entries(lane), self.asked)
        set_aside = self._set_aside()
        for tenant in self._tenants:
            lane = lane_of(tenant.encode(), self.cluster.lanes)
            mine = [entry for entry in self._entries(lane) if entry.tenant == tenant]
            for one in self.asked.values():
                if one.tenant == tenant:
                    found = [entry for entry in mine if entry.key == one.key]
                    _check_one(one, found, mine, condemned=one.key in set_aside.get(tenant, ()))
                    counts[found[-1].outcome.value if found else "set_aside"] = (
                        counts.get(found[-1].outcome.value if found else "set_aside", 0) + 1
                    )
            _check_fold(tenant, mine, store_of(lane))
        return counts

    def _entries(self, lane: int) -> list[Entry]:
        """Return a lane's audit of our tenants, in the order of the log."""
        lines = [
            record
            for record in self.cluster.partitions[topics.AUDIT, lane].committed()
            if (record.key or b"").decode() in self._tenants
        ]
        return [audit.read(record.value or b"") for record in sorted(lines, key=_offset)]

    def _set_aside(self) -> dict[str, set[str]]:
        """Return the keys of what faults have set aside: such a record may have been the only one of its key."""
        found: dict[str, set[str]] = {}
        for lane in range(self.cluster.lanes):
            for record in self.cluster.partitions[topics.DEAD_LETTERS, lane].committed():
                if int(header_of(record, SEQ) or b"-1") >= FIRST:
                    event = json.loads(record.value or b"{}")
                    found.setdefault(event["tenantid"], set()).add(event["idempotencykey"])
        return found


def _offset(record: Stored) -> int:
    return record.offset


def _check_one(one: Asked, found: list[Entry], chain: list[Entry], *, condemned: bool) -> None:
    """One directive: put off at most once, ended once, not before its time, and for a reason."""
    ensure(found or condemned, "scheduled", f"{one} ended nowhere")
    lives: list[list[Entry]] = []
    for entry in found:
        last = lives[-1][-1] if lives else None
        # A key is forgotten after a while; asked for again then, it is another directive.
        if last is None or (last.outcome is not Status.REQUESTED and entry.at_ms >= last.at_ms + KEPT_MS):
            lives.append([])
        lives[-1].append(entry)
    for life in lives:
        _check_life(one, life, chain)


def _check_life(one: Asked, found: list[Entry], chain: list[Entry]) -> None:
    outcomes = [entry.outcome for entry in found]
    ends = [entry for entry in found if entry.outcome is not Status.REQUESTED]
    ensure(len(ends) == 1, "scheduled", f"{one} ended {len(ends)} times: {outcomes}")
    ensure(outcomes.count(Status.REQUESTED) <= 1, "scheduled", f"{one} was put off twice")
    (end,) = ends
    if end.outcome is Status.CANCELLED:
        by = chain[chain.index(end) :]
        cause = any(
            entry.outcome is Status.SUCCEEDED and entry.at_ms == end.at_ms and entry.directive in {CANCEL, DELETE}
            for entry in by
        )
        ensure(cause, "scheduled", f"{one} was cancelled, and nothing did it")
    elif end.outcome is not Status.REJECTED:
        ensure(end.at_ms >= one.due_ms, "early", f"{one} was carried out at {end.at_ms}")
        expired = bool(one.expires_ms and end.at_ms >= one.expires_ms)
        said = end.error.startswith(EXPIRED)
        ensure(expired == said, "expiry", f"{one} ended at {end.at_ms} as {end.outcome} {end.error!r}")
    elif Status.REQUESTED in outcomes:
        ensure(False, "scheduled", f"{one} was put off, then rejected")


def _check_order(entries: Iterable[Entry], asked: dict[tuple[str, str], Asked]) -> None:
    """What waits ends in the order of its times, whatever tenant of the lane it is of."""
    waiting: dict[tuple[str, str], int] = {}
    for entry in entries:
        place = (entry.tenant, entry.key)
        due_ms = asked[place].due_ms
        if entry.outcome is Status.REQUESTED:
            waiting[place] = due_ms
        elif place in waiting:
            del waiting[place]
            if entry.outcome is not Status.CANCELLED:
                late = [other for other, other_ms in waiting.items() if other_ms < due_ms]
                ensure(not late, "due order", f"{place} ended before {late}, which were due earlier")
        if entry.directive == DELETE and entry.outcome is Status.SUCCEEDED:
            # What it cancels stands before it.
            left = [other for other in waiting if other[0] == entry.tenant]
            ensure(not left, "deleted", f"{left} wait still, and their tenant is deleted")


def _check_fold(tenant: str, chain: list[Entry], store: Store) -> None:
    """What is in force is what the audit's lines give, each beginning where the one before ended."""
    policy: Any = None
    for entry in chain:
        if entry.outcome is not Status.SUCCEEDED or entry.directive not in {*POLICY_KINDS, CLEAR}:
            continue
        found = (entry.before, entry.after)
        if entry.directive == CLEAR:
            found = (entry.before["ingest"]["policy"], entry.after["ingest"]["policy"])
        ensure(found[0] == policy, "scheduled", f"{tenant}: {entry.key} found {found[0]}, not {policy}")
        policy = found[1]
    account = Account.load(store.get_many((account_key(tenant),))[0], Policy())
    there = msgspec.to_builtins(account.policy) if account.known else None
    ensure(there == policy, "scheduled", f"{tenant}: in force is {there}, and by the audit {policy}")
