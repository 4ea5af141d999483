"""Run a program and make sure that it ends with whoever asked for it. A script of its own, standard library only.

    python -I -S guard.py LOG LOG_BYTES_MAX STOP_SECONDS_MAX LOCK_FD PROGRAM ARGUMENT...

It writes the program's process id to its output, copies what the program says to LOG (at most LOG_BYTES_MAX, then the
file becomes LOG.1), and ends the program when its own standard input closes, when its parent dies, or on SIGTERM. The
program inherits the lock, so that it is held as long as anything of ours lives.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final

LOOK_SECONDS: Final = 1.0
"""How often the parent is looked for: its pipe may have been inherited by a process that outlives it."""
READ_BYTES: Final = 65_536
PR_SET_PDEATHSIG: Final = 1


class BoundedLog:
    """A file that starts anew at each start and whenever it is full; the one before it is kept as LOG.1."""

    def __init__(self, path: Path, bytes_max: int) -> None:
        self._path = path
        self._bytes_max = bytes_max
        self._rotate()

    def write(self, content: bytes) -> None:
        """Append; a disk that is full must not end the program that we watch."""
        try:
            if self._size + len(content) > self._bytes_max:
                self.close()
                self._rotate()
            self._size += self._stream.write(content)
        except OSError:
            return

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _rotate(self) -> None:
        if self._path.exists():
            self._path.replace(self._path.with_name(self._path.name + ".1"))
        self._stream = self._path.open("wb", buffering=0)
        self._size = 0


def _dies_with_us() -> Callable[[], None] | None:
    """Return what the child calls before it becomes the program: on Linux the kernel then ends it with us."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _listen() -> tuple[int, list[int]]:
    """Return a descriptor that becomes readable with each signal, and the list that the ending ones are added to."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    seen: list[int] = []

    def ends(number: int, _frame: FrameType | None) -> None:
        seen.append(number)

    def wakes(_number: int, _frame: FrameType | None) -> None:
        return

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, ends)
    signal.signal(signal.SIGCHLD, wakes)
    return reader, seen


class Guard:
    """The one program, from its start to its end."""

    def __init__(self, log: BoundedLog, stop_seconds_max: float, lock: int, command: list[str]) -> None:
        self._parent = os.getppid()
        self._signals, self._seen = _listen()
        self._log = log
        self._stop_seconds_max = stop_seconds_max
        # This process has one thread, so that what runs between fork and exec is safe.
        self._program = subprocess.Popen(  # noqa: S603  # the command is our caller's
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            pass_fds=(lock,),
            preexec_fn=_dies_with_us(),  # noqa: PLW1509
        )
        self._kill_at: float | None = None
        self._readable = {self._signals, 0, self._output}

    @property
    def pid(self) -> int:
        """The program's process id."""
        return self._program.pid

    @property
    def _output(self) -> int:
        return self._program.stdout.fileno() if self._program.stdout else -1

    def run(self) -> int:
        """Watch until the program has ended; return its exit code, 128 + signal when a signal ended it."""
        while self._program.poll() is None:
            ready, _, _ = select.select(self._readable, (), (), self._patience())
            if self._signals in ready:
                os.read(self._signals, READ_BYTES)
            if self._output in ready:
                self._copy()
            if 0 in ready and not os.read(0, READ_BYTES):
                self._readable.discard(0)
                self._stop()
            if self._seen or os.getppid() != self._parent:
                self._stop()
            if self._kill_at is not None and time.monotonic() >= self._kill_at:
                self._program.kill()
        while self._output in self._readable and select.select((self._output,), (), (), 0)[0]:
            self._copy()
        code = self._program.returncode
        return code if code >= 0 else 128 - code

    def _patience(self) -> float:
        if self._kill_at is None:
            return LOOK_SECONDS
        return min(LOOK_SECONDS, max(self._kill_at - time.monotonic(), 0.01))

    def _copy(self) -> None:
        content = os.read(self._output, READ_BYTES)
        if content:
            self._log.write(content)
        else:
            self._readable.discard(self._output)

    def _stop(self) -> None:
        if self._kill_at is None:
            self._kill_at = time.monotonic() + self._stop_seconds_max
            self._program.terminate()


def main(arguments: list[str]) -> int:
    """Run the program that the arguments name."""
    log, log_bytes_max, stop_seconds_max, lock, *command = arguments
    try:
        guard = Guard(BoundedLog(Path(log), int(log_bytes_max)), float(stop_seconds_max), int(lock), command)
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error}\n")
        return 127
    sys.stdout.write(f"{guard.pid}\n")
    sys.stdout.flush()
    return guard.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
