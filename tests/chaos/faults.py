"""Strike workers and broker in the middle of their work, and measure how long each lane takes to go on."""

import asyncio
import logging
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Final

from streams.broker.embedded import EmbeddedKafka
from tests.chaos.fleet import Fleet, Worker
from tests.chaos.load import Feeder
from tests.chaos.pulse import Pulse, Reading
from tests.chaos.waiting import TooLateError, until
from tests.chaos.wire import AwayError

log = logging.getLogger(__name__)

IN_FLIGHT_MIN: Final = 1_000
CATCH_SECONDS_MAX: Final = 20.0
RECOVERY_SECONDS_MAX: Final = 60.0
SETTLE_SECONDS_MAX: Final = 60.0
ANSWER_SECONDS_MAX: Final = 5.0
WAKE_SECONDS_MAX: Final = 40.0
MORE_RECORDS: Final = 2_000
LOOK_AGAIN_SECONDS: Final = (0.005, 0.05)
BACK_SECONDS: Final = (0.2, 2.0)
"""After how long a killed worker or broker is started again."""
ZOMBIE_SECONDS: Final = 1.5
"""How much longer than its session a stopped worker stays stopped."""


class Blow(StrEnum):
    """What is done to one victim."""

    WORKER = "worker_killed"
    STOP = "worker_stopped"
    BROKER = "broker_killed"


_PATTERN: Final = (
    (Blow.WORKER,),
    (Blow.BROKER,),
    (Blow.STOP,),
    (Blow.WORKER, Blow.STOP),
    (Blow.WORKER,),
    (Blow.BROKER,),
    (Blow.STOP,),
    (Blow.WORKER, Blow.WORKER),
)
QUICK: Final = ((Blow.WORKER,),)


def strikes(kills: int, random: Random) -> list[tuple[Blow, ...]]:
    """Return the strikes of a run in a random order; some hit two workers at the same moment."""
    found: list[tuple[Blow, ...]] = []
    while (missing := kills - sum(map(len, found))) > 0:
        found.append(_PATTERN[len(found) % len(_PATTERN)][:missing])
    random.shuffle(found)
    return found


@dataclass(slots=True)
class Casualties:
    """What was done, and what it cost."""

    kills: dict[Blow, int] = field(default_factory=lambda: dict.fromkeys(Blow, 0))
    in_transaction: int = 0
    in_flight: list[int] = field(default_factory=list)
    failover_seconds: dict[Blow, list[float]] = field(default_factory=lambda: {blow: [] for blow in Blow})


@dataclass(frozen=True, slots=True)
class _Caught:
    """One victim, frozen: its lanes, what was in flight there, whether a transaction stood open."""

    in_flight: int
    in_transaction: bool


@dataclass(slots=True)
class Striker:
    """Deals the blows."""

    fleet: Fleet
    broker: EmbeddedKafka
    feeder: Feeder
    pulse: Pulse
    random: Random
    casualties: Casualties = field(default_factory=Casualties)

    async def strike(self, blows: Sequence[Blow], *, burst: int, insisted: bool) -> None:
        """Strike with a burst of records on its way; return when each lane goes on.

        `insisted`: only in the middle of a transaction of each victim's.
        """
        self.feeder.burst(burst // 2 if Blow.BROKER in blows else burst)
        if Blow.BROKER in blows:
            await self._strike_broker(burst - burst // 2, insisted=insisted)
        else:
            await self._strike_workers(blows, insisted=insisted)

    async def settle(self) -> None:
        """Wait until the workers that stay have all their lanes."""
        await until(self.fleet.settled, SETTLE_SECONDS_MAX, "workers ready and every lane taken")

    async def _strike_workers(self, blows: Sequence[Blow], *, insisted: bool) -> None:
        victims, caught = await self._catch(len(blows), insisted=insisted)
        for worker, blow, one in zip(victims, blows, caught, strict=True):
            if blow is Blow.WORKER:
                worker.kill()
            self._note(blow, one, worker.name)
        since = await self._read()
        back = [
            asyncio.create_task(self._restart(worker.slot))
            for worker, blow in zip(victims, blows, strict=True)
            if blow is Blow.WORKER
        ]
        stopped = [worker for worker, blow in zip(victims, blows, strict=True) if blow is Blow.STOP]
        deputies = [self.fleet.start(worker.slot) for worker in stopped if self.random.random() < 0.5]
        self._recovered(blows, await self.pulse.recovered(since, RECOVERY_SECONDS_MAX))
        await asyncio.gather(*back)
        for worker in stopped:
            await self._wake(worker, since, replaced=any(deputy.slot == worker.slot for deputy in deputies))

    async def _restart(self, slot: int) -> None:
        await asyncio.sleep(self.random.uniform(*BACK_SECONDS))
        self.fleet.start(slot)

    async def _wake(self, worker: Worker, since: Reading, *, replaced: bool) -> None:
        """Let a zombie go on: its lanes have moved, and it does not know."""
        silent = self.fleet.settings.session_timeout_ms / 1_000 + ZOMBIE_SECONDS
        await asyncio.sleep(max(0.0, since.at + silent - time.monotonic()))
        worker.thaw()

        async def awake() -> bool:
            return not worker.alive or await self.fleet.ready(worker)

        await until(awake, WAKE_SECONDS_MAX, f"{worker.name}, woken, knows its lanes again")
        if replaced:
            await self.fleet.leave(worker)

    async def _strike_broker(self, burst: int, *, insisted: bool) -> None:
        workers, caught = await self._catch(0, insisted=insisted)
        # Some records are on their way to the broker as it dies.
        self.feeder.burst(burst)
        await asyncio.sleep(0)
        began = time.monotonic()
        try:
            await asyncio.to_thread(self.broker.kill)
        finally:
            _thaw(workers)
        self.fleet.away.append((began, math.inf))
        self._note(
            Blow.BROKER,
            _Caught(sum(one.in_flight for one in caught), any(one.in_transaction for one in caught)),
            "the broker",
        )
        await asyncio.sleep(self.random.uniform(*BACK_SECONDS))
        await asyncio.to_thread(self.broker.start)
        since = await self._read()
        self.fleet.away[-1] = (began, since.at)
        log.info("the broker serves again after %.1f s", since.at - began)
        self._recovered((Blow.BROKER,), await self.pulse.recovered(since, RECOVERY_SECONDS_MAX))

    async def _catch(self, count: int, *, insisted: bool) -> tuple[list[Worker], list[_Caught]]:
        """Freeze workers (0: all) at a moment with enough in flight; thaw and look again until there is one."""
        deadline = time.monotonic() + CATCH_SECONDS_MAX
        victims, caught = await self._choose(count), list[_Caught]()
        while time.monotonic() < deadline:
            lanes = [await self.fleet.lanes(worker) for worker in victims]
            if not all(lanes):
                victims = await self._choose(count)
                continue
            for worker in victims:
                worker.freeze()
            try:
                caught = await self._look(lanes)
            except BaseException:
                _thaw(victims)
                raise
            if _enough(caught, together=not count, insisted=insisted):
                return victims, caught
            _thaw(victims)
            few = not _enough(caught, together=not count, insisted=False)
            if few and not self.feeder.on_the_way and not self.feeder.burst(MORE_RECORDS):
                raise TooLateError("no records are left to have in flight; send more signals, or kill less")
            await asyncio.sleep(self.random.uniform(*LOOK_AGAIN_SECONDS))
        raise TooLateError(f"{CATCH_SECONDS_MAX:g} s without a moment to strike: {caught}")

    async def _choose(self, count: int) -> list[Worker]:
        """Return workers that own lanes, all of them for 0."""
        chosen: list[Worker] = []

        async def found() -> bool:
            among = self.fleet.resident if count else self.fleet.present
            owners = [worker for worker in among if await self.fleet.lanes(worker)]
            chosen[:] = self.random.sample(owners, count) if count and len(owners) >= count else owners
            return len(chosen) >= max(1, count)

        await until(found, SETTLE_SECONDS_MAX, "a worker to strike")
        return chosen

    async def _look(self, lanes: Sequence[Sequence[int]]) -> list[_Caught]:
        transactions = await self.pulse.open_transactions({lane for some in lanes for lane in some})
        reading = await self.pulse.read()
        return [_Caught(reading.in_flight(some), any(lane in transactions for lane in some)) for some in lanes]

    async def _read(self) -> Reading:
        """Return a reading, from the first moment that the broker gives one."""
        found: list[Reading] = []

        async def answered() -> bool:
            with suppress(AwayError):
                found.append(await self.pulse.read())
            return bool(found)

        await until(answered, RECOVERY_SECONDS_MAX, "an answer of the broker's")
        return found[0]

    def _note(self, blow: Blow, caught: _Caught, whom: str) -> None:
        casualties = self.casualties
        casualties.kills[blow] += 1
        casualties.in_transaction += caught.in_transaction
        casualties.in_flight.append(caught.in_flight)
        where = "inside an open transaction" if caught.in_transaction else "between transactions"
        log.info("%s: %s, %s, %d records in flight", blow.value, whom, where, caught.in_flight)

    def _recovered(self, blows: Iterable[Blow], seconds: Mapping[int, float]) -> None:
        worst = max(seconds.values(), default=0.0)
        for blow in blows:
            self.casualties.failover_seconds[blow].append(worst)
        log.info("all lanes go on after %.1f s", worst)


def _thaw(workers: Iterable[Worker]) -> None:
    for worker in workers:
        worker.thaw()


def _enough(caught: Sequence[_Caught], *, together: bool, insisted: bool) -> bool:
    if together:
        enough = sum(one.in_flight for one in caught) >= IN_FLIGHT_MIN
        return enough and (not insisted or any(one.in_transaction for one in caught))
    return all(one.in_flight >= IN_FLIGHT_MIN and (one.in_transaction or not insisted) for one in caught)
