"""Judge what became of directives, from the topics alone: each ended once, is audited, told, and as state has it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import orjson

from processors.directives import audit
from processors.directives.audit import Entry
from processors.directives.kinds.state import STATE_CLEAR
from processors.directives.record import Directive, Status, prefix, unpack
from processors.ingest.policy import TENANT_SET
from processors.ingest.tenant import Account, Policy, account_key
from processors.lane import ledger_mismatches
from processors.position import POSITION_KEY
from processors.position import unpack as unpack_position
from processors.vocabulary import headers as names
from processors.vocabulary.ids import digest
from processors.vocabulary.partition import lane_of
from tests.chaos.asked import SPREAD

SHOWN_MAX: Final = 20
REUSED: Final = "the idempotency key was used"
"""What the answer to a key's second use begins with; such a one is not kept."""
_DIRECTIVES: Final = prefix("").split(b"\x00", 1)[1]
_DEFAULT: Final = Policy()

OPEN: Final = (Status.REQUESTED, Status.RUNNING)

Told = tuple[str, str, str, str]
"""Tenant, key, status, requester."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A status as a reader of committed records saw it, and how far the lane's state had been written by then."""

    tenant: str
    key: str
    status: Status
    reused: bool
    lane: int
    state_end: int
    age_ms: int


@dataclass
class Answers:
    """All that was read back about directives."""

    lanes: int
    asked: dict[tuple[str, str], Counter[bytes]] = field(default_factory=lambda: defaultdict(Counter))
    """For each tenant and key: how often each fingerprint stands in `commands`, as its sender wrote it."""
    numbers: set[tuple[str, int]] = field(default_factory=set)
    moved: int = 0
    entered: int = 0
    entries: dict[str, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    lines: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    told: Counter[Told] = field(default_factory=Counter)
    written: dict[tuple[str, str], list[tuple[int, Status | None]]] = field(default_factory=lambda: defaultdict(list))
    """Where in `state` a directive stands, each time that it was written: offset and status; None where it was cleared.

    What ended and was cleared in one commit stands there as cleared only.
    """
    kept: dict[tuple[str, str], Directive] = field(default_factory=dict)

    def add_command(self, record: Any) -> None:
        """Take note of a record of `commands`."""
        if any(name == names.MOVED for name, _ in record.headers):
            self.moved += 1
            return
        event = orjson.loads(record.value)
        self.entered += 1
        if "requester" not in event:
            return
        data = msgspec.json.encode(event["data"])
        self.asked[event["tenantid"], event["idempotencykey"]][digest(event["type"].encode(), data)] += 1
        self.numbers.add((event["tenantid"], int(event["requester"][1:])))

    def add_audit(self, record: Any) -> None:
        """Take note of a record of `audit`."""
        entry = audit.read(record.value)
        self.lines[entry.tenant].append(record.value)
        if entry.requester.startswith("kafka:n"):
            self.entries[entry.tenant].append(entry)

    def add_signal(self, record: Any) -> None:
        """Take note of a record of `signals`, if it tells of a directive that we asked for."""
        found = status_of(record)
        if found is not None and found[1]["requester"].startswith("kafka:n"):
            self.told[found[0], found[1]["key"], found[1]["status"], found[1]["requester"]] += 1

    def add_state(self, record: Any) -> None:
        """Take note of a record of `state`, if a directive stands in it."""
        tenant, _, rest = record.key[1:].partition(b"\x00")
        if not tenant or not rest.startswith(_DIRECTIVES):
            return
        if record.value is None:
            gone = (tenant.decode(), rest.removeprefix(_DIRECTIVES).decode())
            self.kept.pop(gone, None)
            self.written[gone].append((record.offset, None))
            return
        directive = unpack(record.value)
        place = (tenant.decode(), directive.key)
        self.written[place].append((record.offset, directive.status))
        self.kept[place] = directive

    def ended(self) -> bool:
        """Tell whether everything that was asked has ended, as state has it."""
        # Not what is kept: an answer may have been cleared.
        return all(any(status not in OPEN for _, status in self.written[place]) for place in self.asked)


def status_of(record: Any) -> tuple[str, Mapping[str, Any]] | None:
    """Return whose directive a signal tells of, and what; None if it tells of none."""
    if not any(name == names.BY for name, _ in record.headers):
        return None
    event = orjson.loads(record.value)
    return event["tenantid"], event["data"]


@dataclass(slots=True)
class Judgement:
    """What is wrong with the directives of a run, as numbers; and the first few cases in words."""

    lost: int = 0
    duplicated: int = 0
    chains_broken: int = 0
    status_early: int = 0
    state_wrong: int = 0
    ledger_mismatch: int = 0
    statuses_seen: int = 0
    cases: list[str] = field(default_factory=list)

    def note(self, cases: Iterable[str]) -> int:
        """Keep the first few in words; return how many there were."""
        listed = list(cases)
        self.cases += listed[:SHOWN_MAX]
        return len(listed)


def judge_directives(
    answers: Answers,
    accepted: set[tuple[str, int]],
    state: list[dict[bytes, bytes]],
    broken: Mapping[str, tuple[str, ...]],
    seen: Iterable[Seen],
) -> Judgement:
    """Return what is wrong. `broken` is what is wrong with which tenant's chain."""
    found = Judgement()
    lost, doubled = [*_unheard(answers, accepted)], list[str]()
    for case, by in _ends(answers):
        (lost if by < 0 else doubled).extend([case] * abs(by))
    for case, by in _tellings(answers):
        (lost if by < 0 else doubled).extend([case] * abs(by))
    found.lost = found.note(f"lost: {case}" for case in lost)
    found.duplicated = found.note(f"doubled: {case}" for case in doubled)
    found.chains_broken = found.note(f"chain: {tenant}: {said[0]}" for tenant, said in broken.items() if said)
    looks = list(seen)
    found.statuses_seen = len(looks)
    found.status_early = found.note(f"early: {look}" for look in looks if not _change_was_there(answers, look))
    found.state_wrong = found.note(f"state: {case}" for case in (*_states(answers, state), *_cleared(answers)))
    found.ledger_mismatch = found.note(
        f"ledger: lane {lane}, {hop}: {by}"
        for lane, keys in enumerate(state)
        if POSITION_KEY in keys
        for hop, by in ledger_mismatches(unpack_position(keys[POSITION_KEY]).ledger).items()
    )
    return found


def _unheard(answers: Answers, accepted: set[tuple[str, int]]) -> Iterable[str]:
    """Yield what Kafka has acknowledged and does not have."""
    for tenant, number in sorted(accepted - answers.numbers):
        yield f"{tenant} n{number} was acknowledged and stands nowhere"


def _ends(answers: Answers) -> Iterable[tuple[str, int]]:
    """Yield which keys did not end exactly once, and by how much."""
    ends: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for tenant, entries in answers.entries.items():
        for entry in entries:
            ends[tenant, entry.key].append(entry)
    for tenant, key in answers.asked.keys() | ends.keys():
        place = (tenant, key)
        asked, entries = answers.asked.get(place, Counter()), ends[place]
        finals = [entry for entry in entries if entry.outcome not in OPEN]
        reused = sum(entry.error.startswith(REUSED) for entry in finals)
        kept = answers.kept.get(place)
        clashes = 0 if kept is None else asked.total() - asked[kept.fingerprint]
        for what, count, due in (
            ("ends", len(finals) - reused, int(bool(asked))),
            ("rejections of its key's second use", reused, clashes),
        ):
            if count != due:
                yield f"{tenant} {key} has {count} {what}, not {due}", count - due
        for status in OPEN:
            if (times := sum(entry.outcome is status for entry in entries)) > 1:
                yield f"{tenant} {key} was {status} {times} times", times - 1


def _tellings(answers: Answers) -> Iterable[tuple[str, int]]:
    """Yield where signals and audit differ: each line of the audit has its signal."""
    lines: Counter[Told] = Counter(
        (tenant, entry.key, entry.outcome.value, entry.requester)
        for tenant, entries in answers.entries.items()
        for entry in entries
    )
    for one in lines.keys() | answers.told.keys():
        if by := answers.told[one] - lines[one]:
            yield f"{' '.join(one)} is told {answers.told[one]} times and audited {lines[one]} times", by


def _change_was_there(answers: Answers, look: Seen) -> bool:
    """Tell whether the record of `state` that carries a status had been written when the status could be read.

    It is one that proved to be committed. What was put off and ended in one commit stands there with its end only.
    """
    if look.reused:
        return True
    return any(
        offset < look.state_end
        for offset, status in answers.written[look.tenant, look.key]
        if look.status in {status, *OPEN} or status is None
    )


def _states(answers: Answers, state: list[dict[bytes, bytes]]) -> Iterable[str]:
    """Yield where the end state is not what the audit's lines, folded, give."""
    for tenant, entries in answers.entries.items():
        policy: Any = None
        for entry in entries:
            place = (tenant, entry.key)
            if tenant != SPREAD and entry.outcome not in OPEN and not entry.error.startswith(REUSED):
                kept = answers.kept.get(place)
                if kept is None or kept.status is not entry.outcome:
                    yield f"{tenant} {entry.key} is {entry.outcome} in the audit, {kept and kept.status} in state"
            if entry.outcome is Status.SUCCEEDED and entry.directive.startswith(_POLICY_KINDS) and not _clears(entry):
                before, after = _policies(entry)
                if before != policy:
                    yield f"{tenant} entry {entry.sequence}: it found {before}, and the one before left {policy}"
                policy = after
        lane = lane_of(tenant.encode(), answers.lanes)
        account = Account.load(state[lane].get(account_key(tenant)), _DEFAULT)
        if (msgspec.to_builtins(account.policy) if account.known else None) != policy:
            yield f"{tenant}: the policy is {account.policy}, and by the audit {policy}"


_POLICY_KINDS: Final = (TENANT_SET.rpartition(".")[0], "hopline.limit.", "hopline.agent.", STATE_CLEAR)


def _clears(entry: Entry) -> int:
    """Return how many answers a line of the audit says were cleared."""
    cleared = entry.directive == STATE_CLEAR and entry.outcome is Status.SUCCEEDED and entry.before.get("directives")
    return int(cleared["answers"]) if cleared else 0


def _cleared(answers: Answers) -> Iterable[str]:
    """Yield if an answer was not cleared, and is not left either; or both."""
    entries = answers.entries.get(SPREAD, [])
    ends = sum(entry.outcome not in OPEN for entry in entries)
    cleared = sum(_clears(entry) for entry in entries)
    left = sum(place[0] == SPREAD for place in answers.kept)
    if ends != cleared + left:
        yield f"{SPREAD}: of {ends} answers {cleared} were cleared and {left} are left"


def _policies(entry: Entry) -> tuple[Any, Any]:
    """Return the policy before and after, as a line of the audit has it."""
    if entry.directive == STATE_CLEAR:
        return entry.before["ingest"]["policy"], entry.after["ingest"]["policy"]
    return entry.before, entry.after
