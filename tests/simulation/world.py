"""One seed's world: a cluster, workers that come and go, a driver, faults, and then calm until all is done."""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Final
from unittest.mock import patch

from processors import position
from processors.directives import DirectivesHop, DirectivesSettings
from processors.ingest import IngestHop, IngestSettings, Policy, queue
from processors.position import POSITION_KEY
from processors.vocabulary import topics
from streams.topics import DELETE_RETENTION_MS
from tests.simulation import faults, replays
from tests.simulation.driver import Driver, hiding, plan
from tests.simulation.faults import Profile
from tests.simulation.hops import Door, Echo
from tests.simulation.log import Cluster
from tests.simulation.ports import Network, SimulatedKafka
from tests.simulation.scheduled import Asker
from tests.simulation.scheduler import Home, Scheduler, sleep
from tests.simulation.spread import Clearer
from tests.simulation.store import Database, simulated_batches
from tests.simulation.violation import ViolationError
from tests.simulation.workers import Process, Workers

BEGIN_MS: Final = 1_700_000_000_000
WINDOW_MS: Final = 60_000
"""The dedupe window of tenants for which none is set."""
SESSION_MS: Final = 10_000
TROUBLE_STEPS_MAX: Final = 30_000
"""Faults stop then, even if they were so many that nothing has come of it yet."""
DRAIN_STEPS_MAX: Final = 40_000
CALM_MARKER_MS_MAX: Final = 20
CLEANINGS: Final = 0.02
"""How often the cluster cleans its changelogs, of the times it does anything."""
SHARE_OF_HIDING_SEEDS: Final = 0.04
"""In which records that kill may hide behind commands."""
LOOK_EVERY: Final = 32
PATIENCE_LOOKS: Final = 60
PATIENCE_LEAP_MS: Final = 3_600_000
"""When all has been quiet for so many looks and something is still deferred, an hour passes."""


class World:
    """Everything of one seed."""

    def __init__(self, seed: int, trace: Callable[[str], None] | None = None) -> None:
        self.seed = seed
        self.chance = random.Random(f"faults {seed}")
        self.profile: Profile = faults.draw(self.chance)
        drawn = plan(random.Random(f"plan {seed}"), self.profile.lanes)
        chance = random.Random(f"hiding {seed}")
        if chance.random() < SHARE_OF_HIDING_SEEDS:
            # Without other faults: they are allowed deaths of their own, among which these would not show.
            self.profile = replace(self.profile, weights={}, shares={})
            drawn = hiding(chance, drawn, self.profile.lanes)
        self.scheduler = Scheduler(random.Random(f"steps {seed}"), self.died, BEGIN_MS, trace=trace)
        self.cluster = Cluster(self.profile.lanes, lambda: self.scheduler.now_ms)
        self.network = Network(random.Random(f"network {seed}"), self.profile.shares)
        ingest = IngestSettings(Policy(dedupe_window_ms=WINDOW_MS))
        self.hops = (Door(IngestHop(ingest)), DirectivesHop(DirectivesSettings(ingest)), Echo())
        inputs = tuple(topic for hop in self.hops for topic in hop.inputs)
        kafka = SimulatedKafka(self.cluster, self.network, self.scheduler, inputs)
        self.inputs = inputs
        self.workers = Workers(self.scheduler, self.network, kafka, self.hops, self.profile.lanes, self.chance)
        self.outside = Home("outside")
        self.driver = Driver(
            drawn,
            random.Random(f"driver {seed}"),
            self.cluster,
            lambda: self.scheduler.now_ms,
            self.applied,
            self.scheduler.note,
        )
        self.asker = Asker(
            random.Random(f"asker {seed}"), self.cluster, lambda: self.scheduler.now_ms, self.scheduler.note
        )
        self.clearer = Clearer(random.Random(f"clearer {seed}"), self.cluster, lambda: self.scheduler.now_ms)
        chance = random.Random(f"replays {seed}")
        replayer = replays.Replayer(self.driver, chance, chance.choice((0.0, 0.2, 0.6)))
        self.driver.more = replayer.perhaps
        self.disks = {slot: Database() for slot in range(self.profile.workers)}
        self.processes: dict[int, Process] = {}
        self.born: list[Process] = []
        self.paused: list[Process] = []
        self.assigned: dict[int, Process | None] = dict.fromkeys(range(self.profile.lanes))
        self._lives = 0
        self._calm = False
        self._looks = 0
        if len(set(self.profile.formats)) > 1:
            self.network.count("mixed_formats")

    def applied(self, topic: str, lane: int) -> int:
        """Return up to where a lane's input has been stepped, as its changelog says."""
        for record in reversed(self.cluster.partitions[topics.STATE, lane].committed()):
            if record.key == POSITION_KEY:
                return position.unpack(record.value or b"").applied.get(topic, 0)
        return 0

    # ------------------------------------------------------------ processes

    def start(self, slot: int) -> None:
        """Start a process in a slot; where a zombie holds the store, with an empty one."""
        disk = self.disks[slot]
        if any(process.database is disk and process.alive for process in self.born):
            self.network.count("locked_store")
            disk = Database()
        self._lives += 1
        formats = self.profile.formats
        process = Process(f"worker-{slot}.{self._lives}", slot=slot, database=disk)
        process.write_format = formats[self._lives % len(formats)]
        self.processes[slot] = process
        self.born.append(process)
        self.scheduler.note(f"{process.name} starts, format {process.write_format}")
        self.assign()

    def live(self) -> list[Process]:
        """Return the processes that the group counts on."""
        return [p for p in self.processes.values() if p.alive and not p.paused and not p.leaving]

    def assign(self, lane: int | None = None) -> None:
        """Give lanes without a live owner to somebody; or this lane to somebody else."""
        live = self.live()
        if not live:
            return
        for number, before in self.assigned.items():
            if number != lane and before in live:
                continue
            # A worker that has just come takes lanes over from others now and then.
            after = self.chance.choice(live)
            self.assigned[number] = after
            self.scheduler.note(f"lane {number} is {after.name}'s")
            self.workers.believe(after, number)
            if before is not None and before is not after and before.alive:
                self.scheduler.spawn(f"tell {before.name}", self.tell(before, number), before)

    async def tell(self, process: Process, lane: int) -> None:
        """Let a process know, some time later, that a lane is another's."""
        await sleep(self.chance.randrange(5_000))
        if self.assigned[lane] is not process:
            process.wanted.discard(lane)

    def died(self, home: Home) -> None:
        """A record has killed its process."""
        self.network.count("killed_by_record")
        if isinstance(home, Process):
            self.crash(home)

    def crash(self, process: Process) -> None:
        """End a process between two steps; its disk forgets what was not written."""
        transactions = self.cluster.current
        if any(
            lane in process.owners and f"lane-{lane}" in transactions and transactions[f"lane-{lane}"].commits is None
            for lane in process.wanted
        ):
            self.network.count("crash_in_transaction")
        process.alive = False
        process.owners.clear()
        self.scheduler.note(f"{process.name} dies")
        self.scheduler.end_home(process)
        if self.chance.random() < self.profile.lost_store:
            self.network.count("lost_store")
            process.database.lose()
        elif process.database.crash(self.chance):
            self.network.count("torn_store")
        if process in self.paused:
            self.paused.remove(process)
        if self.processes.get(process.slot) is process:
            del self.processes[process.slot]
            self.scheduler.spawn(f"restart {process.slot}", self.restart(process.slot), self.outside)
        self.scheduler.spawn("session ends", self.session_ends(), self.outside)

    async def restart(self, slot: int) -> None:
        await sleep(self.chance.choice((100, 3_000, 15_000)))
        if slot not in self.processes:
            self.start(slot)

    async def session_ends(self) -> None:
        await sleep(self.chance.randrange(SESSION_MS))
        self.assign()

    # ------------------------------------------------------------ the cluster's own work

    async def _run_cluster(self) -> None:
        """Write markers, deliver what is late, end what is too old."""
        chance, network = self.network.chance, self.network
        while True:
            most_ms = self.profile.marker_ms_max
            await sleep(chance.randrange(min(most_ms, CALM_MARKER_MS_MAX) if self._calm else most_ms))
            pending = self.cluster.pending()
            if pending:
                self.cluster.mark_one(chance.choice(pending), chance.randrange(1_000))
            if network.in_flight and (self._calm or chance.random() < 0.1):
                network.in_flight.pop(chance.randrange(len(network.in_flight)))()
            if self.profile.weights.get(faults.COMPACT) and chance.random() < CLEANINGS:
                self.compact()
            before = self.cluster.timed_out
            self.cluster.time_out()
            if self.cluster.timed_out > before:
                network.count("transaction_timed_out")

    def compact(self) -> None:
        """Run the cleaner over the changelogs."""
        for lane in range(self.profile.lanes):
            partition = self.cluster.partitions[topics.STATE, lane]
            if partition.compact(self.scheduler.now_ms, DELETE_RETENTION_MS):
                self.network.count(faults.COMPACT)

    # ------------------------------------------------------------ the run

    def run(self, trouble: Callable[[], None]) -> None:
        """Run with trouble until the driver is done, then calm until everything is stepped."""
        scheduler = self.scheduler
        scheduler.spawn("cluster", self._run_cluster(), self.outside)
        scheduler.spawn("driver", self.driver.run(), self.outside)
        # Not in each seed: what they ask for shortens the batches in which other bugs hide.
        self.asker.done, self.clearer.done = self.seed % 2 == 0, self.seed % 4 != 1
        if not self.asker.done:
            scheduler.spawn("asker", self.asker.run(), self.outside)
        if not self.clearer.done:
            scheduler.spawn("clearer", self.clearer.run(), self.outside)
        for slot in self.disks:
            self.start(slot)
        extra = self.chance.randrange(600)
        while extra and scheduler.steps < TROUBLE_STEPS_MAX:
            scheduler.step()
            trouble()
            if self.driver.done:
                extra -= 1
        self._drain()
        self.network.counts["aborted"] = self.cluster.aborted
        self.network.counts["refused"] = self.cluster.refused

    def _drain(self) -> None:
        scheduler = self.scheduler
        scheduler.note("no more faults")
        self._calm = True
        self.network.calm()
        for process in list(self.paused):
            process.paused = False
            self.crash(process)
        for process in self.processes.values():
            if not process.leaving:
                process.wanted = {lane for lane, owner in self.assigned.items() if owner is process}
        limit = scheduler.steps + DRAIN_STEPS_MAX
        while scheduler.steps < limit:
            scheduler.step()
            if scheduler.steps % LOOK_EVERY == 0 and self._drained():
                return
        raise ViolationError("liveness", self._undrained() or "something is still deferred")

    def _drained(self) -> bool:
        """Tell whether nothing is left to do; let time pass if only time is missing."""
        if self._undrained():
            return False
        waits = []
        for lane, process in self.assigned.items():
            owner = process.owners[lane] if process is not None else None
            if owner is not None and owner.due_ms is not None:
                wall_ms = self.scheduler.now_ms + (process.skew_ms if process is not None else 0)
                waits.append(owner.due_ms - wall_ms)
        if waits:
            self._looks += 1
            # Ticks that failed are paused for a while of the lane's time, and that may stand still for hours.
            leap_ms = PATIENCE_LEAP_MS if self._looks % PATIENCE_LOOKS == 0 else min(waits)
            self.scheduler.now_ms += max(0, leap_ms)
        return not waits

    def _undrained(self) -> str:
        """Say what is left to do, nothing if nothing is."""
        if not (self.asker.done and self.clearer.done):
            return "directives are still to be asked for"
        if not self.driver.done:
            return "the driver waits until its tenants are set up"
        if self.cluster.pending() or self.network.in_flight:
            return "requests or markers are under way"
        if any(transaction.commits is None for transaction in self.cluster.current.values()):
            return "a transaction is open"
        for lane, process in self.assigned.items():
            owner = process.owners.get(lane) if process is not None else None
            if owner is None:
                return f"lane {lane} has no owner"
            for topic in self.inputs:
                partition = self.cluster.partitions[topic, lane]
                if partition.read(owner.position.applied.get(topic, 0), 1)[0]:
                    return f"lane {lane} has not stepped all of {topic}"
        return ""


@contextmanager
def patched(profile: Profile) -> Iterator[None]:
    """Make limits small, so that a short run meets them."""
    with ExitStack() as stack:
        stack.enter_context(simulated_batches())
        stack.enter_context(patch("processors.lane.LOOPS_MAX", profile.loops_max))
        stack.enter_context(patch.object(queue, "RELEASES_MAX", profile.releases_max))
        stack.enter_context(patch.object(queue, "TENANTS_DUE_MAX", 3))
        stack.enter_context(patch("processors.directives.hop.RUNS_MAX", 3))
        stack.enter_context(patch("processors.directives.kinds.state.CLEARED_MAX", 2))
        yield
