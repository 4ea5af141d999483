"""Run the command line as a user does: another process, a data directory of its own, no settings from outside."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from tests.integration.pipeline import free_port

SECONDS_MAX: Final = 110.0
LOOK_SECONDS: Final = 0.1
HOPLINE: Final = (sys.executable, "-m", "streams.cli.main")


def environment(data_dir: Path, **settings: str) -> dict[str, str]:
    """Return the environment of a user who has set these and nothing else."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HOPLINE_")}
    wanted = {"DATA_DIR": str(data_dir), "LANES": "2", "KAFKA_HEAP_MEGABYTES": "256", **settings}
    return {**kept, **{f"HOPLINE_{name}": value for name, value in wanted.items()}}


class CommandLine:
    """One user's terminal."""

    def __init__(self, data_dir: Path, **settings: str) -> None:
        self.data_dir = data_dir
        ports = {"GATEWAY_PORT": str(free_port()), "WEB_PORT": str(free_port())}
        self.environment = environment(data_dir, **{**ports, **settings})

    async def call(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        return await asyncio.to_thread(
            subprocess.run,
            [*HOPLINE, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )

    async def json(self, *arguments: str) -> Any:
        """Run a command that must succeed, and return what it prints as JSON."""
        done = await self.call(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def begin(self, *arguments: str) -> "Running":
        """Start a command that goes on."""
        log = self.data_dir.parent / f"{arguments[0]}-{time.monotonic_ns()}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [*HOPLINE, *arguments],
                env=self.environment,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return Running(process, log)


class Running:
    """A command that goes on until told to stop."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def said(self) -> str:
        """What it has printed so far."""
        return self._log.read_text(encoding="utf-8")

    async def until_said(self, text: str) -> None:
        """Wait until it has printed something."""
        await self._until(lambda: text in self.said, f"it never said {text!r}")

    async def stop(self, number: int = signal.SIGINT) -> int:
        """Ask it to stop; return its exit code."""
        self.process.send_signal(number)
        await self._until(lambda: self.process.poll() is not None, "it did not stop")
        return int(self.process.returncode)

    async def _until(self, condition: Any, complaint: str) -> None:
        deadline = time.monotonic() + SECONDS_MAX
        while not condition():
            if time.monotonic() > deadline or (self.process.poll() is not None and not condition()):
                raise TimeoutError(f"{complaint}:\n{self.said[-4_000:]}")
            await asyncio.sleep(LOOK_SECONDS)

    def end(self) -> None:
        """End it whatever it does; what it started ends with it."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(SECONDS_MAX)
