"""Find the cluster: the configured one, or the one that a running `hopline up` has left word of."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Final

from streams.settings import Settings

FILE: Final = "cluster.json"


class NoClusterError(Exception):
    """No cluster is configured and none is running here."""

    def __init__(self) -> None:
        super().__init__("no cluster is running here; start one with `make up`, or set HOPLINE_KAFKA=host:port")


@dataclass(frozen=True, slots=True)
class RunningCluster:
    """What `hopline up` started: where it is reached, and its processes."""

    bootstrap: str
    supervisor_pid: int
    broker_pid: int | None = None
    gateway_url: str = ""
    worker_urls: tuple[str, ...] = ()
    watch_url: str = ""
    pids: Mapping[str, int] = field(default_factory=dict)


def write(settings: Settings, cluster: RunningCluster) -> None:
    """Leave word, whole or not at all."""
    path = settings.data_dir / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(asdict(cluster), indent=2), encoding="utf-8")
    draft.replace(path)


def read(settings: Settings) -> RunningCluster | None:
    """Return what is running, None if nothing is or its word is stale."""
    try:
        found = json.loads((settings.data_dir / FILE).read_text(encoding="utf-8"))
        cluster = RunningCluster(**{**found, "worker_urls": tuple(found["worker_urls"])})
        os.kill(cluster.supervisor_pid, 0)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return cluster


def clear(settings: Settings) -> None:
    """Take the word back."""
    (settings.data_dir / FILE).unlink(missing_ok=True)


def bootstrap(settings: Settings) -> str:
    """Return the address of the cluster to use."""
    if settings.kafka:
        return settings.kafka
    running = read(settings)
    if running is None:
        raise NoClusterError
    return running.bootstrap
