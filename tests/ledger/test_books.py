"""The books over a lane's topics: whatever is read first, what is right is balanced and what is forged is found."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors import journal, position
from processors.ledger import EXPLAINED, Fault
from processors.position import POSITION_KEY
from processors.step import Output
from processors.vocabulary import headers as names
from processors.vocabulary import topics
from tests.architecture.tree import ROOT
from tests.ledger.logged import LANE, Logged, Transaction
from tests.processors.lanes import event

Forge = Callable[[Transaction], None]
SIGNALS: Final = (topics.SIGNALS, LANE)
DEAD: Final = (topics.DEAD_LETTERS, LANE)
AUDIT: Final = (topics.AUDIT, LANE)
STATE: Final = (topics.STATE, LANE)
JOURNAL: Final = (topics.JOURNAL, LANE)
TENANTS: Final = ("acme", "bolt", "cork")


def command(kind: str, id_: str, tenant: str, **data: Any) -> bytes:
    return event(tenant, id=id_, type=kind, data=data)


BATCHES = st.lists(
    st.one_of(
        st.lists(st.tuples(st.sampled_from(TENANTS), st.integers(0, 12)), min_size=1, max_size=5),
        st.sampled_from(["bad", "hold", "go on", "limit", "late", "time stands still"]),
    ),
    min_size=1,
    max_size=14,
)


def written(batches: list[Any]) -> Logged:
    """Return the topics of a lane that has stepped these batches."""
    made = Logged()
    for number, batch in enumerate(batches):
        match batch:
            case "bad":
                made.step(b"{", event("acme", id=f"after-bad-{number}"), None)
            case "hold":
                made.step(command("hopline.agent.pause", f"h{number}", "bolt"), topic=topics.COMMANDS)
            case "go on":
                made.step(command("hopline.agent.resume", f"g{number}", "bolt"), topic=topics.COMMANDS)
            case "limit":
                made.step(command("hopline.limit.set", f"l{number}", "acme", burst=100 + number), topic=topics.COMMANDS)
            case "late":
                due = event("cork", id=f"d{number}", type="hopline.agent.pause", notbefore="2027-02-01T00:00:00Z")
                made.step(due, topic=topics.COMMANDS)
            case "time stands still":
                made.lane.now_ms -= 7
                made.step(event("acme", id=f"still-{number}"))
            case _:
                made.step(*(event(tenant, id=str(id_)) for tenant, id_ in batch))
    return made


@given(BATCHES, st.randoms(use_true_random=False))
@settings(max_examples=150)
def test_what_a_lane_has_written_is_balanced_in_whatever_order_it_is_read(batches: list[Any], chance: Any) -> None:
    assert [str(found) for found in written(batches).checked(chance.randrange)] == []


def drop(place: tuple[str, int]) -> Forge:
    def forge(transaction: Transaction) -> None:
        del transaction.writes[place][0]

    return forge


def double(place: tuple[str, int]) -> Forge:
    def forge(transaction: Transaction) -> None:
        transaction.writes[place].append(transaction.writes[place][0])

    return forge


def entry(**parts: Any) -> Forge:
    def forge(transaction: Transaction) -> None:
        (key, value, headers) = transaction.writes[JOURNAL][0]
        found = journal.unpack(value or b"")
        assert found is not None
        if "by" in parts:
            topic, first, after = found.ranges[0]
            found = msgspec.structs.replace(found, ranges=((topic, first + parts["by"], after), *found.ranges[1:]))
        else:
            found = msgspec.structs.replace(found, now_ms=found.now_ms + parts["ms"])
        transaction.writes[JOURNAL][0] = (key, journal.pack(found), headers)

    return forge


def at(change: Callable[[position.Position], position.Position]) -> Forge:
    def forge(transaction: Transaction) -> None:
        outputs = transaction.writes[STATE]
        for index, (key, value, headers) in enumerate(outputs):
            if key == POSITION_KEY:
                outputs[index] = (key, position.pack(change(position.unpack(value or b"")), 2), headers)

    return forge


def term(name: str, by: int) -> Forge:
    return at(lambda now: replace(now, ledger={**now.ledger, name: now.ledger.get(name, 0) + by}))


def term_moved(transaction: Transaction) -> None:
    term("ingest/handled", -1)(transaction)
    term("ingest/duplicate", 1)(transaction)


def no_position(transaction: Transaction) -> None:
    transaction.writes[STATE] = [output for output in transaction.writes[STATE] if output[0] != POSITION_KEY]


def no_queue(transaction: Transaction) -> None:
    transaction.writes[STATE] = [
        output for output in transaction.writes[STATE] if b"\0queue/" not in (output[0] or b"")
    ]


def no_marker(transaction: Transaction) -> None:
    transaction.marked = False


def came(offset: bytes) -> Forge:
    def forge(transaction: Transaction) -> None:
        def made_up(output: Output) -> Output:
            key, value, headers = output
            return key, value, [(n, offset + b"/0") if n == names.CAME else (n, v) for n, v in headers]

        transaction.writes[SIGNALS] = [made_up(output) for output in transaction.writes[SIGNALS]]

    return forge


def changed_line(transaction: Transaction) -> None:
    key, value, headers = transaction.writes[AUDIT][0]
    transaction.writes[AUDIT][0] = (key, (value or b"").replace(b'"error":""', b'"error":"x"'), headers)


FORGED: Final[dict[str, tuple[int, Forge, set[Fault]]]] = {
    "signal missing": (0, drop(SIGNALS), {Fault.TERM_DIFFERS}),
    "signal twice": (0, double(SIGNALS), {Fault.OUTPUT_TWICE}),
    "dead letter missing": (1, drop(DEAD), {Fault.TERM_DIFFERS}),
    "dead letter twice": (1, double(DEAD), {Fault.DEAD_TWICE}),
    "audit line missing": (2, drop(AUDIT), {Fault.TELLING_DIFFERS}),
    "audit line changed": (2, changed_line, {Fault.AUDIT_BROKEN}),
    "status missing": (2, drop(SIGNALS), {Fault.TELLING_DIFFERS}),
    "directive missing": (2, drop((topics.DIRECTIVES, LANE)), {Fault.TERM_DIFFERS}),
    "queue entry missing": (3, no_queue, {Fault.TERM_DIFFERS}),
    "journal missing": (0, drop(JOURNAL), {Fault.JOURNAL_GAP}),
    "journal twice": (0, double(JOURNAL), {Fault.JOURNAL_REPEATED}),
    "range jumps": (4, entry(by=1), {Fault.RANGE_JUMPS}),
    "range overlaps": (4, entry(by=-1), {Fault.RANGE_OVERLAPS}),
    "time back": (4, entry(ms=-1_000), {Fault.TIME_WENT_BACK}),
    "position missing": (0, no_position, {Fault.POSITION_MISSING}),
    "position jumps": (
        0,
        at(lambda now: replace(now, applied={t: n + 3 for t, n in now.applied.items()})),
        {Fault.POSITION_DIFFERS, Fault.POSITION_WENT_BACK},
    ),
    "position goes back": (4, at(lambda now: replace(now, sequence=0)), {Fault.POSITION_WENT_BACK}),
    "term off": (
        0,
        lambda one: (term("ingest/handled", -1)(one), term("ingest/duplicate", 1)(one))[0],
        {Fault.TERM_DIFFERS},
    ),
    "ledger unbalanced": (0, term("ingest/in", 2), {Fault.UNBALANCED}),
    "term falls": (4, term("ingest/in", -9), {Fault.TERM_WENT_BACK}),
    "input made up": (0, came(b"99999"), {Fault.UNFOUNDED}),
    "outside of the transaction": (0, no_marker, {Fault.OUTSIDE_TRANSACTION}),
}
"""By name: which batch of the run is forged, how, and as what it must be found."""


def run() -> Logged:
    """Return a run that has all there is to forge, and something behind it."""
    made = Logged()
    made.step(event("acme", id="1"), event("bolt", id="2"))
    made.step(b"{", event("acme", id="3"))
    made.step(command("hopline.agent.pause", "c1", "bolt"), topic=topics.COMMANDS)
    made.step(event("bolt", id="4"), event("acme", id="5"))
    made.step(event("acme", id="6"), event("acme", id="7"))
    made.step(command("hopline.agent.resume", "c2", "bolt"), topic=topics.COMMANDS)
    made.step(event("acme", id="8"))
    made.step(event("cork", id="9"))
    return made


@pytest.mark.parametrize("name", FORGED)
@given(chance=st.randoms(use_true_random=False))
@settings(max_examples=12)
def test_what_is_forged_is_found_in_whatever_order_it_is_read(name: str, chance: Any) -> None:
    number, forge, faults = FORGED[name]
    made = deepcopy(run())
    forge(made.transactions[number])
    found = {finding.fault for finding in made.checked(chance.randrange)}
    assert found & faults, found


def test_a_record_of_no_commit_is_found_though_the_lane_rests() -> None:
    made = run()
    extra = Transaction(made.lane.now_ms + 99, {SIGNALS: [(b"acme", b"{}", [(names.CAME, b"0/1")])]})
    made.transactions.append(extra)
    faults = [finding.fault for finding in made.checked(lambda _: 0)]
    # It says that it is the end of a record that has ended.
    assert faults == [Fault.OUTPUT_TWICE]
    extra.writes[SIGNALS] = [(b"acme", b"{}", [])]
    assert [finding.fault for finding in made.checked(lambda _: 0)] == [Fault.WITHOUT_COMMIT]


def test_each_fault_is_explained() -> None:
    assert set(EXPLAINED) == set(Fault)


def test_each_fault_is_in_the_documentation() -> None:
    text = (ROOT / "docs" / "ledger.md").read_text(encoding="utf-8")
    assert [fault.value for fault in Fault if f"`{fault.value}`" not in text] == []
