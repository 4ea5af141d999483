"""Directives against a model of a few lines: any order of asking, waiting, cancelling and time passing."""

import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from processors.directives import audit
from processors.directives.record import KEPT_MS, Status, directive_key, head_key, unpack, unpack_head
from processors.lane import ledger_mismatches
from processors.vocabulary import topics
from processors.vocabulary.timestamps import rfc3339
from tests.processors.lanes import LaneInMemory, event

KEYS = st.sampled_from(["a", "b", "c"])
BURSTS = st.integers(1, 4)
SET = "hopline.tenant.set"
CANCEL = "hopline.directive.cancel"


class Directives(RuleBasedStateMachine):
    """One tenant of one lane. The model: what was asked under each key, what waits, and the burst in force."""

    def __init__(self) -> None:
        super().__init__()
        self.lane = LaneInMemory()
        self.asked: dict[str, tuple[str, str, int]] = {}
        """By key: name, payload, and when it ended (0: it waits)."""
        self.waiting: dict[str, tuple[int, int]] = {}
        """By key: when it is due, and the burst that it sets."""
        self.burst: int | None = None
        self.ends: list[tuple[str, Status]] = []
        self.count = 0

    @rule(key=KEYS, burst=BURSTS, delay_ms=st.sampled_from([0, 0, 500, 3_000]))
    def ask(self, key: str, burst: int, delay_ms: int) -> None:
        due_ms = self.lane.now_ms + delay_ms
        extensions = {"notbefore": rfc3339(due_ms)} if delay_ms else {}
        if not self._send(SET, key, {"burst": burst}, extensions):
            return
        if delay_ms:
            self.waiting[key] = (due_ms, burst)
            self.asked[key] = (*self.asked[key][:2], 0)
            self.ends.append((key, Status.REQUESTED))
        else:
            self.burst = burst
            self.ends.append((key, Status.SUCCEEDED))

    @rule(key=KEYS, victim=KEYS)
    def cancel(self, key: str, victim: str) -> None:
        if not self._send(CANCEL, key, {"key": victim}, {}):
            return
        if victim in self.waiting:
            del self.waiting[victim]
            name, payload, _ = self.asked[victim]
            self.asked[victim] = (name, payload, self.lane.now_ms)
            self.ends += [(victim, Status.CANCELLED), (key, Status.SUCCEEDED)]
        else:
            self.ends.append((key, Status.FAILED))

    @rule(key=KEYS)
    def ask_for_what_cannot_be(self, key: str) -> None:
        if self._send(SET, key, {"burst": 0}, {}):
            self.ends.append((key, Status.REJECTED))

    @rule(by_ms=st.sampled_from([1, 499, 2_000, KEPT_MS]))
    def pass_time(self, by_ms: int) -> None:
        self.lane.now_ms += by_ms
        self.lane.step()
        self._fall_due()

    def _send(self, name: str, key: str, data: dict[str, Any], extensions: dict[str, str]) -> bool:
        """Step it; tell whether it is new, and note what is not."""
        self.count += 1
        value = event(id=f"c{self.count}", type=name, data=data, idempotencykey=key, **extensions)
        self.lane.step(self.lane.record(value, topic=topics.COMMANDS))
        self._fall_due()
        now_ms, payload = self.lane.now_ms, json.dumps(data)
        before = self.asked.get(key)
        if before is not None and not (before[2] and before[2] + KEPT_MS <= now_ms):
            if before[:2] != (name, payload):
                self.ends.append((key, Status.REJECTED))
            return False
        self.asked[key] = (name, payload, now_ms)
        return True

    def _fall_due(self) -> None:
        """A batch begins with what has fallen due."""
        due = sorted((at_ms, key) for key, (at_ms, _) in self.waiting.items() if at_ms <= self.lane.now_ms)
        for _, key in due:
            _, self.burst = self.waiting.pop(key)
            self.asked[key] = (*self.asked[key][:2], self.lane.now_ms)
            self.ends.append((key, Status.SUCCEEDED))

    @invariant()
    def what_is_in_force_is_what_was_asked(self) -> None:
        account = self.lane.account()
        assert account.known == (self.burst is not None)
        assert account.policy.burst == (self.burst or 100)

    @invariant()
    def the_audit_tells_all_in_its_order(self) -> None:
        lines = [value or b"" for _, value, _ in self.lane.outputs(topics.AUDIT)]
        head = unpack_head(self.lane.store.values.get(head_key("acme")))
        assert audit.broken(lines, head) == []
        assert [(entry.key, entry.outcome) for entry in map(audit.read, lines)] == self.ends
        assert head.scheduled == len(self.waiting)
        assert len(self.lane.told()) == len(lines)

    @invariant()
    def state_knows_what_waits(self) -> None:
        for key in self.waiting:
            assert unpack(self.lane.store.values[directive_key("acme", key)]).status is Status.REQUESTED

    @invariant()
    def the_ledger_balances(self) -> None:
        assert ledger_mismatches(self.lane.position.ledger) == {}
        assert self.lane.position.ledger.get("directives/deferred", 0) == len(self.waiting)


Directives.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestDirectives = Directives.TestCase
