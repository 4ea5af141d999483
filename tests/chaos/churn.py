"""Guests: workers that join and leave in good order, one event every two seconds."""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Final

from tests.chaos.fleet import Fleet, Worker

log = logging.getLogger(__name__)

EVERY_SECONDS: Final = 2.0
GUESTS_MAX: Final = 3


@dataclass(slots=True)
class Churn:
    """Joins and leaves until told to end."""

    fleet: Fleet
    first_slot: int
    joins: int = 0
    leaves: int = 0
    leave_seconds_max: float = 0.0
    _guests: list[Worker] = field(default_factory=list)
    _leaving: list[asyncio.Task[None]] = field(default_factory=list)
    _slots: list[int] = field(default_factory=list)

    async def run(self) -> None:
        """Join up to three, then let the oldest leave and another join by turns, until cancelled; then all leave."""
        self._slots = [self.first_slot + index for index in range(GUESTS_MAX + 2)]
        try:
            while True:
                if len(self._guests) == GUESTS_MAX:
                    self._leave()
                elif self._slots:
                    self._join()
                await asyncio.sleep(EVERY_SECONDS)
        finally:
            while self._guests:
                self._leave()
            await asyncio.gather(*self._leaving)

    def _join(self) -> None:
        self._guests.append(self.fleet.start(self._slots.pop(0)))
        self.joins += 1

    def _leave(self) -> None:
        guest = self._guests.pop(0)
        self.leaves += 1
        self._leaving.append(asyncio.create_task(self._see_off(guest)))

    async def _see_off(self, guest: Worker) -> None:
        took = await self.fleet.leave(guest)
        self.leave_seconds_max = max(self.leave_seconds_max, took)
        self._slots.append(guest.slot)
        log.info("%s left in %.1f s", guest.name, took)
