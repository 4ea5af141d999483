"""The judge of directives finds each sort of wrong in what a run left behind, and nothing in what is right."""

import json
from typing import Any

import msgspec

from processors.directives import audit
from processors.directives.record import Directive, Head, Status, pack
from processors.ingest.tenant import Account, Policy, account_key
from processors.vocabulary import headers as names
from processors.vocabulary import topics
from processors.vocabulary.ids import digest
from processors.vocabulary.record import PlainRecord
from tests.chaos.answers import Answers, Judgement, Seen, judge_directives

TENANT = "asks-00"
COUNT = 3
KIND = "hopline.tenant.set"


class Run:
    """What one lane leaves behind that was asked three things and did each once; tests change a part of it."""

    def __init__(self) -> None:
        self.answers = Answers(1)
        self.head = Head()
        self.policy: Policy | None = None
        self.seen: list[Seen] = []
        self.offset = 0
        for number in range(1, COUNT + 1):
            self.ask(number)
            self.end(number)

    def ask(self, number: int, burst: int = 0) -> None:
        data = {"burst": burst or number}
        event = {"tenantid": TENANT, "idempotencykey": f"k{number}", "requester": f"n{number}", "type": KIND}
        value = json.dumps({**event, "data": data}).encode()
        self.answers.add_command(PlainRecord(topics.COMMANDS, 0, number, 0, b"", value, []))

    def directive(self, number: int) -> Directive:
        data = msgspec.json.encode({"burst": number})
        mark = digest(KIND.encode(), data)
        return Directive(f"k{number}", KIND, f"ask-{number}", "", f"kafka:n{number}", mark, data, 0, 0, 0)

    def line(self, number: int, status: Status = Status.SUCCEEDED) -> None:
        found = self.directive(number)
        found.status = status
        after = Policy(burst=number)
        line = audit.extend(self.head, TENANT, found, 0, audit.Told(self.policy, after))
        self.policy = after
        self.answers.add_audit(PlainRecord(topics.AUDIT, 0, number, 0, b"", line, []))

    def tell(self, number: int, status: Status = Status.SUCCEEDED) -> None:
        data: dict[str, Any] = {"key": f"k{number}", "status": status, "requester": f"kafka:n{number}", "error": ""}
        value = json.dumps({"tenantid": TENANT, "data": data}).encode()
        self.answers.add_signal(PlainRecord(topics.SIGNALS, 0, number, 0, b"", value, [(names.BY, b"directives")]))
        self.seen.append(Seen(TENANT, f"k{number}", status, reused=False, lane=0, state_end=self.offset, age_ms=1))

    def keep(self, number: int, status: Status = Status.SUCCEEDED) -> None:
        found = self.directive(number)
        found.status = status
        key = b"K%b\x00directives\x00d/k%d" % (TENANT.encode(), number)
        self.answers.add_state(PlainRecord(topics.STATE, 0, self.offset, 0, key, pack(found), []))
        self.offset += 1

    def end(self, number: int) -> None:
        self.line(number)
        self.keep(number)
        self.tell(number)

    def judge(self, *, more: set[tuple[str, int]] | None = None) -> Judgement:
        account = Account(Policy(), b"")
        account.set_policy(self.policy or Policy(), 0)
        accepted = {(TENANT, number) for number in range(1, COUNT + 1)} | (more or set())
        broken = {TENANT: tuple(audit.broken(self.answers.lines[TENANT], self.head))}
        return judge_directives(self.answers, accepted, [{account_key(TENANT): account.pack()}], broken, self.seen)


def test_what_is_right_is_found_right() -> None:
    found = Run().judge()
    assert found == Judgement(statuses_seen=COUNT)


def test_what_was_acknowledged_and_stands_nowhere_is_lost() -> None:
    assert Run().judge(more={(TENANT, 9)}).lost == 1


def test_what_was_asked_and_never_ended_is_lost() -> None:
    run = Run()
    run.ask(4)
    assert run.judge().lost == 1
    assert not run.answers.ended()


def test_an_end_without_its_signal_is_lost_and_a_signal_without_its_end_is_doubled() -> None:
    run = Run()
    run.ask(4)
    run.line(4)
    run.keep(4)
    assert run.judge().lost == 1
    again = Run()
    again.tell(2)
    assert again.judge().duplicated == 1


def test_what_ended_twice_is_doubled() -> None:
    run = Run()
    run.end(2)
    assert run.judge().duplicated == 1


def test_the_second_use_of_a_key_must_be_rejected() -> None:
    run = Run()
    run.ask(2, burst=77)
    assert run.judge().lost == 1


def test_a_line_that_is_gone_breaks_the_chain() -> None:
    run = Run()
    del run.answers.lines[TENANT][1]
    assert run.judge().chains_broken == 1


def test_a_status_that_was_visible_before_its_change_was_written_is_early() -> None:
    run = Run()
    run.seen[1] = Seen(TENANT, "k2", Status.SUCCEEDED, reused=False, lane=0, state_end=1, age_ms=1)
    assert run.judge().status_early == 1


def test_a_status_whose_change_never_came_is_early() -> None:
    run = Run()
    run.ask(4)
    run.line(4)
    run.tell(4)
    assert run.judge().status_early == 1


def test_a_state_that_is_not_what_the_audit_gives_is_wrong() -> None:
    run = Run()
    run.policy = Policy(burst=999)
    assert run.judge().state_wrong == 1
    other = Run()
    other.keep(2, Status.FAILED)
    assert other.judge().state_wrong == 1
