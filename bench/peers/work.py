"""The lane's work, record by record, as each peer does it: decode, validate, name what dedupe knows it by, enrich."""

import contextlib
import importlib.metadata
import json
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

import orjson

Event: TypeAlias = dict[str, Any]
_REQUIRED = ("id", "source", "type", "tenantid")


@dataclass(frozen=True, slots=True)
class Task:
    """What the harness asks of a peer: the one argument on its command line, as JSON."""

    kafka: str
    source: str
    sink: str
    changelog: str
    """A changelog topic for peers that have no naming of their own."""
    name: str
    """Of the consumer group, the application, the transactional id."""
    data_dir: str
    lanes: int
    known: int
    """Ids that the peer is to know before it is timed."""
    tenants: int
    tuned: bool
    """Faust only: whether its settings are tuned for throughput, or left as they come."""


@dataclass(slots=True)
class Report:
    """What a peer says of itself; the harness measures from outside all the same."""

    records: int = 0
    commits: int = 0
    first: float | None = None
    last: float = 0.0
    notes: dict[str, str] = field(default_factory=dict)

    def consumed(self, count: int = 1) -> None:
        """Note that records came in."""
        if self.first is None:
            self.first = time.perf_counter()
        self.records += count

    def stepped(self) -> None:
        """Note that a record was dealt with, where the framework does not say when it commits."""
        self.last = time.perf_counter()

    def committed(self) -> None:
        """Note that a transaction was committed."""
        self.commits += 1
        self.last = time.perf_counter()

    def print(self, commit_interval: str, *packages: str) -> None:
        """Write the one line that the harness reads."""
        seconds = self.last - self.first if self.first is not None and self.last else 0.0
        said = {
            "records": self.records,
            "commits": self.commits or None,
            "seconds": round(seconds, 3),
            "commit_interval": commit_interval,
            "versions": {name: importlib.metadata.version(name) for name in packages},
            **self.notes,
        }
        print(json.dumps(said), flush=True)


def task() -> Task:
    """Return what the command line asks for."""
    return Task(**json.loads(sys.argv[1]))


def decode(value: bytes | None) -> Event | None:
    """Return a valid CloudEvent of a tenant, None for anything else."""
    try:
        event = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return None
    return event if isinstance(event, dict) and valid(event) else None


def valid(event: Event) -> bool:
    """Tell whether the required attributes are there and right."""
    if event.get("specversion") != "1.0":
        return False
    for name in _REQUIRED:
        found = event.get(name)
        if not isinstance(found, str) or not found:
            return False
    when = event.get("time")
    if when is not None:
        try:
            return datetime.fromisoformat(when).tzinfo is not None
        except (TypeError, ValueError):
            return False
    return True


def seen_as(event: Event) -> str:
    """Return what dedupe knows an event by within its tenant."""
    return f"{event['source']} {event['id']}"


def enrich(event: Event) -> Event:
    """Add what the next hop relies on."""
    event.setdefault("correlationid", event["id"])
    event.setdefault("priority", "normal")
    return event


def on_stop(stop: Callable[[], None]) -> None:
    """Call this once the harness asks the peer to end."""

    def handle(_number: int, _frame: object) -> None:
        with contextlib.suppress(RuntimeError):
            stop()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
