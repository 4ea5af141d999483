"""Worker processes: slots with a disk, clocks that are wrong, lanes they believe to own, and what they run.

`run_lane` is what `streams.lanes.runner.LaneRunner` does, on the simulation's scheduler.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from processors.ingest import queue
from processors.lane import Commit, LaneSettings
from processors.step import Hop
from processors.vocabulary.headers import STEPPED
from streams.lanes.owner import LaneOwner
from streams.lanes.ports import Clocks, LaneLostError, OutcomeUnknownError, Took
from streams.lanes.store import RocksLaneStore
from tests.simulation import faults
from tests.simulation.hops import HangError
from tests.simulation.ports import Network, SimulatedKafka, SimulatedWriter
from tests.simulation.scheduler import Home, Scheduler, Task, sleep, switch
from tests.simulation.store import Database, lane_store
from tests.simulation.violation import ensure

RETAKE_MS: Final = (3_000, 13_000)
"""After so long without a new assignment, a lane that was lost is taken again, rightly or not."""
POLL_MS: Final = 250
BACKOFF_MS: Final = (100, 300, 1_000, 2_000)
LOCK_POLL_MS: Final = 20
STEP_TIMEOUT_MS: Final = 5_000
CHECKPOINTS: Final = 0.02
"""After how many of its turns a lane's state is copied."""


class Alone:
    """Lets one task of a process in at a time, as `asyncio.Lock` does."""

    def __init__(self) -> None:
        self._taken = False

    async def __aenter__(self) -> None:
        while self._taken:
            await sleep(LOCK_POLL_MS)
        self._taken = True

    async def __aexit__(self, *_error: object) -> None:
        self._taken = False


@dataclass(slots=True, eq=False)
class Process(Home):
    """One life of a worker."""

    slot: int = 0
    database: Database = field(default_factory=Database)
    write_format: int = 2
    skew_ms: int = 0
    wanted: set[int] = field(default_factory=set)
    """Lanes that this process believes to own."""
    confirmed: set[int] = field(default_factory=set)
    loops: dict[int, Task] = field(default_factory=dict)
    owners: dict[int, LaneOwner] = field(default_factory=dict)
    alive: bool = True
    leaving: bool = False
    alone: Alone = field(default_factory=Alone)


class AgentFailedError(TimeoutError):
    """An agent has not answered although nothing is wrong with its work."""


class Agents:
    """See `streams.lanes.owner.Agents`: the work is done at once, between two switches."""

    def __init__(self, network: Network) -> None:
        self._network = network

    async def call(self, hop: str, work: Callable[[], object]) -> None:
        """Do the work; a hop that hangs is a time-out."""
        del hop
        await switch()
        if self._network.hit(faults.AGENT):
            await sleep(STEP_TIMEOUT_MS)
            raise AgentFailedError
        try:
            work()
        except HangError as error:
            await sleep(STEP_TIMEOUT_MS)
            raise TimeoutError from error
        await switch()


class Observer:
    """Counts what commits were made of."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def restored(self, lane: int, done: int, end: int) -> None:
        """See `streams.lanes.owner.Observer`."""

    def began(self, lane: int, records: Mapping[str, int]) -> None:
        """Nothing is done yet."""

    def committed(self, lane: int, commit: Commit, took: Took) -> None:
        """Count a commit."""
        del lane, took
        self._network.count("commits")
        for (_, outcome), tenants in commit.tally.items():
            for by in tenants.values():
                if by > 0:
                    self._network.count(str(outcome))
        if commit.position.backlog:
            self._network.count("not_looped")
        if any(output[2][-1][0] == STEPPED for outputs in commit.outputs.values() for output in outputs if output[2]):
            self._network.count("looped")

    def failed(self, lane: int, hop: str, hop_error: BaseException) -> None:
        """Count a hop's failure."""
        del lane, hop, hop_error
        self._network.count("hop_failed")


def _check_due(owner: LaneOwner) -> None:
    """A lane in which signals wait knows when to look at them, and not later than they are due."""
    waiting = owner._store.scan(queue.DUE.prefix, 1)
    if waiting:
        due_ms = int.from_bytes(waiting[0][0][len(queue.DUE.prefix) :][:8], "big")
        knows = owner.due_ms is not None and owner.due_ms <= due_ms
        ensure(knows, "due", f"lane {owner.settings.lane}: due at {due_ms}, and its owner waits until {owner.due_ms}")


@dataclass(slots=True)
class Workers:
    """Starts lane owners in processes, and keeps them going as the runner does."""

    scheduler: Scheduler
    network: Network
    kafka: SimulatedKafka
    hops: tuple[Hop, ...]
    lanes: int
    chance: random.Random
    checkpoints: list[tuple[int, dict[bytes, bytes]]] = field(default_factory=list)
    """Copies of a lane's state that were taken while it ran."""

    def believe(self, process: Process, lane: int) -> None:
        """Tell a process that a lane is its own."""
        process.wanted.add(lane)
        process.confirmed.add(lane)
        if lane not in process.loops and process.alive:
            name = f"{process.name}/lane-{lane}"
            process.loops[lane] = self.scheduler.spawn(name, self._run_lane(process, lane), process)

    async def _run_lane(self, process: Process, lane: int) -> None:
        failures = 0
        while lane in process.wanted:
            owner = self._owner(process, lane)
            try:
                await owner.take_over()
                process.owners[lane] = owner
                self._took(process, lane, owner)
                failures = 0
                while lane in process.wanted:
                    await owner.turn()
                    _check_due(owner)
                    self._perhaps_checkpoint(owner)
                await self._let_go(process, lane, owner)
            except LaneLostError:
                self.network.count("zombie_refused")
                self.scheduler.note(f"{process.name} has lost lane {lane}")
                process.confirmed.discard(lane)
                await self._let_go(process, lane, owner)
                await self._lost(process, lane)
            except OutcomeUnknownError as error:
                self.network.count("outcome_unknown")
                self.scheduler.note(f"{process.name} lane {lane}: {error}")
                await self._let_go(process, lane, owner)
                await sleep(BACKOFF_MS[min(failures, len(BACKOFF_MS) - 1)])
                failures += 1
            except AgentFailedError:
                # It failed even for the record that was to be set aside: the runner retakes the lane.
                await self._let_go(process, lane, owner)
                await sleep(BACKOFF_MS[-1])
        del process.loops[lane]

    def _took(self, process: Process, lane: int, owner: LaneOwner) -> None:
        self.network.count("takeovers")
        at = owner.position
        if self.holds(process, lane):
            # The group's offsets move with the transaction, so they are never ahead of the state.
            for topic, offset in self.kafka.group_offsets(lane).items():
                ahead = offset > at.applied.get(topic, 0)
                ensure(not ahead, "offsets", f"lane {lane}: the group has {offset} of {topic}, the state {at.applied}")
        self.scheduler.note(
            f"{process.name} has taken lane {lane} at {at.sequence} {dict(at.applied)} "
            f"owners {at.takeovers} attempting {dict(at.attempting)} careful {dict(at.careful)}"
        )

    def _perhaps_checkpoint(self, owner: LaneOwner) -> None:
        """Copy a lane's state now and then, as checkpoints are made."""
        store = owner._store
        if self.chance.random() < CHECKPOINTS and isinstance(store, RocksLaneStore):
            self.network.count("checkpoints")
            self.checkpoints.append((owner.settings.lane, dict(store.pairs())))

    def holds(self, process: Process, lane: int) -> bool:
        """Tell whether a process owns a lane and nobody has fenced it since."""
        owner = process.owners.get(lane)
        writer = owner._writer if owner is not None else None
        return isinstance(writer, SimulatedWriter) and writer.newest

    def busy(self, process: Process) -> bool:
        """Tell whether a process is taking a lane over, or is committing."""
        writers = [owner._writer for owner in process.owners.values()]
        committing = any(isinstance(writer, SimulatedWriter) and writer.busy for writer in writers)
        return committing or bool(process.loops.keys() - process.owners.keys())

    async def _let_go(self, process: Process, lane: int, owner: LaneOwner) -> None:
        process.owners.pop(lane, None)
        await owner.close()

    async def _lost(self, process: Process, lane: int) -> None:
        """Wait for a new assignment; without one the lane may be ours still."""
        deadline_ms = self.scheduler.now_ms + self.chance.choice(RETAKE_MS)
        while lane in process.wanted and lane not in process.confirmed:
            if self.scheduler.now_ms >= deadline_ms:
                self.network.count("retaken")
                return
            await sleep(POLL_MS)

    def _owner(self, process: Process, lane: int) -> LaneOwner:
        scheduler = self.scheduler
        store = lane_store(process.database, lane, lambda: scheduler.now_ms + process.skew_ms)
        if store.changelog_offset():
            self.network.count("snapshot_used")
        return LaneOwner(
            LaneSettings(lane, self.lanes, self.hops, process.write_format),
            kafka=self.kafka,
            store=store,
            agents=Agents(self.network),
            clocks=Clocks(lambda: scheduler.now_ms + process.skew_ms, lambda: float(scheduler.now_ms)),
            observer=Observer(self.network),
            alone=lambda: process.alone,
        )
