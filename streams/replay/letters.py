"""Dead letters as people look at them: newest first, by lane and offset, with what came and why it was set aside."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from processors.vocabulary import envelope, topics
from processors.vocabulary import headers as names
from processors.vocabulary.pattern import Pattern
from processors.vocabulary.reasons import Rejected
from processors.vocabulary.record import Header, PlainRecord, Record
from processors.vocabulary.signal import Signal
from streams.changelog import read_range
from streams.replay.selection import pattern_of
from streams.topics import TopicNames

WINDOW_OFFSETS: Final = 64
"""Of one lane, read at once: letters may be large."""
SCANNED_MAX: Final = 100_000
"""Letters looked at for one list; the cursor goes on behind them."""
_OWN: Final = (
    names.DEAD_REASON,
    names.DEAD_HOP,
    names.DEAD_TOPIC,
    names.DEAD_PARTITION,
    names.DEAD_OFFSET,
    names.DEAD_TIMESTAMP,
    names.DEAD_AT,
    names.DEAD_TENANT,
    names.DEAD_PROBLEMS,
    names.DEAD_STACK,
    names.FORMAT,
)
"""What the lane puts behind the headers that came, in this order (`processors/dead_letters.py`)."""


class WrongCursorError(ValueError):
    """A text that is no cursor."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter."""

    lane: int
    offset: int
    original: PlainRecord
    """The record as it came, where it stood."""
    said: Mapping[str, str]
    """What the lane says about it, by header."""
    signal: Signal | None
    """What it is, if it can be read at all."""

    @property
    def id(self) -> str:
        """Its name: where it stands among the dead letters, which never changes."""
        return f"{self.lane}-{self.offset}"

    @property
    def reason(self) -> str:
        """Why it was set aside."""
        return self.said.get(names.DEAD_REASON, "")

    @property
    def hop(self) -> str:
        """The hop that set it aside."""
        return self.said.get(names.DEAD_HOP, "")

    @property
    def at_ms(self) -> int:
        """When that was."""
        return _number(self.said.get(names.DEAD_AT, ""))

    @property
    def tenant(self) -> str:
        """Whose it is, as far as one can tell."""
        return self.said.get(names.DEAD_TENANT, "") or (self.signal.tenant if self.signal else "")

    @property
    def type(self) -> str:
        """The type of its event, if it can be read."""
        return self.signal.type if self.signal else ""

    @property
    def redrive_of(self) -> str:
        """The dead letter that it was before, if it was redriven."""
        return next((text(value) for name, value in self.original.headers if name == names.REDRIVEN), "")

    @property
    def problems(self) -> list[dict[str, str]]:
        """What is wrong with it, by field."""
        try:
            found = json.loads(self.said.get(names.DEAD_PROBLEMS, "[]"))
        except ValueError:
            return []
        return found if isinstance(found, list) else []

    def summary(self) -> dict[str, Any]:
        """Return what a list shows of it."""
        return {
            "id": self.id,
            "at_ms": self.at_ms,
            "tenant": self.tenant,
            "reason": self.reason,
            "hop": self.hop,
            "type": self.type,
            "event": self.signal.id if self.signal else "",
            "from": f"{self.original.topic} {self.original.partition}/{self.original.offset}",
            "redrive_of": self.redrive_of,
        }


def text(value: bytes | None) -> str:
    """Return bytes as text, whatever they are."""
    return (value or b"").decode(errors="replace")


def _number(written: str) -> int:
    return int(written) if written.isdigit() else 0


def letter_of(record: Record) -> Letter:
    """Read a record of `dead-letters`."""
    headers: Sequence[Header] = list(record.headers)
    own = headers[-len(_OWN) :]
    if tuple(name for name, _ in own) == _OWN:
        came = headers[: -len(_OWN)]
    else:
        # Not written by this version: whatever has one of our names is ours.
        own = [header for header in headers if header[0] in _OWN]
        came = [header for header in headers if header[0] not in _OWN]
    said = {name: text(value) for name, value in own}
    original = PlainRecord(
        said.get(names.DEAD_TOPIC, topics.SIGNALS_IN),
        _number(said.get(names.DEAD_PARTITION, "")),
        _number(said.get(names.DEAD_OFFSET, "")),
        _number(said.get(names.DEAD_TIMESTAMP, "")),
        record.key,
        record.value,
        tuple(came),
    )
    signal = envelope.decode(original, reserved_ok=True)
    return Letter(record.partition, record.offset, original, said, None if isinstance(signal, Rejected) else signal)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which dead letters are wanted. What is not named does not matter."""

    tenant: str = ""
    reason: str = ""
    hop: str = ""
    pattern: str = ""
    since_ms: int = 0
    until_ms: int = 0

    def compiled(self) -> "Keeper":
        """Return what tells. Raises `selection.PatternError`."""
        return Keeper(self, pattern_of(self.pattern))


@dataclass(frozen=True, slots=True)
class Keeper:
    """A filter that was found right."""

    wanted: Filter
    pattern: Pattern | None

    def keeps(self, letter: Letter) -> bool:
        """Tell whether a letter is wanted."""
        wanted = self.wanted
        return (
            (not wanted.tenant or letter.tenant == wanted.tenant)
            and (not wanted.reason or letter.reason == wanted.reason)
            and (not wanted.hop or letter.hop == wanted.hop)
            and (not wanted.since_ms or letter.at_ms >= wanted.since_ms)
            and (not wanted.until_ms or letter.at_ms < wanted.until_ms)
            and (self.pattern is None or self.pattern.explain(letter.type or "?") is not None)
        )


@dataclass(slots=True)
class Page:
    """Some dead letters, and where the list goes on."""

    letters: list[Letter] = field(default_factory=list)
    cursor: str = ""
    """Where the next page begins; nothing if this was the last."""
    scanned: int = 0


async def page(
    consumer: AIOKafkaConsumer, names_: TopicNames, lanes: int, wanted: Filter, *, limit: int, cursor: str = ""
) -> Page:
    """Return the newest dead letters that are wanted, up to `limit`, from the cursor on."""
    keeper, found = wanted.compiled(), Page()
    behind = await _behind(consumer, names_, lanes, cursor)
    begins = await consumer.beginning_offsets(list(behind))
    sources = {at: _backwards(consumer, at, begins[at], end) for at, end in behind.items()}
    heads = {at: head for at, source in sources.items() if (head := await anext(source, None)) is not None}
    while heads and found.scanned < SCANNED_MAX:
        newest = max(heads, key=lambda at: (heads[at].at_ms, at.partition))
        letter = heads[newest]
        if letter.at_ms < wanted.since_ms:
            # A lane's time never goes back: nothing before this one is younger.
            del heads[newest]
            behind[newest] = begins[newest]
            continue
        if len(found.letters) == limit:
            break
        found.scanned += 1
        behind[newest] = letter.offset
        if keeper.keeps(letter):
            found.letters.append(letter)
        following = await anext(sources[newest], None)
        if following is None:
            del heads[newest]
            behind[newest] = begins[newest]
        else:
            heads[newest] = following
    if heads:
        found.cursor = ",".join(f"{at.partition}:{behind[at]}" for at in sorted(behind, key=lambda at: at.partition))
    return found


async def _behind(consumer: AIOKafkaConsumer, names_: TopicNames, lanes: int, cursor: str) -> dict[TopicPartition, int]:
    """Return for each lane the offset before which the list goes on."""
    partitions = [TopicPartition(names_.physical(topics.DEAD_LETTERS), lane) for lane in range(lanes)]
    consumer.assign(partitions)
    ends: dict[TopicPartition, int] = dict(await consumer.end_offsets(partitions))
    if cursor:
        try:
            given = {int(lane): int(offset) for lane, offset in (part.split(":") for part in cursor.split(","))}
        except ValueError as error:
            message = f"{cursor!r} is no cursor"
            raise WrongCursorError(message) from error
        ends = {at: min(end, given.get(at.partition, end)) for at, end in ends.items()}
    return ends


async def _backwards(consumer: AIOKafkaConsumer, at: TopicPartition, least: int, end: int) -> AsyncIterator[Letter]:
    """Yield a lane's dead letters, the newest first."""
    while end > least:
        start = max(least, end - WINDOW_OFFSETS)
        consumer.assign([at])
        window = [letter_of(record) async for records in read_range(consumer, at, start, end) for record in records]
        for letter in reversed(window):
            yield letter
        end = start


async def letters_at(
    consumer: AIOKafkaConsumer, names_: TopicNames, lanes: int, ids: Sequence[str]
) -> dict[str, Letter | None]:
    """Return dead letters by their ids; None for one that is not there (any more)."""
    found: dict[str, Letter | None] = {}
    for wanted in ids:
        lane, _, offset = wanted.partition("-")
        found[wanted] = None
        if not (lane.isdecimal() and offset.isdecimal() and int(lane) < lanes):
            continue
        at = TopicPartition(names_.physical(topics.DEAD_LETTERS), int(lane))
        consumer.assign([at])
        least, end = (await consumer.beginning_offsets([at]))[at], (await consumer.end_offsets([at]))[at]
        if least <= int(offset) < end:
            async for records in read_range(consumer, at, int(offset), int(offset) + 1):
                found[wanted] = next((letter_of(record) for record in records if record.offset == int(offset)), None)
    return found
