"""A real gateway process beside a pipeline's workers."""

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.integration.pipeline import Pipeline, free_port, until
from tests.integration.processes import Beside, beside


@dataclass(frozen=True, slots=True)
class GatewayProcess:
    """One gateway."""

    process: Beside
    url: str

    async def ready(self) -> None:
        """Wait until it takes requests."""
        await until(self._is_ready, lambda: f"the gateway did not get ready:\n{self.process.said()[-4_000:]}")

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:  # noqa: S310  # loopback
                return int(answer.status) == 200
        except OSError:
            return False


@contextmanager
def gateway(pipe: Pipeline, **more: str) -> Iterator[GatewayProcess]:
    """Start a gateway with a pipeline's settings and more; it ends with the context."""
    port = free_port()
    with beside(pipe, "streams.gateway", f"gateway-{port}", GATEWAY_PORT=str(port), **more) as process:
        yield GatewayProcess(process, f"http://127.0.0.1:{port}")
