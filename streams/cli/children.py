"""Run programs as children: start, watch, start again when they die, stop within a bounded time.

A guarded child runs under `streams/broker/guard.py`: what it says goes to a bounded log file, and it ends when we do,
however we end. A plain child shares our terminal.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from streams.broker.explain import last_lines
from streams.cli.errors import MISUSED, CommandError
from streams.logs import for_people

STOP_SECONDS_MAX: Final = 20.0
KILL_SECONDS_MAX: Final = 10.0
"""How long the kernel may take to end what was killed."""
LOG_BYTES_MAX: Final = 8 * 1_048_576
BACKOFF_SECONDS_MIN: Final = 0.5
BACKOFF_SECONDS_MAX: Final = 10.0
STEADY_SECONDS: Final = 30.0
"""One that lived so long failed for a new reason: the waiting begins anew."""
FAILURES_MAX: Final = 8
"""Deaths in a row before it is given up."""
SPARE_SECONDS: Final = 60.0
"""How long one is left down that the others do without and that would be given up."""
_GUARD: Final = Path(__file__).parent.parent / "broker" / "guard.py"


@dataclass(frozen=True, slots=True)
class Program:
    """A program of Python's, by its arguments."""

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]


class Child(Protocol):
    """A process that was started."""

    pid: int

    async def wait(self) -> int:
        """Return its exit code once it has ended."""

    async def stop(self) -> None:
        """End it in good order, within a bounded time."""


class PlainChild:
    """A child that shares our terminal. In a session of its own, so that Ctrl-C reaches us alone."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    @classmethod
    async def start(cls, program: Program) -> "PlainChild":
        """Start the program."""
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable,
                *program.arguments,
                stdin=asyncio.subprocess.DEVNULL,
                env=dict(program.environment),
                start_new_session=True,
            )
        )

    async def wait(self) -> int:
        """See `Child.wait`."""
        return await self._process.wait()

    async def stop(self) -> None:
        """See `Child.stop`."""
        with suppress(ProcessLookupError):
            self._process.terminate()
        await _end_within(self._process, STOP_SECONDS_MAX)


class GuardedChild:
    """A child whose words go to a bounded log file, and which ends when we do."""

    def __init__(self, guard: asyncio.subprocess.Process, pid: int) -> None:
        self._guard = guard
        self.pid = pid

    @classmethod
    async def start(cls, program: Program, log: Path, lock: int) -> "GuardedChild":
        """Start the program. It inherits the lock, so that this is held as long as the program lives."""
        log.parent.mkdir(parents=True, exist_ok=True)
        numbers = (str(LOG_BYTES_MAX), str(STOP_SECONDS_MAX), str(lock))
        guard = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(_GUARD), str(log), *numbers, sys.executable, *program.arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=dict(program.environment),
            pass_fds=(lock,),
            start_new_session=True,
        )
        first = (await guard.stdout.readline()).strip() if guard.stdout else b""
        if not first.isdigit():
            await _end_within(guard, KILL_SECONDS_MAX)
            raise CommandError(f"{program.name} could not be started: {first.decode(errors='replace')}")
        return cls(guard, int(first))

    async def wait(self) -> int:
        """See `Child.wait`."""
        return await self._guard.wait()

    async def stop(self) -> None:
        """See `Child.stop`."""
        if self._guard.stdin is not None:
            # The guard ends the program when its input closes, and kills it if that takes too long.
            self._guard.stdin.close()
        await _end_within(self._guard, STOP_SECONDS_MAX + KILL_SECONDS_MAX)


async def _end_within(process: asyncio.subprocess.Process, seconds_max: float) -> None:
    try:
        async with asyncio.timeout(seconds_max):
            await process.wait()
    except TimeoutError:
        # It leads a session of its own: the group is it and what it started.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        async with asyncio.timeout(KILL_SECONDS_MAX):
            await process.wait()


class Keeper:
    """Keeps one program running until told to stop. One that `may_end` is done when it ends with code 0.

    One that is `spare` is never given up, for that ends all the others: what is wrong with it is said, and it is tried
    again now and then. Only settings that are wrong at its very first start are worth an end: somebody is looking.
    """

    def __init__(
        self,
        program: Program,
        start: Callable[[], Awaitable[Child]],
        *,
        tell: Callable[[str], None],
        log: Path | None = None,
        may_end: bool = False,
        spare: bool = False,
    ) -> None:
        self.program = program
        self._start = start
        self._may_end = may_end
        self._spare = spare
        self._log = log
        self._tell = tell
        self._child: Child | None = None
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The program's process id while it runs."""
        return None if self._child is None else self._child.pid

    def begin(self) -> None:
        """Start the program, and go on watching it."""
        self._task = asyncio.create_task(self._keep(), name=self.program.name)

    @property
    def task(self) -> "asyncio.Task[None]":
        """Ends when the keeper was stopped, or raises `CommandError` when it gave up."""
        if self._task is None:
            raise RuntimeError("begin() comes first")
        return self._task

    async def stop(self) -> None:
        """End the program and the watch."""
        self._stopping = True
        if self._child is not None:
            await self._child.stop()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def _keep(self) -> None:
        failures, wait_seconds = 0, BACKOFF_SECONDS_MIN
        first, said = True, False
        while True:
            began = time.monotonic()
            child = self._child = await self._start()
            if self._stopping:
                await child.stop()
            code = await child.wait()
            self._child = None
            if self._stopping or (code == 0 and self._may_end):
                return
            if time.monotonic() - began > STEADY_SECONDS:
                failures, wait_seconds, said = 0, BACKOFF_SECONDS_MIN, False
            failures += 1
            if code == MISUSED or failures >= FAILURES_MAX:
                if not self._spare or (code == MISUSED and first):
                    raise self._failure(code, failures)
                if not said:
                    said = True
                    self._tell(self._without(self._failure(code, failures)))
                await asyncio.sleep(SPARE_SECONDS)
            else:
                self._tell(f"{self.program.name} ended ({_how(code)}); it is started again in {wait_seconds:.1f} s")
                await asyncio.sleep(wait_seconds)
                wait_seconds = min(2 * wait_seconds, BACKOFF_SECONDS_MAX)
            first = False

    def _without(self, failure: CommandError) -> str:
        again = f"{self.program.name} is tried again every {SPARE_SECONDS:g} s, and all else goes on without it"
        return f"error: {failure.message}\n  do: mend what it says; {again}"

    def _failure(self, code: int, failures: int) -> CommandError:
        times = "" if failures == 1 else f" {failures} times in a row"
        what = f"{self.program.name} ended{times} ({_how(code)})"
        if self._log is None:
            return CommandError(what, "what it said stands above")
        return CommandError(
            f"{what}. The last lines of {self._log}:\n{for_people(last_lines(self._log))}", "see the log"
        )


def _how(code: int) -> str:
    # A guard tells a signal as shells do, a plain child as Python does.
    number = -code if code < 0 else code - 128
    with suppress(ValueError):
        return f"killed by {signal.Signals(number).name}"
    return f"exit code {code}"
