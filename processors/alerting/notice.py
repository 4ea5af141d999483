"""What is told: an alert as it is from one moment on, which channel it goes to, how fast, and a notice of several."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

from processors.alerting.rule import Severity
from processors.alerting.settings import matches

ALERT: Final = "alert"
"""In `group_by`: the alert's name. All else there are names of labels."""


class What(StrEnum):
    """What is told of an alert."""

    RAISED = "raised"
    REPEATED = "repeated"
    RESOLVED = "resolved"


class News(msgspec.Struct, frozen=True):
    """How an alert is, from one moment on."""

    id: str
    alert: str
    severity: Severity
    labels: dict[str, str]
    value: float | None
    threshold: float | None
    firing: bool
    since_ms: int
    """When it was raised."""
    at_ms: int
    """When it became what it is."""
    summary: str
    description: str
    runbook: str = ""
    cooldown_ms: int = 0

    @property
    def tenant(self) -> str:
        """Whose it is; empty for what belongs to no tenant."""
        return self.labels.get("tenant", "")


@dataclass(frozen=True, slots=True)
class Route:
    """Which alerts go to a channel."""

    severities: frozenset[Severity] = frozenset(Severity)
    alerts: tuple[str, ...] = ("*",)
    """Names, or beginnings of names with `*` behind them."""
    tenants: frozenset[str] = frozenset()
    """Empty: all, and what belongs to none."""

    def takes(self, news: News) -> bool:
        """Tell whether an alert goes to this channel."""
        if news.severity not in self.severities or (self.tenants and news.tenant not in self.tenants):
            return False
        return any(matches(pattern, news.alert) for pattern in self.alerts)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a channel is told."""

    group_by: tuple[str, ...] = (ALERT, "tenant")
    group_wait_ms: int = 2_000
    group_interval_ms: int = 30_000
    repeat_ms: int = 4 * 3_600_000
    """After which one that still fires is told again; 0: never."""
    retry_ms_min: int = 1_000
    retry_ms_max: int = 300_000
    attempts_max: int = 60
    """With the waits above that is a little over four hours."""
    tells_resolved: bool = True
    heeds_silences: bool = True
    """Not for a channel that has silences of its own and is told of ours."""


class Entry(msgspec.Struct, frozen=True):
    """One alert of a notice."""

    what: What
    news: News


class Notice(msgspec.Struct, frozen=True):
    """What a channel is told at once: alerts of one group."""

    id: str
    """The same for the same content, when it is tried again, too: a receiver tells by it what it has had already."""
    group: tuple[str, ...]
    entries: tuple[Entry, ...]
    attempt: int = 1
    test: bool = False
