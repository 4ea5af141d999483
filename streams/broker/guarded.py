"""One program under its guard (`guard.py`), seen from the process that asked for it."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, cast

from streams.broker.errors import BrokerError
from streams.broker.java import java_environment

LOG_BYTES_MAX: Final = 16 * 1024 * 1024
KILL_SECONDS_MAX: Final = 10
"""How long the kernel may take to end what was killed."""
_GUARD: Final = Path(__file__).with_name("guard.py")


class Guarded:
    """A running program. It ends with this process, however this process ends."""

    def __init__(self, command: Sequence[str], *, folder: Path, log: Path, stop_seconds_max: float, lock: int) -> None:
        self._stop_seconds_max = stop_seconds_max
        numbers = [str(LOG_BYTES_MAX), str(stop_seconds_max), str(lock)]
        self._guard = subprocess.Popen(  # noqa: S603  # the command is our caller's
            [sys.executable, "-I", "-S", str(_GUARD), str(log), *numbers, *command],
            cwd=folder,
            env=java_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(lock,),
            # A session of its own: the terminal's Ctrl-C is for us, and we decide what ends when.
            start_new_session=True,
        )
        with cast("IO[bytes]", self._guard.stdout) as said:
            first = said.readline().strip()
            if not first.isdigit():
                text = (first + b"\n" + said.read()).decode(errors="replace").strip()
                self.stop()
                raise BrokerError(f"{command[0]} could not be started: {text}")
        self.pid: Final = int(first)

    def exit_code(self, seconds_max: float = 0) -> int | None:
        """Return the program's exit code once it has ended, None if it has not within that time."""
        try:
            return self._guard.wait(seconds_max)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> None:
        """End the program in good order; kill it if it takes longer than it may."""
        # The guard takes the end of its input as the order to stop.
        with suppress(OSError):
            cast("IO[bytes]", self._guard.stdin).close()
        if self.exit_code(self._stop_seconds_max + KILL_SECONDS_MAX) is None:
            # The guard leads a session: the group is the two of them.
            with suppress(ProcessLookupError):
                os.killpg(self._guard.pid, signal.SIGKILL)
            self._guard.wait(KILL_SECONDS_MAX)

    def kill(self) -> None:
        """End the program as `kill -9` does, and return when it is gone."""
        if self.exit_code() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self._guard.wait(KILL_SECONDS_MAX)
        with suppress(OSError):
            cast("IO[bytes]", self._guard.stdin).close()
