"""A real gateway process beside a pipeline's workers."""

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.integration.pipeline import Pipeline, free_port, until

STOP_SECONDS_MAX: Final = 30.0


@dataclass(frozen=True, slots=True)
class GatewayProcess:
    """One gateway."""

    process: "subprocess.Popen[bytes]"
    url: str
    log: Path

    async def ready(self) -> None:
        """Wait until it takes requests."""
        await until(self._is_ready, lambda: f"the gateway did not get ready:\n{self.log.read_text()[-4_000:]}")

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:  # noqa: S310  # loopback
                return int(answer.status) == 200
        except OSError:
            return False

    def stop(self) -> None:
        """Ask it to stop, and wait."""
        self.process.terminate()
        self.process.wait(STOP_SECONDS_MAX)


@contextmanager
def gateway(pipe: Pipeline, **more: str) -> Iterator[GatewayProcess]:
    """Start a gateway with a pipeline's settings and more; it ends with the context."""
    port = free_port()
    settings = {
        "KAFKA": pipe.kafka,
        "TOPIC_PREFIX": pipe.prefix,
        "DATA_DIR": str(pipe.data_dir),
        "LANES": str(pipe.lanes),
        "GATEWAY_PORT": str(port),
        **pipe.more,
        **more,
    }
    kept = {k: v for k, v in os.environ.items() if not k.startswith("HOPLINE_")}
    log = pipe.data_dir / f"gateway-{port}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "streams.gateway"],
            env={**kept, **{f"HOPLINE_{name}": value for name, value in settings.items()}},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        yield GatewayProcess(process, f"http://127.0.0.1:{port}", log)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(STOP_SECONDS_MAX)
