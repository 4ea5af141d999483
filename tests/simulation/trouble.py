"""Make things go wrong, as the seed's profile says: what operators, machines and networks do to workers."""

from collections.abc import Callable
from typing import Final

from tests.simulation import faults
from tests.simulation.scheduler import sleep
from tests.simulation.workers import Process
from tests.simulation.world import World

SKEW_MS_MAX: Final = 6 * 3_600_000
HOUR_MS: Final = 3_600_000
MINUTE_MS: Final = 60_000
LEAPS_MS: Final = (
    *(1_000, 3_000, 20_000, 25_000, 40_000, 70_000),
    *(10 * MINUTE_MS, 25 * MINUTE_MS, 40 * MINUTE_MS, HOUR_MS, 30 * HOUR_MS),
)
NIGHT_MS: Final = 200 * HOUR_MS
"""Longer than tombstones are kept."""


class Trouble:
    """Makes faults happen as the profile says."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.kinds = [kind for kind, weight in world.profile.weights.items() if weight]
        self.weights = [world.profile.weights[kind] for kind in self.kinds]
        self._acts: dict[str, Callable[[], None]] = {
            faults.CRASH: self._crash,
            faults.PAUSE: self._pause,
            faults.MOVE: self._move,
            faults.LEAVE: self._leave,
            faults.BELIEF: self._believe,
            faults.CLOCK: self._set_clock,
            faults.LEAP: self._leap,
            faults.COMPACT: world.compact,
            faults.EXPIRE: self._expire,
            faults.NIGHT: self._long_absence,
        }

    def perhaps(self) -> None:
        """Do something bad now and then."""
        world = self.world
        if not self.kinds or world.chance.randrange(world.profile.every):
            return
        kind = world.chance.choices(self.kinds, self.weights)[0]
        self._acts[kind]()

    def _count(self, kind: str, detail: str = "") -> None:
        self.world.network.count(kind)
        self.world.scheduler.note(f"fault: {kind} {detail}")

    def _victim(self) -> Process | None:
        live = self.world.live()
        return self.world.chance.choice(live) if live else None

    def _crash(self) -> None:
        process = self._victim()
        if process is not None:
            self._count(faults.CRASH, process.name)
            self.world.crash(process)

    def _pause(self) -> None:
        """Stop a process as SIGSTOP does; later it goes on as if nothing had been."""
        process, world = self._victim(), self.world
        if process is None or len(world.paused) >= len(world.disks):
            return
        self._count(faults.PAUSE, process.name)
        process.paused = True
        world.paused.append(process)
        world.scheduler.spawn("resume", self._resume(process), world.outside)
        world.scheduler.spawn("session ends", world.session_ends(), world.outside)
        if world.chance.random() < world.profile.replaced:
            del world.processes[process.slot]
            world.scheduler.spawn("replace", world.restart(process.slot), world.outside)

    async def _resume(self, process: Process) -> None:
        world = self.world
        await sleep(world.chance.choice((500, 5_000, 20_000, 60_000)))
        if process not in world.paused:
            return
        world.paused.remove(process)
        process.paused = False
        world.scheduler.note(f"{process.name} goes on")
        for lane in sorted(process.wanted):
            if world.assigned[lane] is not process:
                world.scheduler.spawn(f"tell {process.name}", world.tell(process, lane), process)
        if world.processes.get(process.slot) is not process:
            world.scheduler.spawn("end zombie", self._end(process), world.outside)

    async def _end(self, process: Process) -> None:
        """A zombie whose slot has another process is ended some time later."""
        await sleep(self.world.chance.randrange(8_000))
        if process.alive:
            self.world.crash(process)

    def _move(self) -> None:
        lane = self.world.chance.randrange(self.world.profile.lanes)
        self._count(faults.MOVE, f"lane {lane}")
        self.world.assign(lane)

    def _leave(self) -> None:
        """Stop a process in good order: what is under way is finished first."""
        process, world = self._victim(), self.world
        if process is None:
            return
        self._count(faults.LEAVE, process.name)
        process.leaving = True
        process.wanted.clear()
        world.scheduler.spawn("leave", self._left(process), process)

    async def _left(self, process: Process) -> None:
        world = self.world
        while process.loops:
            await sleep(100)
        process.database.flush()
        process.alive = False
        world.scheduler.note(f"{process.name} has left")
        if world.processes.get(process.slot) is process:
            del world.processes[process.slot]
        world.assign()
        world.scheduler.spawn("restart", world.restart(process.slot), world.outside)

    def _believe(self) -> None:
        """Make a process believe that it owns a lane, for a while."""
        process, world = self._victim(), self.world
        lane = world.chance.randrange(world.profile.lanes)
        if process is not None and world.assigned[lane] is not process:
            self._count(faults.BELIEF, f"{process.name} lane {lane}")
            world.workers.believe(process, lane)
            world.scheduler.spawn(f"tell {process.name}", world.tell(process, lane), process)

    def _set_clock(self) -> None:
        process, chance = self._victim(), self.world.chance
        if process is not None:
            most = chance.choice((500, 60_000, SKEW_MS_MAX))
            process.skew_ms = chance.randrange(-most, most)
            self._count(faults.CLOCK, f"{process.name} {process.skew_ms}")

    def _leap(self) -> None:
        world = self.world
        leap_ms = world.chance.choice(LEAPS_MS)
        self._count(faults.LEAP, str(leap_ms))
        world.scheduler.now_ms += leap_ms

    def _long_absence(self) -> None:
        """Let so much time pass that tombstones are gone, then give lanes back to who had them long ago."""
        world = self.world
        self._count(faults.NIGHT)
        # A take-over or a commit does not last for days. If it did, tombstones could vanish meanwhile, and the local
        # copy would be stamped as fresh all the same.
        for process in [*world.processes.values(), *world.paused]:
            if process.alive and world.workers.busy(process):
                world.crash(process)
        world.compact()
        world.scheduler.now_ms += NIGHT_MS
        world.compact()
        for lane in range(world.profile.lanes):
            world.assign(lane)

    def _expire(self) -> None:
        self._count(faults.EXPIRE)
        self.world.cluster.offsets.clear()
