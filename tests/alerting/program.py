"""One process of a run: started with a log of its own, stopped, woken and ended by its process id."""

import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PREFIX: Final = "HOPLINE_"
END_SECONDS_MAX: Final = 20.0
KILL_SECONDS_MAX: Final = 10.0
LAST_LINES: Final = 8


@dataclass(slots=True)
class Program:
    """A process, and how to begin it again."""

    name: str
    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def log(self) -> Path:
        """What it says."""
        return self.folder / f"{self.name}.log"

    @property
    def alive(self) -> bool:
        """Whether it is there, stopped or not."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Begin it. Settings of whoever runs this do not reach it."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
        with self.log.open("ab") as said:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env={**kept, **self.environment, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def send(self, number: signal.Signals) -> None:
        """Send a signal to this very process."""
        if self.process is not None and self.alive:
            self.process.send_signal(number)

    def freeze(self) -> None:
        """Stop it where it stands."""
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.send(signal.SIGCONT)

    def kill(self) -> None:
        """`kill -9`, and wait until it is gone."""
        self.send(signal.SIGKILL)
        if self.process is not None:
            self.process.wait(KILL_SECONDS_MAX)

    def end(self) -> None:
        """End it in good order; one that does not is killed."""
        self.thaw()
        self.send(signal.SIGTERM)
        try:
            if self.process is not None:
                self.process.wait(END_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()

    def last_words(self) -> str:
        """Return the end of its log, for whoever must find out why."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(f"  {self.name}: {line}" for line in lines[-LAST_LINES:])


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on now."""
    held = []
    try:
        for _ in range(count):
            one = socket.socket()
            held.append(one)
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()
