"""Judge what a run left behind: what was accepted against outputs, counters in state, ledgers and journals."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, Final

from processors import journal, position
from processors.ingest.tenant import Account, Policy, account_key
from processors.lane import IN, ledger_mismatches
from processors.position import POSITION_KEY
from processors.step import Outcome
from processors.vocabulary import headers as names
from processors.vocabulary.partition import lane_of
from tests.chaos.tenants import Kind, Tenant, read_mark

HOP: Final = "ingest"
SHOWN_MAX: Final = 20
_DEFAULT: Final = Policy()


@dataclass
class Evidence:
    """All that was read back."""

    lanes: int
    entered: Counter[tuple[str, int]] = field(default_factory=Counter)
    """How often each record stands in `signals.in` as its producer sent it."""
    read_in: int = 0
    """Records of `signals.in`, moved ones included."""
    moved: int = 0
    last_offset: dict[int, int] = field(default_factory=lambda: defaultdict(lambda: -1))
    """The last record of each lane of `signals.in`; markers stand behind it."""
    handled: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Numbers in `signals` by tenant, as they were read."""
    dead: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    dead_reasons: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    """Dead letters that name their tenant."""
    misrouted: list[str] = field(default_factory=list)
    """Good ones among the dead letters, bad ones among the signals, any in another lane than their tenant's."""
    state: list[dict[bytes, bytes]] = field(default_factory=list)
    journals: dict[int, list[journal.Entry]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self.state = [{} for _ in range(self.lanes)]

    def add_input(self, record: Any) -> None:
        """Take note of a record of `signals.in`."""
        self.read_in += 1
        self.last_offset[record.partition] = record.offset
        mark = read_mark(record.headers)
        if any(name == names.MOVED for name, _ in record.headers):
            self.moved += 1
        elif mark is not None:
            self.entered[mark[:2]] += 1

    def add_signal(self, record: Any) -> None:
        """Take note of a record of `signals`."""
        if any(name == names.BY for name, _ in record.headers):
            # What the pipeline tells of the commands that set tenants up.
            return
        mark = read_mark(record.headers)
        if mark is None:
            self.misrouted.append(f"signals {record.partition}/{record.offset}: not sent by us")
            return
        tenant, number, kind = mark
        self.handled[tenant].append(number)
        mine = record.key == tenant.encode() and record.partition == lane_of(tenant.encode(), self.lanes)
        if kind is Kind.BAD or not mine:
            self.misrouted.append(f"signals {record.partition}/{record.offset}: {tenant}/{number}")

    def add_dead(self, record: Any) -> None:
        """Take note of a record of `dead-letters`."""
        mark = read_mark(record.headers)
        said = {name: value.decode(errors="replace") for name, value in record.headers}
        reason, whose = said.get(names.DEAD_REASON, ""), said.get(names.DEAD_TENANT, "")
        self.dead_reasons[reason] += 1
        if whose:
            self.refused[whose] += 1
        if mark is None:
            self.misrouted.append(f"dead-letters {record.partition}/{record.offset}: not sent by us ({reason})")
            return
        tenant, number, kind = mark
        self.dead[tenant].append(number)
        if kind is Kind.GOOD:
            self.misrouted.append(f"dead-letters {record.partition}/{record.offset}: {tenant}/{number} ({reason})")

    def add_state(self, record: Any) -> None:
        """Take note of a record of `state`: the last one of a key counts."""
        if record.value is None:
            self.state[record.partition].pop(record.key, None)
        else:
            self.state[record.partition][record.key] = record.value

    def add_journal(self, record: Any) -> None:
        """Take note of a record of `journal`."""
        entry = journal.unpack(record.value)
        if entry is not None:
            self.journals[record.partition].append(entry)

    @cached_property
    def resent(self) -> Counter[str]:
        """How many records of a tenant the producer's client has written once too often."""
        found: Counter[str] = Counter()
        for (tenant, _), count in self.entered.items():
            found[tenant] += count - 1
        return found

    @property
    def singles(self) -> int:
        """How many commits took one record only: many mean that lanes were stepped carefully, record by record."""
        entries = (entry for entries in self.journals.values() for entry in entries)
        return sum(sum(after - first for _, first, after in entry.ranges) == 1 for entry in entries)

    def account(self, tenant: str) -> Account:
        """Return the tenant's account as the state has it in the tenant's lane."""
        lane = lane_of(tenant.encode(), self.lanes)
        return Account.load(self.state[lane].get(account_key(tenant)), _DEFAULT)


@dataclass(slots=True)
class Verdict:
    """What is wrong, as numbers; and the first few cases in words."""

    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    counters_wrong: int = 0
    ledger_mismatch: int = 0
    journal_gaps: int = 0
    misrouted: int = 0
    unaccepted_handled: int = 0
    """Without an acknowledgement, and handled all the same: allowed, once."""
    cases: list[str] = field(default_factory=list)

    def note(self, cases: Iterable[str]) -> int:
        """Keep the first few in words; return how many there were."""
        listed = list(cases)
        self.cases += listed[:SHOWN_MAX]
        return len(listed)


def judge(evidence: Evidence, tenants: Iterable[Tenant], accepted: set[tuple[str, int]], commands: int) -> Verdict:
    """Return what is wrong with what was read back."""
    verdict = Verdict()
    out: Counter[tuple[str, int]] = Counter()
    for topic, numbered in (("signals", evidence.handled), ("dead-letters", evidence.dead)):
        for tenant, numbers in numbered.items():
            out.update((tenant, number) for number in numbers)
            verdict.reordered += verdict.note(f"order: {tenant} in {topic}: {text}" for text in _disorder(numbers))
    # What stands in the input and was never acknowledged must come out as well.
    due = accepted | evidence.entered.keys()
    verdict.lost = verdict.note(f"lost: {tenant}/{number}" for tenant, number in sorted(due - out.keys()))
    doubled = {one: count for one, count in out.items() if count > max(1, evidence.entered[one])}
    verdict.duplicated = sum(count - max(1, evidence.entered[one]) for one, count in doubled.items())
    verdict.note(f"doubled: {tenant}/{number}: {count} times" for (tenant, number), count in sorted(doubled.items()))
    verdict.misrouted = verdict.note(f"misrouted: {text}" for text in evidence.misrouted)
    verdict.unaccepted_handled = len(out.keys() - accepted)
    verdict.counters_wrong = verdict.note(
        f"counter: {tenant.name}: {text}" for tenant in tenants for text in _counters(evidence, tenant)
    )
    verdict.ledger_mismatch = verdict.note(f"ledger: {text}" for text in _ledgers(evidence, commands))
    verdict.journal_gaps = verdict.note(f"journal: {text}" for text in _journals(evidence))
    return verdict


def _disorder(numbers: list[int]) -> Iterable[str]:
    """Yield each first appearance that comes after a later number's."""
    last, seen = 0, set[int]()
    for number in numbers:
        if number < last and number not in seen:
            yield f"{number} after {last}"
        last = max(last, number)
        seen.add(number)


def _counters(evidence: Evidence, tenant: Tenant) -> Iterable[str]:
    account = evidence.account(tenant.name)
    resent = 0 if tenant.window_ms == 0 else evidence.resent[tenant.name]
    counts = {
        "handled": (account.handled, len(evidence.handled[tenant.name])),
        "duplicates": (account.duplicates, resent),
        "dead": (account.dead, evidence.refused[tenant.name]),
        "commands": (account.commands, int(bool(tenant.policy))),
        "queued": (account.queued, 0),
    }
    for what, (counted, there) in counts.items():
        if counted != there:
            yield f"{what} is {counted} in state, {there} by the topics"
    for lane, keys in enumerate(evidence.state):
        if account_key(tenant.name) in keys and lane != lane_of(tenant.name.encode(), evidence.lanes):
            yield f"an account in lane {lane}, which is not its own"


def _ledgers(evidence: Evidence, commands: int) -> Iterable[str]:
    total: Counter[str] = Counter()
    for lane, keys in enumerate(evidence.state):
        packed = keys.get(POSITION_KEY)
        if packed is not None:
            ledger = position.unpack(packed).ledger
            total.update(ledger)
            for hop, by in ledger_mismatches(ledger).items():
                yield f"lane {lane}, {hop}: {by} records came in and are not accounted for"
    there = {
        IN: evidence.read_in + commands,
        Outcome.HANDLED: sum(map(len, evidence.handled.values())) + commands,
        Outcome.DEAD: sum(evidence.dead_reasons.values()),
        Outcome.MOVED: evidence.moved,
        Outcome.DEFERRED: 0,
    }
    for term, count in there.items():
        if total[f"{HOP}/{term}"] != count:
            yield f"{HOP}/{term} is {total[f'{HOP}/{term}']}, {count} by the topics"


def _journals(evidence: Evidence) -> Iterable[str]:
    """Yield where a commit is missing, doubled, or does not begin where the one before ended."""
    for lane, entries in sorted(evidence.journals.items()):
        for one, two in pairwise(entries):
            if two.sequence != one.sequence + 1:
                yield f"lane {lane}: {two.sequence} follows {one.sequence}"
        ended: dict[str, int] = {}
        for entry in entries:
            for topic, first, after in entry.ranges:
                if first != ended.get(topic, first) or after < first:
                    yield f"lane {lane}: {topic} {first}-{after} follows {ended.get(topic)} at {entry.sequence}"
                ended[topic] = after
