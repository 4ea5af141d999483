"""Those who do the lane's work in turns: Hopline, its peers, and the ceiling, which only copies."""

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from typing_extensions import override

from bench import kafka as broker
from bench.harness import Ground, say
from bench.hopline import Hopline
from bench.load import Work, known, signals
from bench.peers.work import Task
from bench.preload import PRELOAD
from bench.processes import Child, peers_python
from bench.verify import Output, read_back
from bench.watch import Rate, rate, watch

GIVE_UP_SECONDS: Final = 120.0
"""Without any output for so long, a contender is stuck (Quix and by hand restore a million ids before their first)."""

QUICK_QUIET_SECONDS: Final = 0.5
STEPS_MIN: Final = 3
"""A rate over fewer commits says more about the interval between them."""


@dataclass(frozen=True, slots=True)
class Round:
    """What came of one contender's turn."""

    rate: Rate
    problems: dict[str, int]
    said: dict[str, Any]
    memory_bytes: int


class Contender(ABC):
    """Takes turns: is fed, started, watched from outside, stopped, and its output verified."""

    def __init__(self, name: str, work: Work, *, quiet_seconds: float, strict: bool = True) -> None:
        self.name = name
        self.work = work
        self.quiet_seconds = quiet_seconds
        self.strict = strict
        """Whether a wrong output makes the whole benchmark fail."""

    @abstractmethod
    async def prepare(self, ground: Ground) -> None:
        """Make topics, and let it know what it is to know. Untimed."""

    @abstractmethod
    def topics(self) -> tuple[str, str]:
        """Return where it reads and where it writes."""

    @abstractmethod
    def start(self, ground: Ground) -> Child:
        """Start its process."""

    async def turn(self, ground: Ground, number: int) -> Round:
        """Run one round."""
        source, sink = self.topics()
        lanes = self.work.lanes
        fresh: set[str] = set()
        await broker.fill(ground.kafka, source, self._feed(number, fresh))
        starts = await broker.stable_ends(ground.kafka, sink, lanes)
        child = self.start(ground)
        seen = await watch(
            ground.kafka,
            sink,
            starts,
            enough=len(fresh),
            quiet_seconds=self.quiet_seconds if not ground.options.quick else QUICK_QUIET_SECONDS,
            give_up_seconds=GIVE_UP_SECONDS,
            alive=child.alive,
        )
        child.check()
        memory = child.memory_bytes()
        await asyncio.to_thread(child.stop)
        ends = await broker.stable_ends(ground.kafka, sink, lanes)
        output = await read_back(ground.kafka, sink, starts, ends)
        await broker.drop(ground.kafka, sink, ends)
        await broker.drop(ground.kafka, source, await broker.stable_ends(ground.kafka, source, lanes))
        found = Round(rate(seen, output.offsets), self.judge(output, fresh), _said(child), memory)
        if found.rate.steps < STEPS_MIN and not ground.options.quick:
            raise RuntimeError(f"{self.name} committed too rarely for a rate ({found.rate}): give it more signals")
        wrong = f"  WRONG {found.problems}" if found.problems else ""
        say(f"{self.name:>12} round {number + 1}: {found.rate.per_second:>9,.0f} records/s{wrong}")
        return found

    def judge(self, output: Output, fresh: set[str]) -> dict[str, int]:
        """Return what is wrong with the output."""
        return output.problems(fresh)

    def _feed(self, number: int, fresh: set[str]) -> Iterator[broker.Keyed]:
        for fed in signals(self.work, f"r{number}"):
            if fed.fresh is not None:
                fresh.add(fed.fresh)
            yield fed.lane, fed.key, fed.value


def _said(child: Child) -> dict[str, Any]:
    """Return the peer's own report: the last line that is one."""
    for line in reversed(child.said().splitlines()):
        if line.startswith("{"):
            found: dict[str, Any] = json.loads(line)
            return found
    return {}


class Peer(Contender):
    """A peer: a module of `bench.peers` in the peers' environment."""

    def __init__(
        self,
        module: str,
        work: Work,
        *,
        quiet_seconds: float,
        strict: bool = True,
        tuned: bool = False,
        forgets: bool = False,
    ) -> None:
        super().__init__(f"{module}{'_tuned' if tuned else ''}", work, quiet_seconds=quiet_seconds, strict=strict)
        self._module = module
        self._tuned = tuned
        self._forgets = forgets
        """Whether each round is a new application: its state does not outlive its process."""
        self._task: Task | None = None
        self._rounds = 0

    @override
    async def prepare(self, ground: Ground) -> None:
        name = f"{ground.name}-{self.name}-{self._rounds}"
        folder = ground.folder / name
        folder.mkdir()
        self._task = Task(
            kafka=ground.kafka,
            source=f"{name}-in",
            sink=f"{name}-out",
            changelog=f"{name}-changelog",
            name=name,
            data_dir=str(folder),
            lanes=self.work.lanes,
            known=self.work.known,
            tenants=self.work.tenants,
            tuned=self._tuned,
        )
        await broker.make_topics(ground.kafka, [self._task.source, self._task.sink], self.work.lanes)
        await PRELOAD[self._module](ground.kafka, name, self._task.changelog, self._task.source, self.work)

    @override
    async def turn(self, ground: Ground, number: int) -> Round:
        if self._forgets and number != self._rounds:
            self._rounds = number
            await self.prepare(ground)
        return await super().turn(ground, number)

    @override
    def topics(self) -> tuple[str, str]:
        task = self._wanted()
        return task.source, task.sink

    @override
    def start(self, ground: Ground) -> Child:
        asked = json.dumps(asdict(self._wanted()))
        return ground.children.start(self.name, f"bench.peers.{self._module}", asked, python=peers_python())

    def _wanted(self) -> Task:
        if self._task is None:
            raise RuntimeError(f"{self.name} was not prepared")
        return self._task


class Ceiling(Peer):
    """Copies all, duplicates too."""

    @override
    def judge(self, output: Output, fresh: set[str]) -> dict[str, int]:
        copied = sum(map(len, output.offsets))
        missing = self.work.signals - copied + output.misplaced
        return {"missing": missing} if missing else {}


class Ours(Contender):
    """Hopline's own worker."""

    def __init__(self, work: Work, *, quiet_seconds: float, at_once: bool = False, name: str = "hopline") -> None:
        super().__init__(name, work, quiet_seconds=quiet_seconds)
        self._hopline: Hopline | None = None
        self._at_once = at_once
        """Whether the known ids come first in the only round, instead of before it."""

    @override
    async def prepare(self, ground: Ground) -> None:
        hopline = self._hopline = Hopline(ground, self.name, self.work.lanes)
        await hopline.make()
        if self._at_once:
            return
        say(f"{self.name} steps {self.work.known:,} signals whose ids it is to know")
        await broker.fill(ground.kafka, hopline.source, ((fed.lane, fed.key, fed.value) for fed in known(self.work)))
        child = self.start(ground)
        starts = [0] * self.work.lanes
        await watch(
            ground.kafka,
            hopline.sink,
            starts,
            enough=self.work.known,
            quiet_seconds=QUICK_QUIET_SECONDS if ground.options.quick else self.quiet_seconds,
            give_up_seconds=GIVE_UP_SECONDS,
            alive=child.alive,
        )
        child.check()
        await hopline.stop(child)
        for topic in (hopline.source, hopline.sink):
            await broker.drop(ground.kafka, topic, await broker.stable_ends(ground.kafka, topic, self.work.lanes))

    @override
    def topics(self) -> tuple[str, str]:
        hopline = self._installed()
        return hopline.source, hopline.sink

    @override
    def start(self, ground: Ground) -> Child:
        return self._installed().worker()

    @override
    def _feed(self, number: int, fresh: set[str]) -> Iterator[broker.Keyed]:
        if self._at_once:
            for fed in known(self.work):
                fresh.add(fed.fresh or "")
                yield fed.lane, fed.key, fed.value
        yield from super()._feed(number, fresh)

    def _installed(self) -> Hopline:
        if self._hopline is None:
            raise RuntimeError("Hopline was not prepared")
        return self._hopline
