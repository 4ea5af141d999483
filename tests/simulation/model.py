"""What must have become of each record that was sent, told from the topics alone, and of all of them together."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from processors.directives import audit
from processors.directives.record import KEPT_MS, Status
from processors.lane import ledger_mismatches
from processors.position import Position
from processors.vocabulary import envelope, topics
from processors.vocabulary import headers as names
from processors.vocabulary.reasons import Reason
from processors.vocabulary.signal import Signal, data_of
from tests.simulation.driver import Sent, Tenant
from tests.simulation.hops import SEQ, header_of, is_moved
from tests.simulation.log import ECHO, Cluster, Stored
from tests.simulation.replays import ENDED, KINDS, Replays, is_replayed
from tests.simulation.violation import ensure

INPUTS: Final = (topics.SIGNALS_IN, topics.COMMANDS)
TOUCHED: Final = {b"raise": Reason.BUG, b"hang": Reason.TIMED_OUT, b"kill": Reason.STUCK}
EPSILON: Final = 1e-6


@dataclass(slots=True)
class Fates:
    """Everything that carries a record's number, by where it was found."""

    copies: dict[int, list[Stored]] = field(default_factory=dict)
    """In input topics: what was sent, and what it was moved to."""
    signals: dict[int, list[Stored]] = field(default_factory=dict)
    dead_at_door: dict[int, list[Stored]] = field(default_factory=dict)
    dead_at_directives: dict[int, list[Stored]] = field(default_factory=dict)
    dead_at_echo: dict[int, list[Stored]] = field(default_factory=dict)
    directives: dict[int, list[Stored]] = field(default_factory=dict)
    """Commands that came through the door."""
    audit: dict[str, list[Stored]] = field(default_factory=dict)
    """By tenant: the lines of its chain, in the order of the log."""
    told: dict[str, int] = field(default_factory=dict)
    """By tenant: signals that tell of directives."""
    echoes: dict[int, list[Stored]] = field(default_factory=dict)

    def copy_in(self, seq: int, lane: int) -> Stored | None:
        """Return the record where it stands in a lane's input."""
        return next((record for record in self.copies.get(seq, ()) if record.partition == lane), None)


def gather(cluster: Cluster) -> Fates:
    """Read all topics as a reader of committed records does."""
    fates = Fates()
    for (topic, _), partition in cluster.partitions.items():
        if topic in {topics.STATE, topics.JOURNAL}:
            continue
        for record in partition.committed():
            tenant = (record.key or b"").decode()
            if topic == topics.AUDIT:
                fates.audit.setdefault(tenant, []).append(record)
                continue
            if topic == topics.SIGNALS and header_of(record, names.BY) is not None:
                fates.told[tenant] = fates.told.get(tenant, 0) + 1
                continue
            found = fates.copies
            if topic == topics.SIGNALS:
                found = fates.signals
            elif topic == topics.DIRECTIVES:
                found = fates.directives
            elif topic == ECHO:
                found = fates.echoes
            elif topic == topics.DEAD_LETTERS:
                found = {
                    b"ingest": fates.dead_at_door,
                    b"directives": fates.dead_at_directives,
                    b"echo": fates.dead_at_echo,
                }[header_of(record, names.DEAD_HOP) or b""]
            found.setdefault(int(header_of(record, SEQ) or b"-1"), []).append(record)
    return fates


def reason_of(letter: Stored) -> Reason:
    """Return why a record was set aside."""
    return Reason((header_of(letter, names.DEAD_REASON) or b"").decode())


@dataclass(slots=True)
class Model:
    """The rules over one run's evidence."""

    tenants: Mapping[str, Tenant]
    sent: list[Sent]
    fates: Fates
    stepped_at: Mapping[tuple[str, int, int], int]
    """For each input record (topic, lane, offset) the lane's time when it was stepped."""
    strikes: int
    """Owners that ended without finishing: with none, no innocent record may be set aside as stuck."""
    agent_failures: int
    replays: Replays
    innocents: int = 0
    missing: dict[str, list[Sent]] = field(default_factory=dict)

    def check(self) -> None:
        """Raise on the first rule that does not hold."""
        for sent in self.sent:
            self._check_moves(sent)
            self._check_fate(sent)
        for tenant in self.tenants.values():
            self._check_tenant(tenant)
            self._check_directives(tenant)
        self._check_echo()

    def _check_moves(self, sent: Sent) -> None:
        """A record stands in the lane where it was sent, and at most once more: in its own."""
        copies = self.fates.copies.get(sent.seq, [])
        own = self.tenants[sent.tenant].lane
        ensure(len(copies) <= 2, "moved", f"{sent} was moved {len(copies) - 1} times")
        ensure(any(c.producer == "outside" for c in copies), "log", f"{sent} is not in the log")
        for copy in copies:
            if copy.producer != "outside":
                ensure(copy.partition == own, "moved", f"{sent} was moved to lane {copy.partition}, not {own}")
                ensure(is_moved(copy), "moved", f"{sent} was moved and does not say so")
                ensure(sent.lane != own, "moved", f"{sent} was moved out of its own lane")

    def _check_fate(self, sent: Sent) -> None:
        """Each record ends once: as a signal, as a dead letter, or as a duplicate of one that is there."""
        fates, seq = self.fates, sent.seq
        signals, dead = fates.signals.get(seq, []), fates.dead_at_door.get(seq, [])
        ended = len(signals) + len(dead) + len(fates.directives.get(seq, []))
        ensure(ended <= 1, "once", f"{sent} ended {ended} times: {len(signals)} signals, {len(dead)} dead letters")
        at_echo = fates.dead_at_echo.get(seq, [])
        for letter in (*dead, *at_echo, *fates.dead_at_directives.get(seq, [])):
            self._check_reason(sent, reason_of(letter))
        door = sent.touch.startswith(b"ingest")
        if sent.wrong or door:
            ensure(dead, "dead letter", f"{sent} should be a dead letter")
        if sent.touch.startswith(b"echo") and signals:
            ensure(at_echo, "dead letter", f"{sent} should be a dead letter of the second hop")
        for signal in signals:
            self.replays.check_signal(sent, self._stepped_ms(sent), signal)
        if not ended:
            ensure(sent.topic == topics.SIGNALS_IN, "lost", f"{sent}, a command, is nowhere")
            if not self._is_replayed_twice(sent):
                self._check_duplicate(sent)
        if not ended:
            self.missing.setdefault(sent.tenant, []).append(sent)

    def _check_reason(self, sent: Sent, reason: Reason) -> None:
        tenant = self.tenants[sent.tenant]
        allowed = set(sent.wrong)
        if sent.touch:
            allowed.add(TOUCHED[sent.touch.partition(b":")[2]])
        if sent.topic == topics.SIGNALS_IN and not sent.wrong:
            if tenant.rate or tenant.changes:
                allowed.add(Reason.RATE_LIMITED)
            if tenant.changes:
                allowed.add(Reason.TENANT_SUSPENDED)
            if reason is Reason.REPLAY_ENDED and ENDED in self.replays.states(sent, self._stepped_ms(sent)):
                allowed.add(Reason.REPLAY_ENDED)
        if reason is Reason.STUCK and reason not in allowed and self.strikes:
            self.innocents += 1
            return
        if self.agent_failures:
            allowed.add(Reason.TIMED_OUT)
        ensure(reason in allowed, "reason", f"{sent} was set aside as {reason}, which fits none of {sorted(allowed)}")

    def _check_duplicate(self, sent: Sent) -> None:
        """A record that is nowhere must be a duplicate of an earlier one within the window."""
        tenant = self.tenants[sent.tenant]
        ensure(tenant.window_ms and sent.event, "lost", f"{sent} is nowhere")
        own = self.fates.copy_in(sent.seq, tenant.lane)
        assert own is not None
        stepped_ms = self._stepped_ms(sent)
        for other in self.sent:
            if other.tenant != sent.tenant or other.event != sent.event or other.seq == sent.seq:
                continue
            copy = self.fates.copy_in(other.seq, tenant.lane)
            for signal in self.fates.signals.get(other.seq, ()):
                if not self.replays.counts_as_live(sent.tenant, signal):
                    continue
                before = copy is not None and (copy.offset < own.offset or is_replayed(signal))
                if before and stepped_ms < signal.timestamp + tenant.window_ms:
                    return
        ensure(False, "lost", f"{sent} is nowhere, and no signal of its id is near enough before it")

    def _stepped_ms(self, sent: Sent) -> int:
        """Return the lane's time when a record was stepped where it belongs."""
        own = self.fates.copy_in(sent.seq, self.tenants[sent.tenant].lane)
        ensure(own is not None, "lost", f"{sent} is not in its lane")
        assert own is not None
        stepped_ms = self.stepped_at.get((sent.topic, own.partition, own.offset))
        ensure(stepped_ms is not None, "lost", f"{sent} was never stepped")
        assert stepped_ms is not None
        return stepped_ms

    def _is_replayed_twice(self, sent: Sent) -> bool:
        if not sent.replay:
            return False
        signals, dead = self.fates.signals, self.fates.dead_at_door
        mine = [other for other in self.sent if other.tenant == sent.tenant]
        # What waited in a replay's queue and was set aside then counts as met by it, too.
        others = [(other, r) for other in mine for r in (*signals.get(other.seq, ()), *dead.get(other.seq, ()))]
        return self.replays.explains(sent, self._stepped_ms(sent), others)

    def _check_tenant(self, tenant: Tenant) -> None:
        """A tenant's signals stand in its lane, in the order of the log, each id once a window, at its rate."""
        signals = [
            record
            for sent in self.sent
            if sent.tenant == tenant.name
            for record in self.fates.signals.get(sent.seq, ())
        ]
        signals.sort(key=lambda record: record.offset)
        last = -1
        seen: dict[str, int] = {}
        placed: list[tuple[Sent, int, Stored]] = []
        for record in signals:
            ensure(record.partition == tenant.lane, "lane", f"{tenant.name} in lane {record.partition}")
            seq = int(header_of(record, SEQ) or b"-1")
            own = self.fates.copy_in(seq, tenant.lane)
            ensure(own is not None, "lost", f"{self.sent[seq]} is not in its lane")
            assert own is not None
            placed.append((self.sent[seq], own.offset, record))
            if not is_replayed(record):
                ensure(own.offset > last, "order", f"{self.sent[seq]} stands after what came later")
                last = own.offset
            event = self.sent[seq].event if self.replays.counts_as_live(tenant.name, record) else ""
            if event and tenant.window_ms:
                before = seen.get(event)
                apart = before is None or record.timestamp - before >= tenant.window_ms
                ensure(apart, "dedupe", f"{self.sent[seq]} was handled although its id was seen")
                seen[event] = record.timestamp
        self.replays.check_tenant(tenant, placed)
        if tenant.rate and not tenant.changes:
            _check_rate(tenant, [record.timestamp for record in signals if not is_replayed(record)])

    def _check_directives(self, tenant: Tenant) -> None:
        """Each command ended once: told, and in the audit; its chain holds, in the order of the log."""
        mine = [(seq, d) for seq, found in self.fates.directives.items() for d in found]
        mine = [(seq, d) for seq, d in mine if (d.key or b"").decode() == tenant.name]
        mine.sort(key=lambda each: each[1].offset)
        lines = [record.value or b"" for record in sorted(self.fates.audit.get(tenant.name, []), key=_by_offset)]
        ensure(not audit.broken(lines), "audit", f"{tenant.name}: {audit.broken(lines)}")
        found = [audit.read(line) for line in lines]
        rest = iter(found)
        asked: dict[str, tuple[str, int]] = {}
        for seq, directive in mine:
            if seq in self.fates.dead_at_directives:
                continue
            signal = envelope.decode(directive, reserved_ok=True)
            assert isinstance(signal, Signal)
            key, data = f"{signal.source}#{signal.id}", (data_of(signal) or b"").decode()
            before, at_ms = asked.get(key, ("", 0))
            looped = header_of(directive, names.STEPPED) is not None
            stepped_ms = self.stepped_at.get((topics.DIRECTIVES, tenant.lane, directive.offset), 0)
            if (directive.timestamp if looped else stepped_ms) >= at_ms + KEPT_MS:
                before = ""
            if before == data:
                continue
            entry = next(rest, None)
            wrong = (before and before != data) or json.loads(data).get("rate_per_second") == -1
            wanted = (key, Status.REJECTED if wrong else Status.SUCCEEDED)
            got = entry and (entry.key, entry.outcome)
            if signal.type in KINDS and got == (key, Status.FAILED):
                # Whether it could be: `replays.read`.
                wanted = (key, Status.FAILED)
            ensure(got == wanted, "directives", f"{self.sent[seq]}: the audit has {got}, and must have {wanted}")
            if entry is not None and not (before and before != data):
                asked[key] = (data, entry.at_ms)
        ensure(next(rest, None) is None, "directives", f"{tenant.name}: the audit has more than was asked")
        told = self.fates.told.get(tenant.name, 0)
        ensure(told == len(found), "directives", f"{tenant.name}: {told} ends were told of {len(found)}")

    def _check_echo(self) -> None:
        """The second hop has met each signal once, in the order of the log."""
        for seq, signals in self.fates.signals.items():
            ends = len(self.fates.echoes.get(seq, ())) + len(self.fates.dead_at_echo.get(seq, ()))
            ensure(ends == len(signals), "second hop", f"{self.sent[seq]} ended {ends} times at the second hop")
        for seq in self.fates.echoes:
            ensure(seq in self.fates.signals, "second hop", f"{self.sent[seq]} was echoed and is no signal")
        for tenant in self.tenants.values():
            mine = [sent.seq for sent in self.sent if sent.tenant == tenant.name]
            came = sorted((self.fates.signals[seq][0].offset, seq) for seq in mine if seq in self.fates.signals)
            went = sorted((self.fates.echoes[seq][0].offset, seq) for seq in mine if seq in self.fates.echoes)
            kept = [seq for _, seq in came if seq in self.fates.echoes]
            ensure(kept == [seq for _, seq in went], "order", f"{tenant.name}: the second hop has another order")


def _by_offset(record: Stored) -> int:
    return record.offset


def _check_rate(tenant: Tenant, times: list[int]) -> None:
    """No interval holds more signals than the burst and what its time has earned."""
    for first, begin_ms in enumerate(times):
        for at in range(first, len(times)):
            earned = tenant.burst + tenant.rate * (times[at] - begin_ms) / 1_000
            count = at - first + 1
            ensure(count <= earned + EPSILON, "rate", f"{tenant.name}: {count} signals where {earned:.2f} are earned")


def check_ledger(position: Position, cluster: Cluster, lane: int, made: Counter[str]) -> None:
    """The ledger balances, and says what the offsets say."""
    mismatches = ledger_mismatches(position.ledger)
    ensure(not mismatches, "ledger", f"lane {lane}: {mismatches} in {dict(position.ledger)}")
    came = {
        topic: len(cluster.partitions[topic, lane].read(0, position.applied.get(topic, 0) + 1)[0])
        for topic in (*INPUTS, topics.DIRECTIVES, topics.SIGNALS)
    }
    expected = {
        "ingest/in": came[topics.SIGNALS_IN] + came[topics.COMMANDS],
        "ingest/moved": made["moved"],
        "ingest/deferred": 0,
        "ingest/dead_lettered": made["dead ingest"],
        "directives/in": came[topics.DIRECTIVES] + position.ledger.get("directives/out_of_scope", 0),
        "directives/dead_lettered": made["dead directives"],
        "echo/handled": made["echo"] + made["told"],
        "echo/dead_lettered": made["dead echo"],
        "echo/in": came[topics.SIGNALS] + position.ledger.get("echo/out_of_scope", 0),
    }
    for term, wanted in expected.items():
        got = position.ledger.get(term, 0)
        ensure(got == wanted, "ledger", f"lane {lane}: {term} is {got}, and the topics say {wanted}")
