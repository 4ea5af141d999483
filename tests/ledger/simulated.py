"""The ledger check beside a simulated run: it reads the simulation's topics as they grow, in any order."""

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from processors.ledger import Books, Finding
from processors.ledger.books import OWN, TOPICS
from processors.ledger.inputs import DOOR
from processors.position import POSITION_KEY, unpack
from processors.vocabulary import topics
from tests.simulation.log import Partition, Stored
from tests.simulation.scheduler import ProcessDiedError
from tests.simulation.trouble import Trouble
from tests.simulation.world import World, patched

READ_MAX: Final = 40
EVERY: Final = 6
ROUNDS_MAX: Final = 400


@dataclass(slots=True)
class Checker:
    """Feeds the books as a consumer would that is now ahead in one partition and now in another."""

    world: World
    chance: random.Random
    live: bool = True
    """Reads the state as it was written; else as the cleaner has left it."""
    books: Books = field(init=False)
    read: dict[tuple[str, int], int] = field(default_factory=dict)
    looks: int = 0

    def __post_init__(self) -> None:
        self.books = Books(self.world.profile.lanes)
        self.read = dict.fromkeys(self._places(), 0)
        for lane in range(self.world.profile.lanes):
            self.books.begin(lane, None)

    def _places(self) -> list[tuple[str, int]]:
        return [(topic, lane) for topic in TOPICS for lane in range(self.world.profile.lanes)]

    def perhaps(self) -> None:
        """Read a little somewhere, or look, now and then."""
        if self.chance.randrange(EVERY):
            return
        for place in self.chance.sample(self._places(), 6):
            self._advance(place)
        if self.chance.random() < 0.5:
            self.look()

    def _advance(self, place: tuple[str, int], limit: int | None = None) -> None:
        topic, lane = place
        if topic in DOOR and self.read[place] >= self.books.wanted(topic, lane):
            return
        partition = self.world.cluster.partitions[place]
        most = limit or self.chance.randrange(1, READ_MAX)
        start = self.read[place]
        records, self.read[place] = _archived(partition, start, most) if self.live else partition.read(start, most)
        self.books.take(topic, lane, records)

    def look(self) -> None:
        """Ask where all ends, and judge."""
        self.looks += 1
        lanes = range(self.world.profile.lanes) if self.live else ()
        ends = {place: self.world.cluster.partitions[place].next_offset for place in self._places()}
        self.books.look(ends, dict(self.read), lanes)

    def jump(self) -> None:
        """Begin anew with what comes, as one that was too far behind."""
        for lane in range(self.world.profile.lanes):
            self.books.restart(lane)
            applied = self._applied(lane)
            for topic in OWN:
                self.read[topic, lane] = self.world.cluster.partitions[topic, lane].next_offset
            for topic in (*DOOR, topics.DIRECTIVES):
                place = (topic, lane)
                self.read[place] = min(applied.get(topic, 0), self.world.cluster.partitions[place].next_offset)

    def _applied(self, lane: int) -> dict[str, int]:
        records = self.world.cluster.partitions[topics.STATE, lane].committed()
        found = [record for record in records if record.key == POSITION_KEY]
        return dict(unpack(found[-1].value or b"").applied) if found else {}

    def finish(self) -> list[Finding]:
        """Read all that is left, and return everything that was found."""
        for _ in range(ROUNDS_MAX):
            before = dict(self.read)
            for place in self._places():
                self._advance(place, limit=1_000)
            self.look()
            if before == self.read:
                break
        # Moves that became known with the last look are judged with the next ones.
        self.look()
        self.look()
        return self.books.drain()


def _archived(partition: Partition, start: int, limit: int) -> tuple[Sequence[Stored], int]:
    """Return committed records as they were written, whatever the cleaner has taken since."""
    end, at = partition.stable, start
    found: list[Stored] = []
    while at < end and len(found) < limit:
        record = partition.archive[at]
        if record.committed:
            found.append(record)
        at += 1
    return found, at


@dataclass(frozen=True, slots=True)
class Shown:
    """What one seed showed."""

    seed: int
    found: list[Finding]
    judged: int
    skipped: int
    commits: int
    failed: str = ""
    """What the simulation itself ended with, if a bug was planted."""


def run(seed: int, *, live: bool = True, jumps: bool = False) -> Shown:
    """Run one seed with the check beside it."""
    world = World(seed)
    chance = random.Random(f"ledger {seed}")
    checker = Checker(world, chance, live)
    trouble, failed = Trouble(world), ""
    jump_at = chance.randrange(200, 2_000) if jumps else 0

    def beside() -> None:
        nonlocal jump_at
        trouble.perhaps()
        checker.perhaps()
        if jump_at and world.scheduler.steps >= jump_at:
            jump_at = 0
            checker.jump()

    logging.disable(logging.CRITICAL)
    try:
        with patched(world.profile):
            world.run(beside)
    except (Exception, ProcessDiedError) as error:  # boundary: with a bug planted the simulation may end in any way
        failed = f"{type(error).__name__}: {error}"
    finally:
        logging.disable(logging.NOTSET)
        for task in world.scheduler.tasks:
            task.work.close()
    found = checker.finish()
    commits = sum(
        len(world.cluster.partitions[topics.JOURNAL, lane].committed()) for lane in range(world.profile.lanes)
    )
    return Shown(seed, found, checker.books.judged, checker.books.skipped, commits, failed)
