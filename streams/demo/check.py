"""Find out what became of the demo's signals: by an own reader of the topics, and by the lanes' ledgers."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from processors.ingest.tenant import HOP
from processors.position import Position
from processors.step import Outcome
from processors.vocabulary import envelope, topics
from processors.vocabulary import headers as names
from processors.vocabulary.reasons import Rejected
from streams.changelog import Changelog, committed_consumer, read_range
from streams.demo.mix import Expected
from streams.settings import KafkaSettings
from streams.topics import INPUTS, TopicNames

POLL_SECONDS: Final = 0.1
_OUTPUTS: Final = (topics.SIGNALS, topics.DEAD_LETTERS)


class NotAccountedError(Exception):
    """The lanes did not get through in time."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Where the topics ended, and what the ledgers said, before the demo."""

    ends: Mapping[tuple[str, int], int]
    ledger: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Found:
    """What became of the demo's signals."""

    handled: int
    different: int
    """Different ids among them."""
    dead: Mapping[str, int]
    duplicates: int
    moved: int

    def problems(self, wanted: Expected) -> list[str]:
        """Return where this is not what the source says must be."""
        pairs = {
            "signals": (self.handled, wanted.handled),
            "different ids among them": (self.different, wanted.handled),
            "duplicates": (self.duplicates, wanted.duplicates),
            "moved": (self.moved, wanted.moved),
            **{
                f"dead letters for {reason}": (self.dead.get(reason, 0), wanted.dead.get(reason, 0))
                for reason in sorted({*self.dead, *wanted.dead})
            },
        }
        return [f"{name}: {found}, and must be {must}" for name, (found, must) in pairs.items() if found != must]


@dataclass(slots=True)
class _Tally:
    handled: int = 0
    identities: set[tuple[str, str, str]] = field(default_factory=set)
    dead: Counter[str] = field(default_factory=Counter)

    def add(self, topic: str, record: Any) -> None:
        if topic == topics.DEAD_LETTERS:
            self.dead[(names.last(record.headers, names.DEAD_REASON) or b"none").decode()] += 1
            return
        self.handled += 1
        signal = envelope.decode(record)
        if not isinstance(signal, Rejected):
            self.identities.add((signal.tenant, signal.source, signal.id))


class Check:
    """Looks at the topics as an outsider does. A context; one consumer, no group."""

    def __init__(self, kafka: KafkaSettings, topic_names: TopicNames, lanes: int) -> None:
        self._kafka = kafka
        self._names = topic_names
        self._lanes = lanes

    async def mark(self) -> Mark:
        """Return where everything stands before the demo."""
        async with committed_consumer(self._kafka) as consumer:
            changelog = Changelog(consumer, self._names.physical(topics.STATE), self._lanes)
            return Mark(await self._ends(consumer, _OUTPUTS), _summed(await changelog.positions()))

    async def wait(self, seconds_max: float) -> float:
        """Return once the lanes have applied all that is in their inputs; return when that was (monotonic)."""
        async with committed_consumer(self._kafka) as consumer:
            changelog = Changelog(consumer, self._names.physical(topics.STATE), self._lanes)
            try:
                async with asyncio.timeout(seconds_max):
                    while await self._waiting(consumer, changelog):  # noqa: ASYNC110  # of this, Kafka tells no events
                        await asyncio.sleep(POLL_SECONDS)
            except TimeoutError as error:
                raise NotAccountedError(
                    f"records still waited after {seconds_max:g} s; the workers' logs say why"
                ) from error
        return time.monotonic()

    async def _waiting(self, consumer: AIOKafkaConsumer, changelog: Changelog) -> int:
        # The ends after the positions: a record moved meanwhile is then seen as waiting.
        positions = await changelog.positions()
        ends = await self._ends(consumer, INPUTS)
        return sum(
            end - (positions[lane].applied.get(topic, 0) if lane in positions else 0)
            for (topic, lane), end in ends.items()
        )

    async def found(self, mark: Mark) -> Found:
        """Count what has come since the mark."""
        tally = _Tally()
        async with committed_consumer(self._kafka) as consumer:
            for (topic, lane), end in (await self._ends(consumer, _OUTPUTS)).items():
                partition = TopicPartition(self._names.physical(topic), lane)
                consumer.assign([partition])
                async for records in read_range(consumer, partition, mark.ends[topic, lane], end):
                    for record in records:
                        tally.add(topic, record)
            changelog = Changelog(consumer, self._names.physical(topics.STATE), self._lanes)
            after = _summed(await changelog.positions())

        def grown(outcome: Outcome) -> int:
            term = f"{HOP}/{outcome.value}"
            return after.get(term, 0) - mark.ledger.get(term, 0)

        return Found(
            handled=tally.handled,
            different=len(tally.identities),
            dead=dict(sorted(tally.dead.items())),
            duplicates=grown(Outcome.DUPLICATE),
            moved=grown(Outcome.MOVED),
        )

    async def _ends(self, consumer: AIOKafkaConsumer, wanted: tuple[str, ...]) -> dict[tuple[str, int], int]:
        at = {
            (topic, lane): TopicPartition(self._names.physical(topic), lane)
            for topic in wanted
            for lane in range(self._lanes)
        }
        ends = await consumer.end_offsets(list(at.values()))
        return {where: ends[partition] for where, partition in at.items()}


def _summed(positions: Mapping[int, Position]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for position in positions.values():
        total.update(position.ledger)
    return dict(total)
