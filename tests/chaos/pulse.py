"""Measure from outside how each lane gets on: what is in flight, what has been committed, how long it stood still."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from processors.vocabulary import topics
from tests.chaos.fleet import WorkerSettings
from tests.chaos.waiting import TooLateError
from tests.chaos.wire import ONGOING, AwayError, Transaction, Wire

SAMPLE_SECONDS: Final = 0.1
SECOND_LOOK_SECONDS: Final = 0.02
"""A transaction that stands open unchanged for so long while its worker is frozen will not end any more."""
WORTH_WAITING_RECORDS: Final = 30
"""Fewer records than this behind the end may be transactions' markers only."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Where the lanes' input ends and up to where it has been committed, at one time."""

    at: float
    ends: tuple[int, ...]
    committed: tuple[int, ...]

    def in_flight(self, lanes: Iterable[int]) -> int:
        """Return how many records of these lanes have come and are not committed."""
        return sum(max(0, self.ends[lane] - self.committed[lane]) for lane in lanes)

    def behind(self) -> set[int]:
        """Return the lanes that have work."""
        return {lane for lane in range(len(self.ends)) if self.in_flight((lane,)) >= WORTH_WAITING_RECORDS}


@dataclass(slots=True)
class Pulse:
    """Reads the group's committed offsets, which move in the transactions that carry the outputs."""

    settings: WorkerSettings
    wire: Wire
    stall_seconds_max: float = 0.0
    """The longest time that a lane with work committed nothing, the broker being up."""
    stalled_lane: int = -1
    _moved: dict[int, tuple[int, float]] = field(default_factory=dict)

    async def read(self) -> Reading:
        """Return how it stands. The ends are read first, so that rather too little counts as in flight."""
        settings = self.settings
        topic = f"{settings.topic_prefix}{topics.SIGNALS_IN}"
        ends = await self.wire.ends(topic, settings.lanes)
        committed = await self.wire.committed(settings.application, topic, settings.lanes)
        return Reading(time.monotonic(), ends, committed)

    async def open_transactions(self, lanes: Iterable[int]) -> dict[int, Transaction]:
        """Return the lanes' transactions that are open and stay so. Their owners must be frozen."""
        ids = {self.settings.transactional_id(lane): lane for lane in lanes}
        first = await self.wire.transactions(ids)
        await asyncio.sleep(SECOND_LOOK_SECONDS)
        second = await self.wire.transactions(ids)
        return {
            lane: second[name]
            for name, lane in ids.items()
            if name in second and second[name].state == ONGOING and first.get(name) == second[name]
        }

    async def recovered(self, since: Reading, seconds_max: float) -> Mapping[int, float]:
        """Return for each lane that had work how long after the reading it committed again."""
        waiting, found = since.behind(), dict[int, float]()
        while waiting:
            with suppress(AwayError):
                now = await self.read()
                moved = {lane for lane in waiting if now.committed[lane] > since.committed[lane]}
                found |= dict.fromkeys(moved, now.at - since.at)
                waiting -= moved
            if waiting and time.monotonic() - since.at > seconds_max:
                raise TooLateError(f"lanes {sorted(waiting)} committed nothing for {seconds_max:g} s")
            await asyncio.sleep(SAMPLE_SECONDS / 2)
        return found

    async def watch(self) -> None:
        """Look at the lanes until cancelled, and note the longest standstill."""
        while True:
            try:
                self._note(await self.read())
            except AwayError:
                # What an absent broker costs is measured from its return.
                self._moved.clear()
            await asyncio.sleep(SAMPLE_SECONDS)

    def _note(self, reading: Reading) -> None:
        behind = reading.behind()
        for lane, committed in enumerate(reading.committed):
            before, since = self._moved.get(lane, (-1, reading.at))
            if committed != before or lane not in behind:
                self._moved[lane] = (committed, reading.at)
            elif reading.at - since > self.stall_seconds_max:
                self.stall_seconds_max, self.stalled_lane = reading.at - since, lane
