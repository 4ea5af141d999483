"""Drive coroutines one step at a time, the next one chosen by the seed. No event loop, no real time."""

import random
import zlib
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass, field
from types import coroutine
from typing import Any, Final, TypeAlias

Work: TypeAlias = Coroutine[Any, Any, None]

STEP_MS_MAX: Final = 6
"""How much simulated time one step takes at the most."""


class ProcessDiedError(BaseException):
    """The process that runs this coroutine dies here. Not an `Exception`: nothing may catch it."""


@coroutine
def switch() -> Generator[int, None, None]:
    """Let others run."""
    yield 0


@coroutine
def sleep(milliseconds: int) -> Generator[int, None, None]:
    """Let others run until that much simulated time has passed."""
    yield milliseconds


@dataclass(slots=True, eq=False)
class Task:
    """A coroutine under way. `home` is what it dies with and is paused with."""

    name: str
    work: Work
    home: "Home"
    wake_ms: int = 0


@dataclass(slots=True, eq=False)
class Home:
    """A process, or the cluster, or the driver: what runs tasks, and can be stopped."""

    name: str
    paused: bool = False


@dataclass(slots=True)
class Scheduler:
    """All tasks, the simulated time, and a digest of everything that was chosen."""

    chance: random.Random
    died: Callable[[Home], None]
    now_ms: int
    tasks: list[Task] = field(default_factory=list)
    steps: int = 0
    digest: int = 0
    trace: Callable[[str], None] | None = None

    def spawn(self, name: str, work: Work, home: Home) -> Task:
        """Add a task; it begins at some later step."""
        task = Task(name, work, home, self.now_ms)
        self.tasks.append(task)
        return task

    def end_home(self, home: Home) -> None:
        """Drop all tasks of a process between two of their steps."""
        gone = [task for task in self.tasks if task.home is home]
        self.tasks = [task for task in self.tasks if task.home is not home]
        for task in gone:
            task.work.close()

    def note(self, text: str) -> None:
        """Put a line into the trace, and into the digest of the run."""
        self.digest = zlib.crc32(text.encode(), self.digest)
        if self.trace is not None:
            self.trace(f"{self.steps:6d} {self.now_ms % 1_000_000_000:9d}  {text}")

    def step(self) -> None:
        """Run one task up to its next await."""
        self.steps += 1
        self.now_ms += self.chance.randrange(STEP_MS_MAX)
        now_ms = self.now_ms
        ready = [task for task in self.tasks if task.wake_ms <= now_ms and not task.home.paused]
        if not ready:
            awake = [task for task in self.tasks if not task.home.paused]
            if not awake:
                return
            # Everybody sleeps: so time passes.
            self.now_ms = now_ms = min(task.wake_ms for task in awake)
            ready = [task for task in awake if task.wake_ms <= now_ms]
        task = ready[self.chance.randrange(len(ready))]
        self.digest = zlib.crc32(task.name.encode(), self.digest ^ now_ms & 0xFFFFFFFF)
        try:
            wait_ms = task.work.send(None)
        except StopIteration:
            self.tasks.remove(task)
        except ProcessDiedError:
            self.tasks.remove(task)
            self.died(task.home)
        else:
            task.wake_ms = now_ms + wait_ms
