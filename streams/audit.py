"""Count what is in the topics with an own reader, and compare it with what the lanes' ledgers say.

Two witnesses: the ledger, which a lane writes with each commit, and the records themselves, read as committed. While
lanes work the ledger is read before and after the count; what was counted must lie between the two.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaConsumer

from processors.ingest.tenant import HOP, Policy
from processors.lane import IN, ledger_mismatches
from processors.position import Position
from processors.step import Outcome
from processors.vocabulary import headers as names
from processors.vocabulary import topics
from streams.admin import require_topics
from streams.changelog import Changelog, assign_whole, committed_consumer, read_range
from streams.settings import KafkaSettings
from streams.topics import INPUTS, TopicNames

COME: Final = f"{HOP}/{IN}"
_MOVED: Final = f"{HOP}/{Outcome.MOVED.value}"
_HANDLED: Final = f"{HOP}/{Outcome.HANDLED.value}"
_DEAD: Final = f"{HOP}/{Outcome.DEAD.value}"
_DEFERRED: Final = f"{HOP}/{Outcome.DEFERRED.value}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One term of one lane: what the ledger says, before and after, and what was counted."""

    lane: int
    term: str
    least: int
    most: int
    counted: int

    @property
    def fits(self) -> bool:
        """Whether the two agree."""
        return self.least <= self.counted <= self.most


@dataclass(frozen=True, slots=True)
class Audit:
    """What a count has found."""

    comparisons: tuple[Comparison, ...]
    unbalanced: Mapping[int, Mapping[str, int]]
    """Lane → hop → records that came in and are not accounted for."""
    trimmed: tuple[str, ...]
    """Topics of which retention has removed records, so that they cannot be counted from the beginning."""
    moving: bool
    """Lanes went on working meanwhile, so that the comparison has some play."""

    @property
    def balanced(self) -> bool:
        """Whether nothing has disappeared, and nothing is there twice."""
        return not self.unbalanced and all(one.fits for one in self.comparisons)


@dataclass(slots=True)
class _Counts:
    """What lies in the topics, by lane."""

    came: dict[int, int] = field(default_factory=dict)
    moved: dict[int, int] = field(default_factory=dict)
    signals: dict[int, int] = field(default_factory=dict)
    dead: dict[int, int] = field(default_factory=dict)
    commands: dict[int, int] = field(default_factory=dict)
    queued: dict[int, int] = field(default_factory=dict)
    trimmed: set[str] = field(default_factory=set)


async def audit(kafka: KafkaSettings, names_: TopicNames, lanes: int, default: Policy) -> Audit:
    """Count everything and compare. Reads all of the topics. Raises what `require_topics` raises."""
    await require_topics(kafka, names_, lanes)
    async with committed_consumer(kafka) as consumer:
        changelog = Changelog(consumer, names_.physical(topics.STATE), lanes)
        before = await changelog.positions()
        counts = _Counts()
        for lane in range(lanes):
            accounts = await changelog.accounts(lane, default)
            waiting = await changelog.replays_queued(lane)
            counts.queued[lane] = waiting + sum(account.queued for account in accounts.values())
        for topic in (*INPUTS, topics.SIGNALS, topics.DIRECTIVES, topics.DEAD_LETTERS):
            for lane in range(lanes):
                await _count(consumer, names_, topic, lane, before.get(lane), counts)
        after = await changelog.positions()
    return Audit(
        tuple(_comparisons(before, after, counts)),
        {lane: wrong for lane, at in after.items() if (wrong := ledger_mismatches(at.ledger))},
        tuple(sorted(counts.trimmed)),
        any(after[lane].sequence != at.sequence for lane, at in before.items() if lane in after),
    )


async def _count(
    consumer: AIOKafkaConsumer, names_: TopicNames, topic: str, lane: int, at: Position | None, counts: _Counts
) -> None:
    partition, least, end = await assign_whole(consumer, names_.physical(topic), lane)
    if least:
        counts.trimmed.add(topic)
    applied = at.applied.get(topic, 0) if at is not None else 0
    async for records in read_range(consumer, partition, least, end):
        if topic == topics.SIGNALS:
            _add(counts.signals, lane, sum(names.last(record.headers, names.BY) is None for record in records))
        elif topic == topics.DIRECTIVES:
            _add(counts.commands, lane, len(records))
        elif topic == topics.DEAD_LETTERS:
            hops = [names.last(record.headers, names.DEAD_HOP) for record in records]
            _add(counts.dead, lane, sum(hop in {None, HOP.encode()} for hop in hops))
        else:
            _add(counts.came, lane, sum(record.offset < applied for record in records))
            for record in records:
                origin = _moved_from(record)
                if origin is not None:
                    _add(counts.moved, origin, 1)


def _add(counts: dict[int, int], lane: int, by: int) -> None:
    counts[lane] = counts.get(lane, 0) + by


def _moved_from(record: Any) -> int | None:
    """Return the lane that moved a record; a header that somebody made up counts for nothing."""
    for name, value in record.headers:
        if name == names.MOVED:
            lane = bytes(value or b"").partition(b"/")[0]
            return int(lane) if lane.isdigit() else None
    return None


def _comparisons(
    before: Mapping[int, Position], after: Mapping[int, Position], counts: _Counts
) -> Iterator[Comparison]:
    for lane, late in sorted(after.items()):
        early = before.get(lane, Position()).ledger
        most = late.ledger
        found: list[tuple[str, int, int]] = []
        if not counts.trimmed & set(INPUTS):
            # Counted up to what was applied at the beginning, so there is no play.
            found.append((COME, counts.came.get(lane, 0), early.get(COME, 0)))
            found.append((_MOVED, counts.moved.get(lane, 0), most.get(_MOVED, 0)))
        if not counts.trimmed & {topics.SIGNALS, topics.DIRECTIVES}:
            handled = counts.signals.get(lane, 0) + counts.commands.get(lane, 0)
            found.append((_HANDLED, handled, most.get(_HANDLED, 0)))
        if topics.DEAD_LETTERS not in counts.trimmed:
            found.append((_DEAD, counts.dead.get(lane, 0), most.get(_DEAD, 0)))
        if early == most:
            # Falls and rises, so that it says something at rest only.
            found.append((_DEFERRED, counts.queued.get(lane, 0), most.get(_DEFERRED, 0)))
        for term, counted, bound in found:
            yield Comparison(lane, term, early.get(term, 0), bound, counted)
