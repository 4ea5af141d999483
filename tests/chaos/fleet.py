"""The worker processes: started, asked, killed, stopped, woken and ended, each by its process id."""

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

import aiohttp

from tests.chaos.waiting import TooLateError, until

log = logging.getLogger(__name__)

ROOT: Final = Path(__file__).resolve().parents[2]
PORT_LOW: Final = 12_000
PORT_HIGH: Final = 19_999
PORT_ATTEMPTS_MAX: Final = 100
ANSWER_SECONDS_MAX: Final = 1.5
LEAVE_SECONDS_MAX: Final = 30.0
KILL_SECONDS_MAX: Final = 10.0
SUPERVISE_SECONDS: Final = 0.3
STARTING_SECONDS_MAX: Final = 15.0
"""A worker that ends within this because there is no broker is excused."""
PREFIX: Final = "HOPLINE_"


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What all workers of a run have in common."""

    bootstrap: str
    topic_prefix: str
    lanes: int
    session_timeout_ms: int
    folder: Path
    plant: str = ""
    """A planted bug to run with, by its name in `planted.py`."""

    @property
    def application(self) -> str:
        """The consumer group, and what transactional ids begin with."""
        return f"{self.topic_prefix}hopline"

    def transactional_id(self, lane: int) -> str:
        """Return the transactional id of a lane's owner."""
        return f"{self.application}-lane-{lane}"

    def environment(self, slot: int, port: int) -> dict[str, str]:
        """Return the environment of one worker. Settings of whoever runs this do not reach it."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        mine = {
            "KAFKA": self.bootstrap,
            "TOPIC_PREFIX": self.topic_prefix,
            "LANES": str(self.lanes),
            "SESSION_TIMEOUT_MS": str(self.session_timeout_ms),
            "DATA_DIR": str(self.folder / "workers"),
            "SLOT": str(slot),
            "WEB_PORT": str(port - slot),
        }
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
        return {**kept, **{PREFIX + name: value for name, value in mine.items()}, "PYTHONPATH": path}

    def command(self) -> Sequence[str]:
        """Return how a worker is started."""
        if self.plant:
            return [sys.executable, "-m", "tests.chaos.planted", self.plant]
        return [sys.executable, "-m", "streams.worker"]


@dataclass(slots=True, eq=False)
class Worker:
    """One worker process."""

    name: str
    slot: int
    port: int
    process: subprocess.Popen[bytes]
    started: float = field(default_factory=time.monotonic)
    leaving: bool = False
    """We have ended it or asked it to end: that it goes is no surprise."""
    frozen: bool = False
    answered: bool = False
    """Whether it ever did: before that, Python's own way to end on SIGTERM is good enough."""

    @property
    def alive(self) -> bool:
        """Whether the process is there, stopped or not."""
        return self.process.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to this very process."""
        if self.alive:
            self.process.send_signal(number)

    def freeze(self) -> None:
        """Stop it where it stands (SIGSTOP)."""
        self.frozen = True
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on (SIGCONT), unaware that it stood still."""
        self.frozen = False
        self.send(signal.SIGCONT)

    def kill(self) -> None:
        """`kill -9`, and wait until it is gone."""
        self.leaving = True
        self.send(signal.SIGKILL)
        self.process.wait(KILL_SECONDS_MAX)


@dataclass(slots=True)
class Fleet:
    """All workers that this run has started."""

    settings: WorkerSettings
    random: Random
    residents: int
    """Slots below this are to be there all the time; in the others guests come and go."""
    workers: list[Worker] = field(default_factory=list)
    ended_unasked: list[str] = field(default_factory=list)
    left_badly: list[str] = field(default_factory=list)
    """Asked to end in good order and had to be killed, or ended with another exit code than 0."""
    gave_up: list[str] = field(default_factory=list)
    """Ended because Kafka was away while they started, which is what a worker is to do."""
    away: list[tuple[float, float]] = field(default_factory=list)
    """From when to when there was no broker."""
    started: int = 0
    _http: aiohttp.ClientSession | None = None

    def start(self, slot: int) -> Worker:
        """Start a worker in a slot. Another one may hold the slot's store still, as a zombie does."""
        folder = self.settings.folder
        folder.mkdir(parents=True, exist_ok=True)
        self.started += 1
        port = self._free_port()
        name = f"worker-{self.started}-slot-{slot}"
        with (folder / f"{name}.log").open("wb") as said:
            process = subprocess.Popen(
                self.settings.command(),
                cwd=folder,
                env=self.settings.environment(slot, port),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        worker = Worker(name, slot, port, process)
        self.workers.append(worker)
        log.info("%s starts (process %d)", name, process.pid)
        return worker

    def _free_port(self) -> int:
        for _ in range(PORT_ATTEMPTS_MAX):
            port = self.random.randint(PORT_LOW, PORT_HIGH)
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
                return port
        raise TooLateError(f"no free port between {PORT_LOW} and {PORT_HIGH}")

    @property
    def present(self) -> list[Worker]:
        """The workers that are there and have not been asked to go."""
        return [worker for worker in self.workers if worker.alive and not worker.leaving]

    @property
    def resident(self) -> list[Worker]:
        """Those of them that are no guests."""
        return [worker for worker in self.present if worker.slot < self.residents]

    async def supervise(self) -> None:
        """Start residents anew that ended without having been asked; they are counted."""
        while True:
            for worker in [worker for worker in self.workers if not worker.alive]:
                self.workers.remove(worker)
                if not worker.leaving:
                    said = f"{worker.name} (exit code {worker.process.returncode})"
                    log.warning("%s ended by itself", said)
                    (self.gave_up if self._excused(worker) else self.ended_unasked).append(said)
                    if worker.slot < self.residents:
                        self.start(worker.slot)
            await asyncio.sleep(SUPERVISE_SECONDS)

    def _excused(self, worker: Worker) -> bool:
        until_ready = worker.started + STARTING_SECONDS_MAX
        return not worker.answered and any(worker.started < end and begin < until_ready for begin, end in self.away)

    async def _get(self, worker: Worker, page: str) -> tuple[int, bytes] | None:
        """Return a page of the worker's, None if it does not answer (yet)."""
        if self._http is None:
            self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS_MAX))
        try:
            async with self._http.get(f"http://127.0.0.1:{worker.port}/{page}") as response:
                worker.answered = True
                return response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    async def ready(self, worker: Worker) -> bool:
        """Whether the worker says that it has taken over all that is its."""
        found = None if worker.frozen else await self._get(worker, "readyz")
        return found is not None and found[0] == 200

    async def settled(self) -> bool:
        """Whether all residents are there and ready, and every lane has an owner."""
        if len({worker.slot for worker in self.resident}) < self.residents:
            return False
        if not all([await self.ready(worker) for worker in self.resident]):
            return False
        owned = {lane for worker in self.present for lane in await self.lanes(worker)}
        return len(owned) == self.settings.lanes

    async def lanes(self, worker: Worker) -> list[int]:
        """Return the lanes that the worker has taken over, as it says itself."""
        found = None if worker.frozen else await self._get(worker, "lanes")
        if found is None or found[0] != 200:
            return []
        said: Mapping[str, Mapping[str, Any]] = json.loads(found[1])
        return [int(lane) for lane, what in said.items() if what["taken"]]

    async def leave(self, worker: Worker) -> float:
        """Ask a worker to end in good order (SIGTERM); return how long that took."""
        if not worker.alive:
            return 0.0
        worker.leaving = True
        worker.send(signal.SIGTERM)

        async def gone() -> bool:
            return not worker.alive

        try:
            took = await until(gone, LEAVE_SECONDS_MAX, f"{worker.name} asked to end")
        except TooLateError:
            self.left_badly.append(f"{worker.name} (killed after {LEAVE_SECONDS_MAX:g} s)")
            worker.kill()
            return LEAVE_SECONDS_MAX
        young = worker.process.returncode == -signal.SIGTERM and not worker.answered
        if worker.process.returncode != 0 and not young:
            said = f"{worker.name} (exit code {worker.process.returncode})"
            (self.gave_up if self._excused(worker) else self.left_badly).append(said)
        return took

    async def close(self) -> None:
        """End whatever is left, each by its own process id."""
        for worker in self.workers:
            if worker.alive:
                worker.thaw()
                worker.kill()
            with suppress(subprocess.TimeoutExpired):
                worker.process.wait(KILL_SECONDS_MAX)
        if self._http is not None:
            await self._http.close()
