"""What all benchmarks share: rounds, medians, ratios pair by pair, progress, the ground that a run stands on."""

import asyncio
import logging
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from bench.processes import Children
from streams.broker.config import BrokerSettings
from streams.broker.embedded import EmbeddedKafka

ROUNDS: Final = 5
FREE_BYTES_MIN: Final = 8 * 1_073_741_824
"""What a full run writes before it drops what it has read."""

Result = dict[str, Any]
"""What a benchmark prints: one JSON object."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for."""

    quick: bool = False
    """Small and once: shows that the benchmark works, its figures mean nothing."""
    kafka: str = ""
    """An existing cluster; empty: an embedded one, made for the run."""
    keep: bool = False
    """Leave the run's folder behind, with all logs."""
    rounds: int = 0
    """0: five, or one if quick."""

    @property
    def count(self) -> int:
        """Return how many rounds to run."""
        return self.rounds or (1 if self.quick else ROUNDS)


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a run takes place: its broker, its folder, its name, its processes."""

    kafka: str
    folder: Path
    name: str
    children: Children
    options: Options


@asynccontextmanager
async def ground(options: Options) -> AsyncIterator[Ground]:
    """Make a folder and a broker; end every process and remove the folder whatever happens."""
    folder = Path(tempfile.mkdtemp(prefix="hopline-bench-"))
    children = Children(folder)
    broker: EmbeddedKafka | None = None
    done = False
    try:
        if not options.quick and (free := shutil.disk_usage(folder).free) < FREE_BYTES_MIN:
            raise SystemExit(
                f"{folder} has {free >> 30} GiB free; a full run needs {FREE_BYTES_MIN >> 30}: set TMPDIR."
            )
        address = options.kafka
        if not address:
            say("starting Kafka")
            broker = EmbeddedKafka(BrokerSettings(folder / "kafka"))
            address = await asyncio.to_thread(broker.start)
        yield Ground(address, folder, f"bench-{int(time.time())}", children, options)
        done = True
    finally:
        await asyncio.to_thread(children.stop_all)
        if broker is not None:
            await asyncio.to_thread(broker.stop)
        if options.keep or not done:
            say(f"logs: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


_PROGRESS: Final = logging.getLogger("bench")


_PROGRESS.setLevel(logging.INFO)
# It warns of each topic that was made a moment ago, and of each retry.
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def silence() -> None:
    """Report no progress."""
    _PROGRESS.setLevel(logging.CRITICAL)


def say(text: str) -> None:
    """Report progress, away from the result."""
    if _PROGRESS.isEnabledFor(logging.INFO):
        print(text, file=sys.stderr, flush=True)


def spread(values: Sequence[float], digits: int = 3) -> dict[str, float]:
    """Return the median, and what it lies between."""
    return {
        "median": round(statistics.median(values), digits),
        "min": round(min(values), digits),
        "max": round(max(values), digits),
    }


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Return ours over theirs, pair by pair: what disturbed a round disturbed both."""
    return [our / their for our, their in zip(ours, theirs, strict=True)]


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which that share of the sorted values lies."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def machine() -> Result:
    """Return what the figures were taken on."""
    return {
        "cores": psutil.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "python": sys.version.split()[0],
        "load_average": [round(value, 2) for value in psutil.getloadavg()],
    }
