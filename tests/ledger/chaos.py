"""A chaos run with the ledger check beside it: workers and broker die, and the check must find nothing wrong."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from typing_extensions import override

from streams.ledger.check import LedgerCheck
from streams.metrics import Metrics
from streams.settings import KafkaSettings
from streams.topics import TopicNames
from tests.chaos.directives import DirectedChaos
from tests.chaos.run import LANES, PREFIX, Outcome
from tests.chaos.waiting import TooLateError, until

DRAIN_SECONDS_MAX: Final = 60.0


@dataclass(slots=True)
class CheckedChaos(DirectedChaos):
    """One run, with what the check said of it."""

    found: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    @override
    async def run(self) -> Outcome:
        """Do all of it; then let the check read to the end."""
        kafka, names = KafkaSettings(self._broker.bootstrap), TopicNames(PREFIX)
        check = LedgerCheck(kafka, names, LANES, metrics=Metrics())
        task = asyncio.create_task(check.run())
        try:
            outcome = await DirectedChaos.run(self)
            await self._drain_check(check)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self.found = [str(finding) for finding in check.recent]
        self.figures = {
            "false_alarms": check.found,
            "judged": check.books.judged,
            "skipped": check.books.skipped,
            "behind": check.behind,
        }
        return outcome

    async def _drain_check(self, check: LedgerCheck) -> None:
        looks = check.looks

        async def drained() -> bool:
            # Moves that became known with one look are judged with the next ones.
            return check.drained and check.looks > looks + 3

        with suppress(TooLateError):
            await until(drained, DRAIN_SECONDS_MAX, "all of it checked")
