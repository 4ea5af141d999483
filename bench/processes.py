"""The processes that a benchmark starts: each with its log, each ended by its own id, whatever happens."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

ROOT: Final = Path(__file__).resolve().parent.parent
PEERS_PYTHON: Final = ROOT / ".venv-bench" / "bin" / "python"
PEERS_VARIABLE: Final = "HOPLINE_BENCH_PYTHON"
STOP_SECONDS_MAX: Final = 20.0
KILL_SECONDS_MAX: Final = 5.0
LAST_WORDS_BYTES: Final = 2_000


class ChildDiedError(Exception):
    """A process ended by itself; the message has its last words."""


class PeersMissingError(Exception):
    """The environment of the peers is not there."""


def peers_python() -> str:
    """Return the interpreter of the peers' environment."""
    found = os.environ.get(PEERS_VARIABLE) or str(PEERS_PYTHON)
    if not Path(found).exists():
        raise PeersMissingError(f"The peers are not installed ({found} is missing). Run `make bench-peers` once.")
    return found


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Child:
    """One process."""

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self.log = log
        self._out = log.with_suffix(".out")
        with log.open("wb") as errors, self._out.open("wb") as out:
            self._process = subprocess.Popen(  # noqa: S603 - our own modules
                command,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
            )

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self._process.pid

    def alive(self) -> bool:
        """Tell whether it still runs."""
        return self._process.poll() is None

    def check(self) -> None:
        """Raise if it has ended."""
        if not self.alive():
            raise ChildDiedError(f"{self.log.stem} ended by itself ({self._process.returncode}): {self.last_words()}")

    async def finished(self, seconds_max: float) -> str:
        """Wait until it ends by itself, and well; return what it wrote to its standard output."""
        code = await asyncio.to_thread(self._process.wait, seconds_max)
        if code:
            self.check()
        return self.said()

    def memory_bytes(self) -> int:
        """Return its resident memory, its children's included."""
        process = psutil.Process(self.pid)
        return int(sum(one.memory_info().rss for one in (process, *process.children(recursive=True))))

    def said(self) -> str:
        """Return what it wrote to its standard output."""
        return self._out.read_text(encoding="utf-8", errors="replace")

    def logged(self, text: str) -> bool:
        """Tell whether its log has this text."""
        return text.encode() in self.log.read_bytes()

    def last_words(self) -> str:
        """Return the end of its log."""
        return self.log.read_bytes()[-LAST_WORDS_BYTES:].decode(errors="replace")

    def stop(self, seconds_max: float = STOP_SECONDS_MAX) -> None:
        """End it in good order, or by force."""
        if not self.alive():
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(seconds_max)
        except subprocess.TimeoutExpired:
            self._process.kill()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(KILL_SECONDS_MAX)


class Children:
    """All processes of a run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._all: list[Child] = []

    def start(
        self,
        name: str,
        module: str,
        *arguments: str,
        python: str = sys.executable,
        environment: Mapping[str, str] | None = None,
    ) -> Child:
        """Start a Python module."""
        log = self._folder / f"{name}-{len(self._all)}.log"
        child = Child([python, "-m", module, *arguments], log, environment or {})
        self._all.append(child)
        return child

    def stop_all(self) -> None:
        """End all that still run; all are asked first, so that they end side by side."""
        running = [child for child in self._all if child.alive()]
        for child in running:
            with suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGTERM)
        until = time.monotonic() + STOP_SECONDS_MAX
        for child in running:
            child.stop(max(1.0, until - time.monotonic()))
