"""A real Prometheus on a free port of loopback, with data of its own; and promtool beside it."""

import json
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tests.integration.pipeline import free_port

PROMETHEUS: Final = shutil.which("prometheus")
PROMTOOL: Final = shutil.which("promtool")
NEEDS: Final = "needs Debian's package prometheus, which brings promtool, too"
START_SECONDS_MAX: Final = 60.0
STOP_SECONDS_MAX: Final = 20.0
ASK_SECONDS_MAX: Final = 30.0
LOOK_SECONDS: Final = 0.1
SCRAPE_SECONDS: Final = 1


class PrometheusError(Exception):
    """It did not start, or refused a query; the message has its own words."""


@dataclass(frozen=True, slots=True)
class Prometheus:
    """One that runs."""

    url: str

    def ask(self, path: str, **parameters: str | float) -> Any:
        """Return the `data` of an answer of its HTTP API."""
        body = urllib.parse.urlencode(parameters).encode()
        request = urllib.request.Request(f"{self.url}/api/v1/{path}", data=body or None)  # noqa: S310  # loopback
        try:
            with urllib.request.urlopen(request, timeout=ASK_SECONDS_MAX) as answer:  # noqa: S310
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise PrometheusError(f"{parameters}: {error.read().decode(errors='replace')}") from error

    def now(self, expr: str) -> list[dict[str, Any]]:
        """Return the series of an expression as they are now, each with `metric` and `value`."""
        found: list[dict[str, Any]] = self.ask("query", query=expr)["result"]
        return found

    def over(self, expr: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """Return the series of an expression over a time, each with `metric` and `values`."""
        found: list[dict[str, Any]] = self.ask("query_range", query=expr, start=start, end=end, step=step)["result"]
        return found

    def families(self) -> frozenset[str]:
        """Return the names of all metrics that its targets tell of, those without a value as well.

        A counter is told without its `_total` in one format, and with it in the other.
        """
        names = self.ask("metadata")
        return frozenset({*names, *(f"{name}_total" for name in names)})

    def targets(self) -> dict[str, str]:
        """Return the health of each target by its job."""
        with urllib.request.urlopen(f"{self.url}/api/v1/targets", timeout=ASK_SECONDS_MAX) as answer:  # noqa: S310
            active = json.load(answer)["data"]["activeTargets"]
        return {each["labels"]["job"]: each["health"] for each in active}


@contextmanager
def running(
    folder: Path, targets: Mapping[str, Iterable[str]], *, rules: Iterable[Path] = (), flags: Iterable[str] = ()
) -> Iterator[Prometheus]:
    """Run one that scrapes these targets (`host:port` by job) each second."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "evaluation_interval": f"{SCRAPE_SECONDS}s"},
        "rule_files": [str(path) for path in rules],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": list(addresses)}]} for job, addresses in targets.items()
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    port = free_port()
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                PROMETHEUS or "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--enable-feature=exemplar-storage",
                *flags,
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield _ready(Prometheus(f"http://127.0.0.1:{port}"), process, folder / "prometheus.log")
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(STOP_SECONDS_MAX)


def _ready(prometheus: Prometheus, process: "subprocess.Popen[bytes]", log: Path) -> Prometheus:
    deadline, pause = time.monotonic() + START_SECONDS_MAX, threading.Event()
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{prometheus.url}/-/ready", timeout=ASK_SECONDS_MAX):  # noqa: S310
                return prometheus
        except OSError:
            pause.wait(LOOK_SECONDS)
    raise PrometheusError(f"Prometheus did not get ready:\n{log.read_text(encoding='utf-8')[-2_000:]}")
