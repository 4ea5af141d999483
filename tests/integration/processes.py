"""Other processes beside a pipeline's workers: with its settings, logs in its folder, ended with the test."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tests.integration.pipeline import Pipeline

STOP_SECONDS_MAX: Final = 30.0


@dataclass(frozen=True, slots=True)
class Beside:
    """One process."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def said(self) -> str:
        """Return its log."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def stop(self) -> None:
        """Ask it to stop, and wait."""
        self.process.terminate()
        self.process.wait(STOP_SECONDS_MAX)


@contextmanager
def beside(
    pipe: Pipeline, module: str, name: str, environment: Mapping[str, str] = MappingProxyType({}), /, **more: str
) -> Iterator[Beside]:
    """Run a module with a pipeline's settings and more of them."""
    settings = {
        "KAFKA": pipe.kafka,
        "TOPIC_PREFIX": pipe.prefix,
        "DATA_DIR": str(pipe.data_dir),
        "LANES": str(pipe.lanes),
        **pipe.more,
        **more,
    }
    kept = {k: v for k, v in os.environ.items() if not k.startswith("HOPLINE_")}
    log = pipe.data_dir / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", module],
            env={**kept, **{f"HOPLINE_{name}": value for name, value in settings.items()}, **environment},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Beside(process, log)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(STOP_SECONDS_MAX)
