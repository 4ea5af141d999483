"""Judge rules over the past: what would have been raised when, with the thresholds in force or with others.

Samples lie in lanes by process; they are merged by their time as they are read, so that no more than a fetch of each
lane is held. The judge is the one that the watch has, with its clock played from the samples.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from processors.alerting import states
from processors.alerting.judge import Judge
from processors.alerting.rule import Rule
from processors.alerting.settings import AlertSettings
from processors.alerting.states import Change
from processors.alerting.thresholds import Thresholds
from processors.telemetry.samples import Sample, UnreadableSampleError, unpack
from processors.telemetry.series import SeriesStore
from processors.vocabulary import topics as names
from streams.admin import require_topics
from streams.changelog import STALLED_SECONDS_MAX, committed_consumer, newest_everywhere
from streams.cli.errors import MISUSED, CommandError
from streams.settings import KafkaSettings, Settings
from streams.topics import TOPICS
from streams.watch.samples import BACK_MS
from streams.watch.words import number_of

CHECKS_MAX: Final = 200_000
FETCH_RECORDS: Final = 200
RAISED_MAX: Final = 10_000
SEEK_SECONDS_MAX: Final = 15.0
LATE_MS: Final = 60_000
"""Samples are written in the order of their time but for so much: clocks differ, and a process may have waited."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What is tried: rules, a time, how often they are judged, and thresholds that are moved for it."""

    rules: tuple[Rule, ...]
    from_ms: int
    to_ms: int
    step_ms: int
    moved: tuple[tuple[str, str, float], ...] = ()
    """Alert, tenant (empty: all), value."""


@dataclass(slots=True)
class Raised:
    """An alert that would have been raised."""

    alert: str
    severity: str
    labels: Mapping[str, str]
    raised_ms: int
    value: float | None
    threshold: float | None
    cleared_ms: int | None = None


@dataclass(slots=True)
class Found:
    """What a trial gave."""

    samples: int = 0
    checks: int = 0
    raised: list[Raised] = field(default_factory=list)
    failed: set[str] = field(default_factory=set)
    """Rules that could not be judged at some time."""


class Replayed:
    """A judge whose clock is that of samples. Feed it samples in their order, then `finish`."""

    def __init__(self, trial: Trial, thresholds: Thresholds) -> None:
        self._trial = trial
        self._thresholds = thresholds
        self._judge = Judge(trial.rules)
        self._store = SeriesStore()
        self._next_ms = trial.from_ms
        self._open: dict[str, Raised] = {}
        self.found = Found()

    def take(self, sample: Sample) -> None:
        """Judge at each step up to this sample's time, then take it in."""
        while self._next_ms < min(sample.at_ms, self._trial.to_ms + 1):
            self._check()
        self._store.take(sample)
        self.found.samples += 1

    def finish(self) -> Found:
        """Judge the rest of the time; return what was found."""
        while self._next_ms <= self._trial.to_ms:
            self._check()
        return self.found

    def _check(self) -> None:
        self._store.silent(self._next_ms)
        changes = self._judge.check(self._store, self._thresholds, self._next_ms)
        self.found.checks += 1
        self.found.failed.update(self._judge.failures)
        for change in changes:
            self._note(change)
        self._next_ms += self._trial.step_ms

    def _note(self, change: Change) -> None:
        alert = change.alert
        raised = change.after is states.State.FIRING and change.before is not states.State.FIRING
        if raised and len(self.found.raised) < RAISED_MAX:
            numbers = number_of(alert.value), number_of(alert.threshold)
            one = Raised(alert.alert, alert.severity.value, alert.labels, change.at_ms, *numbers)
            self._open[alert.id] = one
            self.found.raised.append(one)
        elif change.after is states.State.CLEARED and alert.id in self._open:
            self._open.pop(alert.id).cleared_ms = change.at_ms


async def backtest(settings: Settings, kafka: KafkaSettings, trial: Trial) -> Found:
    """Return what would have been raised. Raises `CommandError` or what reading the topics raises."""
    if (trial.to_ms - trial.from_ms) // trial.step_ms >= CHECKS_MAX:
        raise CommandError(
            f"these are more than {CHECKS_MAX} checks", "choose a longer --step or a shorter time", code=MISUSED
        )
    replayed = Replayed(trial, await _thresholds(settings, kafka, trial))
    async for sample in samples_between(settings, kafka, trial.from_ms - BACK_MS, trial.to_ms):
        replayed.take(sample)
    return replayed.finish()


async def _thresholds(settings: Settings, kafka: KafkaSettings, trial: Trial) -> Thresholds:
    """Return the thresholds in force, but for those that are moved."""
    decided = AlertSettings()
    for key, value in (await newest_everywhere(kafka, settings.topics, settings.lanes, names.ALERT_SETTINGS)).items():
        decided.take(key, value)
    found = Thresholds(trial.rules)
    for one in decided.overrides():
        found.set(one.alert, one.tenant, one.value)
    for alert, tenant, moved in trial.moved:
        if why_not := found.set(alert, tenant, moved):
            raise CommandError(why_not, "choose another value", code=MISUSED)
    return found


async def samples_between(settings: Settings, kafka: KafkaSettings, from_ms: int, to_ms: int) -> AsyncIterator[Sample]:
    """Yield all processes' samples between two times in the order of their time."""
    await require_topics(kafka, settings.topics, settings.lanes, [one for one in TOPICS if one.name == names.METRICS])
    topic = settings.topics.physical(names.METRICS)
    partitions = [TopicPartition(topic, lane) for lane in range(settings.lanes)]
    async with committed_consumer(kafka) as consumer:
        consumer.assign(partitions)
        ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
        async with asyncio.timeout(SEEK_SECONDS_MAX):
            starts = await consumer.offsets_for_times(dict.fromkeys(partitions, from_ms))
            stops = await consumer.offsets_for_times(dict.fromkeys(partitions, to_ms + LATE_MS))
        waiting: dict[TopicPartition, deque[Sample]] = {}
        for partition, end in ends.items():
            start, stop = starts.get(partition), stops.get(partition)
            ends[partition] = end if stop is None else min(end, stop.offset)
            if start is not None and start.offset < ends[partition]:
                consumer.seek(partition, start.offset)
                waiting[partition] = deque()
        while waiting:
            await _fill(consumer, waiting, ends)
            if waiting:
                oldest = min(waiting, key=lambda one: waiting[one][0].at_ms)
                sample = waiting[oldest].popleft()
                if sample.at_ms <= to_ms:
                    yield sample


async def _fill(
    consumer: AIOKafkaConsumer, waiting: dict[TopicPartition, deque[Sample]], ends: Mapping[TopicPartition, int]
) -> None:
    """Read on in the lanes of which nothing waits, until something does; take out those that are read to their end."""
    while empty := [partition for partition, samples in waiting.items() if not samples]:
        async with asyncio.timeout(STALLED_SECONDS_MAX):
            found = await consumer.getmany(*empty, timeout_ms=100, max_records=FETCH_RECORDS)
        for partition in empty:
            waiting[partition].extend(_read(found.get(partition, ()), ends[partition]))
            if not waiting[partition] and await consumer.position(partition) >= ends[partition]:
                del waiting[partition]


def _read(records: Any, end: int) -> list[Sample]:
    found = []
    for record in records:
        try:
            if record.offset < end:
                found.append(unpack(record.value or b""))
        except UnreadableSampleError:
            continue
    return found
