"""Look at Kafka every second, from outside of the workers: what waits, since when, and what holds readers back.

Kafka away is no reason to end: the gauges' own age grows, and with Kafka the looks come back.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, TypeAlias

from aiokafka.structs import TopicPartition

from processors.telemetry import catalogue
from processors.vocabulary import topics as names
from streams.admin import KafkaAwayError, TopicMismatchError, TopicsMissingError, require_topics
from streams.clock import wall_ms
from streams.lanes.writer import stop_within
from streams.metrics import PROCESS, Metrics
from streams.prober import backups
from streams.prober.applied import Applied
from streams.prober.asking import CLOSE_SECONDS_MAX, Place, asked, away, consumer
from streams.prober.lags import Lags, Oldest, Opens
from streams.prober.waiting import Waiting
from streams.settings import KafkaSettings, Settings
from streams.topics import INPUTS, TOPICS, TopicNames

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
LOOK_SHARE_MAX: Final = 0.25
"""Of the time: with very many lanes looks become fewer."""
AGE_SECONDS: Final = 1.0
BEGINS_SECONDS: Final = 30.0
BACKUPS_SECONDS: Final = 30.0
BACKOFF_SECONDS: Final = 1.0
BACKOFF_SECONDS_MAX: Final = 10.0
PEEKS_MAX: Final = 64
"""Of one look: oldest records that are read. Those of other partitions come with the next ones."""
PEEK_SECONDS_MAX: Final = 1.0
PEEK_MS: Final = 50
SMALL_BYTES: Final = 65_536
LETTER_BYTES: Final = 1_048_576
SHOWN_LANES_MAX: Final = 64
"""With more lanes than these, only what is not 0 is shown lane by lane: series are bounded."""
STEPPED: Final = (*INPUTS, names.DIRECTIVES)
"""What lanes step, and so what can wait."""
TRANSACTIONAL: Final = (
    *STEPPED,
    names.SIGNALS,
    names.DEAD_LETTERS,
    names.AUDIT,
    names.EXPORTS,
    names.ACCESS,
    names.STATE,
    names.JOURNAL,
)
"""What lanes write in transactions."""
_NEEDED: Final = frozenset((*TRANSACTIONAL, names.REPLAYS))


SaysAway: TypeAlias = Callable[[float], None]
"""Hears that Kafka is not reached, and since how many seconds."""


def _nobody(_: float) -> None:
    """Hear nothing."""


class Prober:
    """A background part: `run()` until it is cancelled."""

    def __init__(
        self,
        kafka: KafkaSettings,
        topics: TopicNames,
        lanes: int,
        *,
        data_dir: Path | None = None,
        metrics: Metrics = PROCESS,
        away: SaysAway = _nobody,
    ) -> None:
        self._says_away = away
        self.looks = 0
        self._kafka = kafka
        self._topics = topics
        self._lanes = lanes
        self._data_dir = data_dir
        self._at = {(t, lane): TopicPartition(topics.physical(t), lane) for t in TRANSACTIONAL for lane in range(lanes)}
        self._inputs = [(topic, lane) for topic in STEPPED for lane in range(lanes)]
        self._lags = Lags.of(self._inputs)
        self._opens = Opens()
        self._applied = Applied(kafka, topics, lanes)
        self._waiting = Waiting(topics, lanes)
        self._begins: dict[Place, int] = {}
        self._asked_begins = self._asked_backups = float("-inf")
        self._counted: dict[Place, int] = {}
        self._seen = time.monotonic()
        self._raw: Any = None
        self._journals: Any = None
        self._peek: Any = None
        self._set_up(metrics)

    @classmethod
    def of(
        cls, settings: Settings, bootstrap: str, metrics: Metrics = PROCESS, *, away: SaysAway = _nobody
    ) -> "Prober":
        """Return the prober of a cluster as settings have it."""
        kafka = settings.cluster(bootstrap)
        return cls(kafka, settings.topics, settings.lanes, data_dir=settings.data_dir, metrics=metrics, away=away)

    def _set_up(self, metrics: Metrics) -> None:
        self._lag_records = metrics.gauge(catalogue.PROBE_LAG_RECORDS)
        self._lag_seconds = metrics.gauge(catalogue.PROBE_LAG_SECONDS)
        self._applied_total = metrics.counter(catalogue.PROBE_APPLIED)
        self._open_records = metrics.gauge(catalogue.PROBE_OPEN_RECORDS)
        self._open_seconds = metrics.gauge(catalogue.PROBE_OPEN_SECONDS)
        self._age = metrics.gauge(catalogue.PROBE_AGE)
        self._failures = metrics.counter(catalogue.PROBE_FAILURES)
        self._letters = metrics.gauge(catalogue.DEAD_LETTERS_WAITING)
        self._letters_age = metrics.gauge(catalogue.DEAD_LETTER_OLDEST_AGE)
        self._backup_age = metrics.gauge(catalogue.BACKUP_AGE)
        for topic in STEPPED:
            self._applied_total.of(topic)

    async def run(self) -> None:
        """Look until cancelled, whatever Kafka does."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._grow_old(), name="probe-age")
            group.create_task(self._keep_looking(), name="probe-looks")

    async def _grow_old(self) -> None:
        while True:
            self._age.of().set(time.monotonic() - self._seen)
            await asyncio.sleep(AGE_SECONDS)

    async def _keep_looking(self) -> None:
        backoff = BACKOFF_SECONDS
        while True:
            looks = self.looks
            try:
                await self._session()
            except (KafkaAwayError, TopicsMissingError, TopicMismatchError) as error:
                log.warning("the prober waits: %s", error)
            except Exception:  # boundary: a bug of the prober must not end the process that hosts it
                log.exception("the prober failed and begins anew")
            self._failures.of().inc()
            self._says_away(time.monotonic() - self._seen)
            backoff = BACKOFF_SECONDS if self.looks > looks else min(BACKOFF_SECONDS_MAX, backoff * 2)
            await asyncio.sleep(backoff)

    async def _session(self) -> None:
        """Connect, and look until something fails."""
        wanted = [topic for topic in TOPICS if topic.name in _NEEDED]
        await require_topics(self._kafka, self._topics, self._lanes, wanted)
        async with AsyncExitStack() as stack:
            self._raw = await self._client(stack, SMALL_BYTES, committed=False)
            self._journals = await self._client(stack, SMALL_BYTES)
            self._peek = await self._client(stack, SMALL_BYTES)
            await self._applied.begin(self._journals)
            for place in self._inputs:
                # What was applied before is not seen; a lane that never began has applied nothing.
                self._counted.setdefault(place, self._applied.offsets.get(place, 0))
            await self._waiting.begin(await self._client(stack, LETTER_BYTES), wall_ms())
            while True:
                began = time.monotonic()
                await self._look()
                took = time.monotonic() - began
                await asyncio.sleep(max(LOOK_SECONDS - took, took * (1 / LOOK_SHARE_MAX - 1)))

    async def _client(self, stack: AsyncExitStack, partition_bytes_max: int, *, committed: bool = True) -> Any:
        client = consumer(self._kafka, committed=committed, partition_bytes_max=partition_bytes_max, wait_ms=PEEK_MS)
        stack.push_async_callback(stop_within, client, CLOSE_SECONDS_MAX)
        async with away():
            await client.start()
        return client

    async def _look(self) -> None:
        stable = await asked(self._journals.end_offsets, self._at, list(self._at))
        ends = await asked(self._raw.end_offsets, self._at, list(self._at))
        now = time.monotonic()
        if now - self._asked_begins > BEGINS_SECONDS:
            self._begins = await asked(self._raw.beginning_offsets, self._at, self._inputs)
            self._asked_begins = now
        await self._applied.look()
        self._opens.look(now, stable, ends)
        reached = self._reached()
        wanted = self._lags.look(now, {place: stable[place] for place in self._inputs}, reached)
        await self._read_oldest(wanted, stable)
        await self._waiting.look(wall_ms())
        self._tell(now)
        await self._tell_backups(now)
        self.looks += 1
        self._seen = time.monotonic()
        self._age.of().set(0)

    def _reached(self) -> dict[Place, int]:
        """Return up to where each input is done with: applied, or taken by retention."""
        applied = self._applied.offsets
        for place, before in self._counted.items():
            offset = applied.get(place, 0)
            self._applied_total.of(place[0]).inc(max(0, offset - before))
            self._counted[place] = max(before, offset)
        return {place: max(applied.get(place, 0), self._begins.get(place, 0)) for place in self._inputs}

    async def _read_oldest(self, wanted: list[Place], stable: dict[Place, int]) -> None:
        """Read the first record of each that has not been applied: it says since when it waits, or that none does."""
        until = time.monotonic() + PEEK_SECONDS_MAX
        for place in wanted[:PEEKS_MAX]:
            if time.monotonic() > until:
                break
            oldest, upto = await self._first(self._at[place], self._lags.begins(place), stable[place])
            self._lags.read(place, oldest, upto)

    async def _first(self, at: TopicPartition, start: int, end: int) -> tuple[Oldest | None, int]:
        """Return the first committed record from an offset on, and up to where there is none before it."""
        async with away():
            self._peek.assign([at])
            self._peek.seek(at, start)
            upto = start
            while upto < end:
                found = (await self._peek.getmany(at, timeout_ms=PEEK_MS, max_records=1)).get(at)
                if found:
                    return Oldest(found[0].offset, found[0].timestamp), found[0].offset
                upto = await self._peek.position(at)
        return None, upto

    def _tell(self, now: float) -> None:
        now_ms = wall_ms()
        for topic in STEPPED:
            places = [(topic, lane) for lane in range(self._lanes)]
            for place in places:
                self._show(self._lag_records, place, self._lags.records(place))
            self._lag_seconds.of(topic).set(max(self._lags.seconds(place, now, now_ms) for place in places))
        for place, records in self._opens.records.items():
            self._show(self._open_records, place, records)
        for topic in TRANSACTIONAL:
            self._open_seconds.of(topic).set(self._opens.seconds(topic, now))
        self._letters.of().set(self._waiting.count())
        self._letters_age.of().set(self._waiting.oldest_seconds(now_ms))

    def _show(self, gauge: Any, place: Place, value: int) -> None:
        labels = (place[0], str(place[1]))
        if value or self._lanes <= SHOWN_LANES_MAX or labels in gauge.children:
            gauge.of(*labels).set(value)

    async def _tell_backups(self, now: float) -> None:
        if self._data_dir is None or now - self._asked_backups < BACKUPS_SECONDS:
            return
        self._asked_backups = now
        age = await asyncio.to_thread(backups.age_seconds, self._data_dir, self._lanes, time.time())
        if age is not None:
            self._backup_age.of().set(age)
