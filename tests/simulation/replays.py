"""Replays in the simulation: started, resumed, ended, made up; and what must become of what carries their ids."""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from processors.directives import audit
from processors.directives.kinds.replay import FINISH, START
from processors.directives.record import Status
from processors.ingest.replay import KEPT_MS
from processors.vocabulary import headers as names
from processors.vocabulary import topics
from tests.simulation.driver import Driver, Sent, Tenant, write
from tests.simulation.hops import header_of
from tests.simulation.log import Stored
from tests.simulation.violation import ensure

KINDS: Final = frozenset({START, FINISH})
RATES: Final = (0.5, 5.0, 100.0)
LASTS_MS: Final = (60_000, 3_600_000)
OF_A_TENANT_MAX: Final = 3
MADE_UP: Final = "made-up"
LIVE: Final = "live"
REPLAYED: Final = "replayed"
ENDED: Final = "ended"
_REFUSED: Final = ("is known already", "an upgrade is under way", "has no replay", " already", "there is no tenant")


@dataclass(slots=True)
class Replayer:
    """Sends what belongs to replays, in between what the driver sends."""

    driver: Driver
    chance: random.Random
    share: float
    _started: dict[str, list[str]] = field(default_factory=dict)

    def perhaps(self) -> None:
        """Now and then start a replay, replay something, or end a replay."""
        chance = self.chance
        if chance.random() >= self.share:
            return
        tenant = chance.choice(self.driver.plan.tenants)
        started, roll = self._started.setdefault(tenant.name, []), chance.random()
        if not started or (roll < 0.1 and len(started) < OF_A_TENANT_MAX):
            started.append(f"r{len(self.driver.sent)}")
            self._start(tenant, started[-1])
        elif roll < 0.15:
            self._start(tenant, chance.choice(started))
        elif roll < 0.25:
            self._direct(tenant, FINISH, {"replay": chance.choice(started), "stopped": chance.random() < 0.5})
        else:
            self._replay(tenant, MADE_UP if chance.random() < 0.25 else chance.choice(started))

    def _start(self, tenant: Tenant, replay: str) -> None:
        chance = self.chance
        data = {"replay": replay, "rate_per_second": chance.choice(RATES), "lasts_ms": chance.choice(LASTS_MS)}
        self._direct(tenant, START, {**data, "redrive": chance.random() < 0.4})

    def _direct(self, tenant: Tenant, kind: str, data: Mapping[str, Any]) -> None:
        event = f"c{len(self.driver.sent)}"
        self._send(tenant, topics.COMMANDS, {"id": event, "type": kind, "data": data}, "")

    def _replay(self, tenant: Tenant, replay: str) -> None:
        """Send something again as part of a replay; twice, as one does that was resumed."""
        events = self.driver.events_of(tenant)
        event = self.chance.choice(events) if events and self.chance.random() < 0.8 else f"n{len(self.driver.sent)}"
        attributes = {"id": event, "type": "shop.order.placed", "replayid": replay, "data": {}}
        for _ in range(2 if self.chance.random() < 0.4 else 1):
            self._send(tenant, topics.SIGNALS_IN, attributes, replay)

    def _send(self, tenant: Tenant, topic: str, attributes: Mapping[str, Any], replay: str) -> None:
        plain = {"specversion": "1.0", "source": "/simulation", "tenantid": tenant.name}
        value = json.dumps({**plain, **attributes}, separators=(",", ":")).encode()
        misplaced = self.chance.random() < self.driver.plan.misplaced
        lane = self.chance.randrange(self.driver.cluster.lanes) if misplaced else tenant.lane
        seq = len(self.driver.sent)
        write(self.driver, Sent(seq, topic, lane, tenant.name, attributes["id"], replay=replay), None, value, [])


@dataclass(frozen=True, slots=True)
class Run:
    """One replay of one tenant, from its start to its end, as the audit has them."""

    id: str
    began_ms: int
    ends_ms: int
    finished: bool
    redrive: bool
    rate: float


@dataclass(frozen=True, slots=True)
class Replays:
    """What the audit says about all replays."""

    runs: Mapping[tuple[str, str], Sequence[Run]]

    def states(self, sent: Sent, at_ms: int) -> set[str]:
        """Return how a record may have been taken that was stepped then. At a border both is right."""
        found: set[str] = set()
        runs = self.runs.get((sent.tenant, sent.replay), ())
        for run in runs:
            if at_ms <= run.began_ms or at_ms >= run.ends_ms + KEPT_MS:
                found.add(LIVE)
            if run.began_ms <= at_ms and (at_ms < run.ends_ms or (run.finished and at_ms == run.ends_ms)):
                found.add(REPLAYED)
            if at_ms >= run.ends_ms and run.began_ms <= at_ms:
                found.add(ENDED)
        return found or {LIVE}

    def redrives(self, tenant: str, signal: Stored) -> bool:
        """Tell whether a signal was let in by a redrive: its id counts as seen by live ones, too."""
        runs = self.runs.get((tenant, (header_of(signal, names.REPLAYED) or b"").decode()), ())
        # An id may be used again once it is forgotten: the one that had begun counts.
        return [run.redrive for run in runs if run.began_ms <= signal.timestamp][-1:] == [True]

    def counts_as_live(self, tenant: str, signal: Stored) -> bool:
        """Tell whether live dedupe remembers a signal."""
        return not is_replayed(signal) or self.redrives(tenant, signal)

    def check_signal(self, sent: Sent, at_ms: int, signal: Stored) -> None:
        """A signal counts as replayed if and only if its lane knew the replay, and knew it as running."""
        taken = REPLAYED if is_replayed(signal) else LIVE
        states = self.states(sent, at_ms)
        ensure(taken in states, "replay trusted", f"{sent} was taken as {taken}, and may be one of {sorted(states)}")
        if taken is REPLAYED:
            ensure(header_of(signal, names.REPLAYED) == sent.replay.encode(), "replay trusted", f"{sent}: another one")

    def explains(self, sent: Sent, at_ms: int, signals: Sequence[tuple[Sent, Stored]]) -> bool:
        """Tell whether a record that is nowhere is a duplicate within its replay."""
        if REPLAYED not in self.states(sent, at_ms):
            return False
        redrive = any(run.redrive for run in self.runs.get((sent.tenant, sent.replay), ()))
        return any(
            (other.replay == sent.replay and (is_replayed(signal) or is_dead(signal)))
            or (redrive and not is_dead(signal) and self.counts_as_live(sent.tenant, signal))
            for other, signal in signals
            if other.tenant == sent.tenant and other.event == sent.event and other.seq != sent.seq
        )

    def check_tenant(self, tenant: Tenant, signals: Sequence[tuple[Sent, int, Stored]]) -> None:
        """Each replay has each id once, in the order of the log, at its rate. Signals come as the log has them."""
        for (name, replay), runs in self.runs.items():
            mine = [
                each for each in signals if name == tenant.name and each[0].replay == replay and is_replayed(each[2])
            ]
            if name != tenant.name or len(runs) != 1:
                continue
            events = [sent.event for sent, _, _ in mine]
            ensure(len(events) == len(set(events)), "replayed once", f"{name}: {replay} has an id twice: {events}")
            offsets = [offset for _, offset, _ in mine]
            ensure(offsets == sorted(offsets), "replay order", f"{name}: {replay} came out as {offsets}")
            burst = max(1, round(runs[0].rate))
            times = [signal.timestamp for _, _, signal in mine]
            for first, begin_ms in enumerate(times):
                for at in range(first, len(times)):
                    earned = burst + runs[0].rate * (times[at] - begin_ms) / 1_000
                    ensure(at - first + 1 <= earned + 1e-6, "replay rate", f"{name}: {replay} is faster than its rate")


def is_replayed(signal: Stored) -> bool:
    """Tell whether the door let a signal in as part of a replay."""
    return header_of(signal, names.REPLAYED) is not None


def is_dead(record: Stored) -> bool:
    """Tell whether a record was set aside."""
    return header_of(record, names.DEAD_HOP) is not None


def read(lines: Mapping[str, Sequence[Stored]]) -> Replays:
    """Read from each tenant's audit which replays there were, and see that each directive ended as it must."""
    runs: dict[tuple[str, str], list[Run]] = {}
    for tenant, records in lines.items():
        for record in sorted(records, key=lambda record: record.offset):
            entry = audit.read(record.value or b"")
            if entry.directive not in KINDS:
                continue
            if entry.outcome is not Status.SUCCEEDED:
                ensure(any(said in entry.error for said in _REFUSED), "replay", f"{tenant}: {entry.error}")
                continue
            after = entry.after
            known = runs.setdefault((tenant, after["replay"]), [])
            if entry.directive == START:
                again = known and entry.at_ms < known[-1].ends_ms + KEPT_MS
                ensure(not again, "replay", f"{tenant}: {after['replay']} was started while it was known")
                redrive, rate = after["redrive"], after["rate_per_second"]
                known.append(
                    Run(after["replay"], entry.at_ms, after["ends_ms"], finished=False, redrive=redrive, rate=rate)
                )
            else:
                run = known.pop()
                ensure(not run.finished and entry.at_ms < run.ends_ms, "replay", f"{tenant}: {run.id} had ended")
                known.append(Run(run.id, run.began_ms, entry.at_ms, finished=True, redrive=run.redrive, rate=run.rate))
    return Replays(runs)
