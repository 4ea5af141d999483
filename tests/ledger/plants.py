"""The planted faults: each breaks one commit of a real worker, as a bug would, when a record asks for it.

A record asks by its id, `plant/NAME/NUMBER`. What a plant does to a commit is what a bug of the step, of the writer or
of the state would do; everything else of the worker is as it is.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, TypeAlias

import msgspec
from aiokafka import AIOKafkaProducer

from processors import journal, position
from processors.dead_letters import UNKNOWN_TENANT
from processors.journal import Entry
from processors.lane import Commit
from processors.ledger import Fault
from processors.position import POSITION_KEY, Position
from processors.step import Output
from processors.vocabulary import headers as names
from processors.vocabulary import topics
from processors.vocabulary.record import Header
from streams.lanes.writer import TransactionalWriter
from streams.settings import load

MARK: Final = b"plant/"
Whole: TypeAlias = Callable[..., Awaitable[int]]
Apply: TypeAlias = Callable[["Struck"], Awaitable[int]]


class Trigger(StrEnum):
    """What record asks for the fault."""

    SIGNAL = "signal"
    SIGNALS = "signals"
    """Several of one tenant, in one commit."""
    BAD = "bad"
    ASTRAY = "astray"
    """One that must be moved to its lane."""
    HELD = "held"
    """One that must wait, for its tenant is held."""
    DIRECTIVE = "directive"
    DIRECTIVES = "directives"
    """Two, one after the other."""
    READ = "read"
    """None of the commit's: the worker's reading is at fault."""


@dataclass(frozen=True, slots=True)
class Struck:
    """A commit that is to be broken, and how it is carried out."""

    writer: TransactionalWriter
    whole: Whole
    commit: Commit
    due: Mapping[str, int]
    mark: bytes

    async def carry_out(self, commit: Commit) -> int:
        """Commit it as any other."""
        return await self.whole(self.writer, commit, due=self.due)

    async def besides(self, **parts: Any) -> None:
        """Commit something more, in a transaction of its own."""
        nothing: dict[str, Any] = {"outputs": {}, "changes": {}, "journal": b""}
        await self.whole(self.writer, replace(self.commit, **{**nothing, **parts}), due={})

    def outputs(self, topic: str, change: Callable[[list[Output]], list[Output]]) -> Commit:
        """Return the commit with what it writes to a topic of its lane changed."""
        found = {
            place: change(list(outputs)) if place[0] == topic else outputs
            for place, outputs in self.commit.outputs.items()
        }
        return replace(self.commit, outputs={place: outputs for place, outputs in found.items() if outputs})

    def mine(self, output: Output) -> bool:
        """Tell whether an output is the end of the record that asked."""
        return self.mark in (output[1] or b"") or any(self.mark in (value or b"") for _, value in output[2])

    def journal(self, **parts: Any) -> Commit:
        """Return the commit with another journal entry."""
        entry = journal.unpack(self.commit.journal)
        assert entry is not None
        return replace(self.commit, journal=journal.pack(msgspec.structs.replace(entry, **parts)))

    def ranges(self, first: int, after: int) -> Commit:
        """Return the commit with the journal's first range moved."""
        entry = journal.unpack(self.commit.journal)
        assert entry is not None
        (topic, begin, end), *rest = entry.ranges
        return self.journal(ranges=((topic, begin + first, end + after), *rest))

    def state(self, where: Position) -> Commit:
        """Return the commit with another position in the state."""
        packed = position.pack(where, self.version)
        return replace(self.commit, changes={**self.commit.changes, POSITION_KEY: packed})

    def ledger(self, **terms: int) -> Commit:
        """Return the commit with terms of ingest's ledger moved."""
        at = self.commit.position
        changed = dict(at.ledger)
        for term, by in terms.items():
            changed[f"ingest/{term}"] = changed.get(f"ingest/{term}", 0) + by
        return self.state(replace(at, ledger=changed))

    @property
    def version(self) -> int:
        """The format that the commit is in."""
        entry: Entry | None = journal.unpack(self.commit.journal)
        return entry.v if entry is not None else 2


def _without(topic: str) -> Apply:
    async def apply(struck: Struck) -> int:
        return await struck.carry_out(struck.outputs(topic, lambda all_: [o for o in all_ if not struck.mine(o)]))

    return apply


def _twice(topic: str) -> Apply:
    async def apply(struck: Struck) -> int:
        return await struck.carry_out(struck.outputs(topic, lambda all_: [*all_, *(o for o in all_ if struck.mine(o))]))

    return apply


async def _told_again(struck: Struck) -> int:
    end = await struck.carry_out(struck.commit)
    await struck.besides(outputs=struck.commit.outputs)
    return end


async def _outside(struck: Struck) -> int:
    producer = AIOKafkaProducer(**load().settings.cluster().client_options(), acks="all")
    await producer.start()
    try:
        for (topic, lane), outputs in struck.commit.outputs.items():
            for key, value, headers in outputs:
                physical = struck.writer._topics.physical(topic)
                at_ms = struck.commit.position.now_ms
                await producer.send_and_wait(physical, value, key, lane, at_ms, list(headers))
    finally:
        await producer.stop()
    return await struck.carry_out(replace(struck.commit, outputs={}))


async def _other_lane(struck: Struck) -> int:
    found: dict[tuple[str, int], list[Output]] = {}
    for (topic, lane), outputs in struck.commit.outputs.items():
        moved = topic == topics.SIGNALS and any(map(struck.mine, outputs))
        found.setdefault((topic, (lane + 1) % LANES if moved else lane), []).extend(outputs)
    return await struck.carry_out(replace(struck.commit, outputs=found))


async def _made_up(struck: Struck) -> int:
    def change(headers: list[Header]) -> list[Header]:
        return [(name, b"%d/0" % 10**9 if name == names.CAME else value) for name, value in headers]

    return await struck.carry_out(
        struck.outputs(
            topics.SIGNALS,
            lambda all_: [(k, v, change(h)) if struck.mine((k, v, h)) else (k, v, h) for k, v, h in all_],
        )
    )


async def _swapped(struck: Struck) -> int:
    def change(outputs: list[Output]) -> list[Output]:
        at = [index for index, output in enumerate(outputs) if struck.mine(output)]
        outputs[at[0]], outputs[at[-1]] = outputs[at[-1]], outputs[at[0]]
        return outputs

    return await struck.carry_out(struck.outputs(topics.SIGNALS, change))


async def _handled_and_dead(struck: Struck) -> int:
    key, value, headers = next(o for o in struck.commit.outputs[topics.SIGNALS, lane_of(struck)] if struck.mine(o))
    offset = (names.last(headers, names.CAME) or b"").partition(b"/")[0]
    said: list[Header] = [
        (names.DEAD_REASON, b"bug"),
        (names.DEAD_HOP, b"ingest"),
        (names.DEAD_TOPIC, topics.SIGNALS_IN.encode()),
        (names.DEAD_PARTITION, b"%d" % lane_of(struck)),
        (names.DEAD_OFFSET, offset),
        (names.DEAD_TENANT, UNKNOWN_TENANT.encode()),
    ]
    place = (topics.DEAD_LETTERS, lane_of(struck))
    dead = [*struck.commit.outputs.get(place, ()), (key, value, said)]
    return await struck.carry_out(replace(struck.commit, outputs={**struck.commit.outputs, place: dead}))


def lane_of(struck: Struck) -> int:
    """Return the lane that commits."""
    return struck.writer._lane


async def _no_journal(struck: Struck) -> int:
    return await struck.carry_out(replace(struck.commit, journal=b""))


async def _journal_twice(struck: Struck) -> int:
    end = await struck.carry_out(struck.commit)
    await struck.besides(journal=struck.commit.journal)
    return end


def _range(first: int, after: int) -> Apply:
    async def apply(struck: Struck) -> int:
        return await struck.carry_out(struck.ranges(first, after))

    return apply


async def _time_back(struck: Struck) -> int:
    return await struck.carry_out(struck.journal(now_ms=struck.commit.position.now_ms - 3_600_000))


async def _no_position(struck: Struck) -> int:
    changes = {key: value for key, value in struck.commit.changes.items() if key != POSITION_KEY}
    return await struck.carry_out(replace(struck.commit, changes=changes))


async def _applied_jumps(struck: Struck) -> int:
    at = struck.commit.position
    jumped = {**at.applied, topics.SIGNALS_IN: at.applied[topics.SIGNALS_IN] + 7}
    return await struck.carry_out(struck.state(replace(at, applied=jumped)))


async def _state_back(struck: Struck) -> int:
    end = await struck.carry_out(struck.commit)
    at = struck.commit.position
    older = replace(at, sequence=at.sequence - 1, applied={topic: n - 1 for topic, n in at.applied.items()})
    await struck.besides(changes={POSITION_KEY: position.pack(older, struck.version)})
    return end


async def _term_off(struck: Struck) -> int:
    return await struck.carry_out(struck.ledger(handled=-1, duplicate=1))


async def _unbalanced(struck: Struck) -> int:
    return await struck.carry_out(struck.ledger(**{"in": 3}))


async def _queue_lost(struck: Struck) -> int:
    changes = {k: v for k, v in struck.commit.changes.items() if b"\0queue/" not in k or struck.mark not in (v or b"")}
    return await struck.carry_out(replace(struck.commit, changes=changes))


async def _line_changed(struck: Struck) -> int:
    def change(outputs: list[Output]) -> list[Output]:
        return [(k, (v or b"").replace(b'"error":""', b'"error":"?"'), h) for k, v, h in outputs]

    return await struck.carry_out(struck.outputs(topics.AUDIT, change))


async def _untold(struck: Struck) -> int:
    kept = {place: o for place, o in struck.commit.outputs.items() if place[0] not in {topics.AUDIT, topics.SIGNALS}}
    return await struck.carry_out(replace(struck.commit, outputs=kept))


async def _other_time(struck: Struck) -> int:
    end = await struck.carry_out(replace(struck.commit, outputs={}))
    later = replace(struck.commit.position, now_ms=struck.commit.position.now_ms + 1)
    await struck.besides(outputs=struck.commit.outputs, position=later)
    return end


async def _as_it_is(struck: Struck) -> int:
    return await struck.carry_out(struck.commit)


@dataclass(frozen=True, slots=True)
class Plant:
    """One fault: what asks for it, what it does, and which findings name it."""

    name: str
    trigger: Trigger
    faults: frozenset[Fault]
    apply: Apply


def _plant(name: str, trigger: Trigger, apply: Apply, *faults: Fault) -> Plant:
    return Plant(name, trigger, frozenset(faults), apply)


LANES: Final = 8
UNCOMMITTED_LANE: Final = LANES - 1
"""The worker reads this lane's input as it must not: what was not committed, too."""
PLANTS: Final = (
    _plant("signal_missing", Trigger.SIGNAL, _without(topics.SIGNALS), Fault.TERM_DIFFERS),
    _plant("signal_twice", Trigger.SIGNAL, _twice(topics.SIGNALS), Fault.OUTPUT_TWICE),
    _plant("commit_told_again", Trigger.SIGNAL, _told_again, Fault.OUTPUT_TWICE),
    _plant("outside_of_the_transaction", Trigger.SIGNAL, _outside, Fault.OUTSIDE_TRANSACTION),
    _plant("in_another_lane", Trigger.SIGNAL, _other_lane, Fault.WRONG_LANE),
    _plant("input_made_up", Trigger.SIGNAL, _made_up, Fault.UNFOUNDED),
    _plant("order_swapped", Trigger.SIGNALS, _swapped, Fault.OUT_OF_ORDER),
    _plant("at_another_time", Trigger.SIGNAL, _other_time, Fault.WITHOUT_COMMIT),
    _plant("dead_letter_missing", Trigger.BAD, _without(topics.DEAD_LETTERS), Fault.TERM_DIFFERS),
    _plant("dead_letter_twice", Trigger.BAD, _twice(topics.DEAD_LETTERS), Fault.DEAD_TWICE),
    _plant("handled_and_dead", Trigger.SIGNAL, _handled_and_dead, Fault.ENDED_TWICE),
    _plant("journal_missing", Trigger.SIGNAL, _no_journal, Fault.JOURNAL_MISSING, Fault.JOURNAL_GAP),
    _plant("journal_twice", Trigger.SIGNAL, _journal_twice, Fault.JOURNAL_REPEATED),
    _plant("range_jumps", Trigger.SIGNALS, _range(1, 0), Fault.RANGE_JUMPS),
    _plant("range_overlaps", Trigger.SIGNAL, _range(-1, 0), Fault.RANGE_OVERLAPS),
    _plant("range_beyond_the_end", Trigger.SIGNAL, _range(0, 5_000), Fault.RANGE_BEYOND_END),
    _plant("time_back", Trigger.SIGNAL, _time_back, Fault.TIME_WENT_BACK),
    _plant("position_missing", Trigger.SIGNAL, _no_position, Fault.POSITION_MISSING),
    _plant("applied_jumps", Trigger.SIGNAL, _applied_jumps, Fault.POSITION_DIFFERS),
    _plant("state_goes_back", Trigger.SIGNAL, _state_back, Fault.POSITION_WENT_BACK),
    _plant("term_off_by_one", Trigger.SIGNAL, _term_off, Fault.TERM_DIFFERS),
    _plant("ledger_unbalanced", Trigger.SIGNAL, _unbalanced, Fault.UNBALANCED),
    _plant("move_lost", Trigger.ASTRAY, _without(topics.SIGNALS_IN), Fault.MOVED_LOST),
    _plant("move_twice", Trigger.ASTRAY, _twice(topics.SIGNALS_IN), Fault.MOVED_TWICE),
    _plant("queue_entry_lost", Trigger.HELD, _queue_lost, Fault.TERM_DIFFERS),
    _plant("audit_line_missing", Trigger.DIRECTIVE, _without(topics.AUDIT), Fault.TELLING_DIFFERS),
    _plant("status_missing", Trigger.DIRECTIVE, _without(topics.SIGNALS), Fault.TELLING_DIFFERS),
    _plant("directive_untold", Trigger.DIRECTIVE, _untold, Fault.TERM_DIFFERS),
    _plant("audit_line_changed", Trigger.DIRECTIVES, _line_changed, Fault.AUDIT_BROKEN),
    _plant("uncommitted_read", Trigger.READ, _as_it_is, Fault.UNFOUNDED, Fault.TERM_DIFFERS),
)
