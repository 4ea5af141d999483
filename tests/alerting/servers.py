"""A real Prometheus and a real Alertmanager, from Debian's packages, on ports of their own."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from alerts import plain_yaml, prometheus
from alerts.alertmanager import GROUP_WAIT
from processors.telemetry import catalogue
from tests.alerting.program import Program, free_ports

PROGRAMS: Final = ("prometheus", "prometheus-alertmanager")
ANSWER_SECONDS_MAX: Final = 5.0


def missing() -> list[str]:
    """Return what is not installed."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


@dataclass(frozen=True, slots=True)
class Speed:
    """How often everything is looked at."""

    telemetry_seconds: float
    scrape_seconds: int
    group_wait: str
    """Alertmanager's; the built-in engine's channel has its own default where this is the default."""


FAST: Final = Speed(1, 1, "0s")
DEFAULTS: Final = Speed(2, 5, GROUP_WAIT)
"""What the settings and deploy/ have."""


class Servers:
    """Both of them, and their HTTP interfaces."""

    def __init__(self, folder: Path, speed: Speed, hook: str) -> None:
        self._folder = folder
        self._speed = speed
        port, alertmanager_port, cluster_port = free_ports(3)
        self.url = f"http://127.0.0.1:{port}"
        self._alertmanager = f"127.0.0.1:{alertmanager_port}"
        (folder / "hopline.rules.yml").write_text(prometheus.rules_file())
        self._dump("alertmanager.yml", _alertmanager(hook, speed))
        self.programs = (
            Program(
                "prometheus",
                [
                    "prometheus",
                    f"--config.file={folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={folder / 'prometheus'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                    "--web.enable-lifecycle",
                    "--log.level=warn",
                ],
                folder,
            ),
            Program(
                "alertmanager",
                [
                    "prometheus-alertmanager",
                    f"--config.file={folder / 'alertmanager.yml'}",
                    f"--storage.path={folder / 'alertmanager'}",
                    f"--web.listen-address={self._alertmanager}",
                    f"--cluster.listen-address=127.0.0.1:{cluster_port}",
                    "--log.level=warn",
                ],
                folder,
            ),
        )

    def _dump(self, name: str, content: Mapping[str, plain_yaml.Value]) -> None:
        (self._folder / name).write_text(plain_yaml.dump(content, head="Of one test run."))

    def configure(self, targets: Mapping[str, Sequence[int]], *, dropped: str = "") -> None:
        """Write what Prometheus reads: ports by job; the threshold of one alert can be dropped on its way."""
        drop: list[plain_yaml.Value] = [
            {
                "source_labels": ["__name__", "alert"],
                "regex": f"{catalogue.ALERT_THRESHOLD.name};{dropped}",
                "action": "drop",
            }
        ]

        def job(name: str, ports: Sequence[int]) -> dict[str, plain_yaml.Value]:
            scraped: dict[str, plain_yaml.Value] = {
                "job_name": name,
                "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in ports]}],
            }
            return {**scraped, "metric_relabel_configs": drop} if dropped else scraped

        seconds = f"{self._speed.scrape_seconds}s"
        alertmanagers: list[plain_yaml.Value] = [{"static_configs": [{"targets": [self._alertmanager]}]}]
        self._dump(
            "prometheus.yml",
            {
                "global": {"scrape_interval": seconds, "scrape_timeout": seconds, "evaluation_interval": seconds},
                "rule_files": ["hopline.rules.yml"],
                "alerting": {"alertmanagers": alertmanagers},
                "scrape_configs": [job(name, ports) for name, ports in targets.items()],
            },
        )

    async def reload(self, http: aiohttp.ClientSession) -> None:
        """Have Prometheus read its configuration anew."""
        async with http.post(f"{self.url}/-/reload") as answer:
            answer.raise_for_status()

    async def ready(self, http: aiohttp.ClientSession) -> bool:
        """Tell whether both answer."""
        try:
            for url in (self.url, f"http://{self._alertmanager}"):
                async with http.get(f"{url}/-/ready") as answer:
                    answer.raise_for_status()
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False
        return True

    async def alerts(self, http: aiohttp.ClientSession) -> list[Any]:
        """Return the alerts that wait or are raised."""
        async with http.get(f"{self.url}/api/v1/alerts") as answer:
            found: list[Any] = (await answer.json())["data"]["alerts"]
            return found

    async def value(self, http: aiohttp.ClientSession, query: str) -> float | None:
        """Return the one value that a query gives now."""
        async with http.get(f"{self.url}/api/v1/query", params={"query": query}) as answer:
            result = (await answer.json())["data"]["result"]
            return float(result[0]["value"][1]) if result else None


def _alertmanager(hook: str, speed: Speed) -> dict[str, plain_yaml.Value]:
    """Return a configuration that tells everything of each alert, and holds nothing back."""
    hooks: list[plain_yaml.Value] = [{"url": hook, "send_resolved": True}]
    return {
        "route": {
            "receiver": "hook",
            "group_by": ["..."],
            "group_wait": speed.group_wait,
            "group_interval": "1s",
            "repeat_interval": "1h",
        },
        "receivers": [{"name": "hook", "webhook_configs": hooks}],
    }
