"""The judge finds each sort of wrong in what a run left behind, and nothing in what is right."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from processors import journal, position
from processors.ingest.tenant import Account, Policy, account_key
from processors.position import POSITION_KEY, Position
from processors.vocabulary import headers as names
from processors.vocabulary import topics
from processors.vocabulary.partition import lane_of
from processors.vocabulary.record import Header, PlainRecord
from tests.chaos.tenants import MARK, Kind, Tenant
from tests.chaos.verdict import Evidence, Verdict, judge

LANES: Final = 4
NAME: Final = "plain-00"
LANE: Final = lane_of(NAME.encode(), LANES)
TENANT: Final = Tenant(NAME, LANE)
COUNT: Final = 5


def _record(topic: str, number: int, kind: Kind = Kind.GOOD, *more: Header, lane: int = LANE) -> PlainRecord:
    headers: list[Header] = [(MARK, f"{NAME}/{number}/{kind.value}".encode()), *more]
    return PlainRecord(topic, lane, number, 0, NAME.encode(), b"", headers)


def _dead(number: int, kind: Kind = Kind.BAD) -> PlainRecord:
    return _record(topics.DEAD_LETTERS, number, kind, (names.DEAD_REASON, b"not_json"), (names.DEAD_TENANT, b""))


def _evidence(handled: Iterable[int], dead: Iterable[int] = (), *, counted: int | None = None) -> Evidence:
    """Return what a lane would leave behind that was sent records 1 to 5 and did this with them."""
    handled, dead = list(handled), list(dead)
    evidence = Evidence(LANES)
    for number in range(1, COUNT + 1):
        evidence.add_input(_record(topics.SIGNALS_IN, number))
    for number in handled:
        evidence.add_signal(_record(topics.SIGNALS, number))
    for number in dead:
        evidence.add_dead(_dead(number))
    account = Account(Policy(), b"", handled=len(handled) if counted is None else counted)
    ledger = {"ingest/in": COUNT, "ingest/handled": len(handled), "ingest/dead_lettered": len(dead)}
    evidence.state[LANE][account_key(NAME)] = account.pack()
    evidence.state[LANE][POSITION_KEY] = position.pack(Position(ledger=ledger), 2)
    return evidence


def _judge(evidence: Evidence) -> Verdict:
    return judge(evidence, [TENANT], {(NAME, number) for number in range(1, COUNT + 1)}, 0)


def test_what_is_right_is_found_right() -> None:
    verdict = _judge(_evidence([1, 2, 4, 5], [3]))
    assert verdict == replace(Verdict(), cases=[])


def test_a_lost_record_is_found_and_so_is_its_absence_in_the_ledger() -> None:
    verdict = _judge(_evidence([1, 2, 4, 5]))
    assert verdict.lost == 1
    assert verdict.ledger_mismatch == 1
    assert f"lost: {NAME}/3" in verdict.cases


def test_a_record_without_acknowledgement_may_come_out_but_what_stands_in_the_log_must() -> None:
    evidence = _evidence([1, 2, 3, 4, 5])
    assert judge(evidence, [TENANT], {(NAME, 1)}, 0).unaccepted_handled == COUNT - 1
    assert judge(_evidence([1, 2, 3, 4]), [TENANT], {(NAME, 1)}, 0).lost == 1


def test_a_record_that_came_out_twice_is_found_in_one_topic_and_across_both() -> None:
    assert _judge(_evidence([1, 2, 3, 3, 4, 5])).duplicated == 1
    assert _judge(_evidence([1, 2, 3, 4, 5], [3])).duplicated == 1


def test_a_record_that_the_client_wrote_twice_is_not_held_against_the_pipeline() -> None:
    evidence = _evidence([1, 2, 3, 3, 4, 5])
    evidence.add_input(_record(topics.SIGNALS_IN, 3))
    assert _judge(evidence).duplicated == 0
    assert evidence.resent[NAME] == 1


def test_a_later_record_that_came_first_is_found() -> None:
    assert _judge(_evidence([1, 3, 2, 4, 5])).reordered == 1


def test_a_counter_that_differs_from_the_output_is_found() -> None:
    assert _judge(_evidence([1, 2, 3, 4, 5], counted=6)).counters_wrong == 1


def test_a_good_record_among_the_dead_letters_and_a_bad_one_among_the_signals_are_found() -> None:
    evidence = _evidence([1, 2, 3])
    evidence.add_dead(_dead(4, Kind.GOOD))
    evidence.add_signal(_record(topics.SIGNALS, 5, Kind.BAD))
    assert _judge(evidence).misrouted == 2


def test_a_signal_in_another_lane_than_its_tenants_is_found() -> None:
    evidence = _evidence([1, 2, 3, 4])
    evidence.add_signal(_record(topics.SIGNALS, 5, lane=(LANE + 1) % LANES))
    assert _judge(evidence).misrouted == 1


def test_a_commit_that_does_not_begin_where_the_one_before_ended_is_found() -> None:
    evidence = _evidence([1, 2, 3, 4, 5])
    for sequence, first, after in ((1, 0, 3), (2, 2, 5), (4, 5, 6)):
        evidence.journals[LANE].append(journal.Entry(2, sequence, 0, ((topics.SIGNALS_IN, first, after),)))
    assert _judge(evidence).journal_gaps == 2
