"""Plant fault after fault into a real worker's commits, with the ledger check beside it, and time what it finds."""

import asyncio
import itertools
import json
import logging
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from typing_extensions import override

from processors.ledger import Fault, Finding
from processors.vocabulary import topics
from processors.vocabulary.partition import lane_of
from streams.admin import ensure_topics
from streams.broker.config import BrokerSettings
from streams.broker.embedded import EmbeddedKafka
from streams.ledger.check import LedgerCheck
from streams.metrics import Metrics
from streams.settings import KafkaSettings
from streams.topics import TopicNames
from tests.chaos.fleet import Fleet, WorkerSettings
from tests.chaos.waiting import TooLateError, until
from tests.ledger.plants import LANES, MARK, PLANTS, UNCOMMITTED_LANE, Plant, Trigger

log = logging.getLogger(__name__)

PREFIX: Final = "ledger-"
HEAP_MEGABYTES: Final = 384
SESSION_MS: Final = 6_000
START_SECONDS_MAX: Final = 90.0
FIND_SECONDS_MAX: Final = 25.0
QUIET_SECONDS_MAX: Final = 40.0
LOAD_SECONDS: Final = 0.25
TOGETHER: Final = 24
"""Signals of one tenant in one batch, so that several come into one commit."""
STEPPED_COMMITS: Final = 40


@dataclass(frozen=True, slots=True)
class Catch:
    """What became of one planted fault."""

    plant: str
    fault: str
    """What it was found as; empty if it was not."""
    seconds: float
    text: str
    beside: tuple[str, ...] = ()
    """As what else it showed."""


@dataclass(slots=True)
class Outcome:
    """What a run has shown."""

    catches: list[Catch] = field(default_factory=list)
    before: list[Finding] = field(default_factory=list)
    """What was found before anything was planted: false alarms."""
    judged: int = 0


def _event(tenant: str, id_: str, kind: str = "test.made", **attributes: Any) -> bytes:
    plain = {"specversion": "1.0", "id": id_, "source": "/ledger", "type": kind, "tenantid": tenant, "data": {}}
    return json.dumps({**plain, **attributes}).encode()


def tenant_in(lane: int, what: str) -> str:
    """Return the name of a tenant that lives in a lane."""
    names = (f"{what}-{number}" for number in itertools.count())
    return next(name for name in names if lane_of(name.encode(), LANES) == lane)


@dataclass(slots=True)
class Planted:
    """One run. Everything that it starts ends with it."""

    folder: Path
    plants: Sequence[Plant] = PLANTS
    found: list[tuple[float, Finding]] = field(default_factory=list)
    _producer: Any = None
    _bootstrap: str = ""

    async def run(self) -> Outcome:
        """Do all of it."""
        outcome = Outcome()
        async with AsyncExitStack() as stack:
            check = await self._start(stack)
            await self._settle(check)
            outcome.before = [finding for _, finding in self.found]
            for at in range(0, len(self.plants), UNCOMMITTED_LANE):
                together = self.plants[at : at + UNCOMMITTED_LANE]
                wanted = [
                    self._plant(plant, UNCOMMITTED_LANE if plant.trigger is Trigger.READ else lane)
                    for lane, plant in enumerate(together)
                ]
                outcome.catches += await asyncio.gather(*wanted)
                # What else comes of these is not to be taken for the next ones'.
                await self._calm(check)
            outcome.judged = check.books.judged
        return outcome

    async def _start(self, stack: AsyncExitStack) -> LedgerCheck:
        broker = EmbeddedKafka(BrokerSettings(self.folder / "kafka", heap_megabytes=HEAP_MEGABYTES))
        stack.callback(broker.stop)
        self._bootstrap = await asyncio.to_thread(broker.start)
        kafka, names = KafkaSettings(self._bootstrap), TopicNames(PREFIX)
        await ensure_topics(kafka, names, lanes=LANES, replication=1, min_insync_replicas=1)
        settings = PlantedWorker(self._bootstrap, PREFIX, LANES, SESSION_MS, self.folder)
        fleet = Fleet(settings, Random(1), 1)
        stack.push_async_callback(fleet.close)
        fleet.start(0)
        self._producer = AIOKafkaProducer(bootstrap_servers=self._bootstrap, acks="all", linger_ms=20)
        await self._producer.start()
        stack.push_async_callback(self._producer.stop)
        check = LedgerCheck(kafka, names, LANES, metrics=Metrics(), told=self._tell)
        await stack.enter_async_context(_beside(check.run()))
        await until(fleet.settled, START_SECONDS_MAX, "the worker ready and every lane taken")
        await stack.enter_async_context(_beside(self._load()))
        return check

    def _tell(self, found: Sequence[Finding]) -> None:
        now = time.monotonic()
        self.found += [(now, finding) for finding in found]

    async def _load(self) -> None:
        """Send a little of everything to every lane, all the time."""
        tenants = {lane: tenant_in(lane, "load") for lane in range(LANES)}
        for number in itertools.count():
            for lane, tenant in tenants.items():
                await self._send(lane, _event(tenant, f"{tenant}/{number}"))
                if number % 4 == 1:
                    await self._send(lane, _event(tenant, f"{tenant}/{number - 1}"))
                    await self._send(lane, b"{")
                if number % 6 == 2 and lane != UNCOMMITTED_LANE:
                    astray = (lane + 1) % UNCOMMITTED_LANE
                    await self._send(astray, _event(tenant, f"{tenant}/astray/{number}"))
                    change = _event(tenant, f"c{number}", "hopline.limit.set", data={"burst": 1_000 + number})
                    await self._send(lane, change, topics.COMMANDS)
            await asyncio.sleep(LOAD_SECONDS)

    async def _send(self, lane: int, value: bytes, topic: str = topics.SIGNALS_IN) -> None:
        await self._producer.send(PREFIX + topic, value, partition=lane)

    async def _settle(self, check: LedgerCheck) -> None:
        """Wait until enough has been judged without a finding to say that nothing is wrong."""
        wanted = check.books.judged + STEPPED_COMMITS * LANES

        async def judged() -> bool:
            return check.books.judged >= wanted

        await until(judged, QUIET_SECONDS_MAX, "commits judged before anything is planted")

    async def _plant(self, plant: Plant, lane: int) -> Catch:
        """Ask for a fault, and wait until it is found and named."""
        known, began = len(self.found), time.monotonic()
        origin = await self._ask(plant, lane)
        lanes = {origin, (origin + 1) % LANES} if plant.faults == {Fault.WRONG_LANE} else {origin}

        def hits() -> list[tuple[float, Finding]]:
            return [(at, f) for at, f in self.found[known:] if f.fault in plant.faults and f.lane in lanes]

        async def hit() -> bool:
            return bool(hits())

        with suppress(TooLateError):
            await until(hit, FIND_SECONDS_MAX, plant.name)
        first = next(iter(hits()), None)
        mine = {f.fault.value for _, f in self.found[known:] if f.lane in lanes}
        beside = sorted(mine - {first[1].fault.value if first else ""})
        if first is None:
            log.warning("%s in lane %d was not found (%s)", plant.name, lane, ", ".join(beside))
            return Catch(plant.name, "", 0.0, "", tuple(beside))
        seconds = round(first[0] - began, 1)
        log.info("%-28s %-20s %4.1f s  %s", plant.name, first[1].fault.value, seconds, first[1].text)
        return Catch(plant.name, first[1].fault.value, seconds, first[1].text, tuple(beside))

    async def _calm(self, check: LedgerCheck) -> None:
        """Wait until each lane has been judged on, so that the next finding is another fault's."""
        reached = [books.judged for books in check.books.lanes]

        async def further() -> bool:
            return all(books.judged > before + 2 for books, before in zip(check.books.lanes, reached, strict=True))

        with suppress(TooLateError):
            await until(further, QUIET_SECONDS_MAX, "commits judged after a fault")

    async def _ask(self, plant: Plant, lane: int) -> int:
        """Send what asks for a fault; return the lane in which it is to show."""
        tenant, mark = tenant_in(lane, f"t-{plant.name}"), f"{MARK.decode()}{plant.name}"
        match plant.trigger:
            case Trigger.SIGNAL:
                await self._send(lane, _event(tenant, f"{mark}/1"))
            case Trigger.SIGNALS:
                for number in range(TOGETHER):
                    await self._send(lane, _event(tenant, f"{mark}/{number}"))
            case Trigger.BAD:
                await self._send(lane, b'{"id":"%b/1"' % mark.encode())
            case Trigger.ASTRAY:
                other = (lane + 1) % UNCOMMITTED_LANE
                await self._send(lane, _event(tenant_in(other, f"t-{plant.name}"), f"{mark}/1"))
            case Trigger.HELD:
                pause = _event(tenant, f"hold/{plant.name}", "hopline.agent.pause")
                await self._send(lane, _event(tenant, f"first/{plant.name}"))
                await self._send(lane, pause, topics.COMMANDS)
                await self._producer.flush()
                await self._calm_after_hold(tenant, mark, lane)
            case Trigger.DIRECTIVE | Trigger.DIRECTIVES:
                asked = 1 + (plant.trigger is Trigger.DIRECTIVES)
                for number in range(asked):
                    change = _event(tenant, f"{mark}/{number}", "hopline.tenant.set", data={"burst": 100 + number})
                    await self._send(lane, change, topics.COMMANDS)
                    await self._producer.flush()
                    await asyncio.sleep(LOAD_SECONDS * 4)
            case Trigger.READ:
                await self._send_and_abort(lane, tenant, mark)
        return lane

    async def _calm_after_hold(self, tenant: str, mark: str, lane: int) -> None:
        """Send some that must wait, the first of which may come before its tenant is held."""
        for number in range(5):
            await asyncio.sleep(LOAD_SECONDS * 2)
            await self._send(lane, _event(tenant, f"{mark}/{number}"))

    async def _send_and_abort(self, lane: int, tenant: str, mark: str) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self._bootstrap, transactional_id="ledger-outside")
        await producer.start()
        try:
            await producer.begin_transaction()
            for number in range(3):
                value = _event(tenant, f"{mark}/{number}")
                await producer.send_and_wait(PREFIX + topics.SIGNALS_IN, value, partition=lane)
            await asyncio.sleep(LOAD_SECONDS * 8)
            await producer.abort_transaction()
        finally:
            await producer.stop()


@dataclass(frozen=True, slots=True)
class PlantedWorker(WorkerSettings):
    """Starts the worker that has the faults in it."""

    @override
    def command(self) -> Sequence[str]:
        """Return how it is started."""
        return [sys.executable, "-m", "tests.ledger.planted_worker"]


@asynccontextmanager
async def _beside(work: Any) -> AsyncIterator[None]:
    """Let something go on beside the block."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task}, timeout=QUIET_SECONDS_MAX)
