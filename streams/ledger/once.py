"""Check a stretch of the topics once, from a time in the past to where they end now; or go on for so long."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from processors.ledger import Finding
from streams.admin import KafkaAwayError, require_topics
from streams.ledger.check import LOOK_SECONDS, LedgerCheck
from streams.metrics import Metrics
from streams.settings import KafkaSettings
from streams.topics import TopicNames

LOOKS_AFTER: Final = 3
"""Looks after all has been read: moves between lanes are judged by the ones after that which met them."""
FIRST_SECONDS_MAX: Final = 60.0


@dataclass(frozen=True, slots=True)
class Checked:
    """What a stretch has shown."""

    findings: Sequence[Finding]
    judged: int
    skipped: int


async def check(
    kafka: KafkaSettings,
    topics: TopicNames,
    lanes: int,
    *,
    since_ms: int | None,
    seconds: float | None = None,
    told: Callable[[Finding], None],
) -> Checked:
    """Check from a time on, or from now on; up to where all ends, or for so many seconds. `told` hears each finding.

    Raises what `require_topics` raises.
    """
    await require_topics(kafka, topics, lanes)
    found: list[Finding] = []

    def hear(findings: Sequence[Finding]) -> None:
        found.extend(findings)
        for finding in findings:
            told(finding)

    checker = LedgerCheck(kafka, topics, lanes, metrics=Metrics(), told=hear, since_ms=since_ms, hurried=True)
    task = asyncio.create_task(checker.run())
    try:
        await _until_done(checker, seconds)
    finally:
        task.cancel()
        await asyncio.wait({task}, timeout=FIRST_SECONDS_MAX)
    return Checked(found, checker.books.judged, checker.books.skipped)


async def _until_done(checker: LedgerCheck, seconds: float | None) -> None:
    began, drained_at = time.monotonic(), 0
    while True:
        await asyncio.sleep(LOOK_SECONDS / 2)
        passed = time.monotonic() - began
        if not checker.looks and passed > FIRST_SECONDS_MAX:
            raise KafkaAwayError("Kafka did not let itself be read; is it overloaded?")
        if seconds is not None:
            if passed >= seconds:
                return
        elif not checker.drained:
            drained_at = 0
        else:
            drained_at = drained_at or checker.looks
            if checker.looks - drained_at >= LOOKS_AFTER:
                return
