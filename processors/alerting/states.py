"""An alert as it stands, and what became of it: what the judge gives, and what goes to topics and channels."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Final

from processors.alerting.rule import Severity

_ID_BYTES: Final = 10


class State(StrEnum):
    """Where an alert stands. One that nobody has heard of is cleared."""

    PENDING = "pending"
    """Its condition holds, but not for long enough."""
    FIRING = "firing"
    CLEARED = "cleared"


@dataclass(frozen=True, slots=True)
class Alert:
    """One series of one rule that is too much, or was."""

    id: str
    """The same for the same rule and labels, in every process and after a restart."""
    alert: str
    severity: Severity
    state: State
    labels: Mapping[str, str]
    value: float
    threshold: float | None
    since_ms: int
    """When the condition began to hold."""
    summary: str
    description: str
    runbook: str


@dataclass(frozen=True, slots=True)
class Change:
    """An alert went from one state to another."""

    alert: Alert
    """As it is after the change."""
    before: State
    after: State
    at_ms: int
    told: bool
    """Whether people are to hear of it: not of what is pending, and not of the same again within its cooldown.

    From firing to firing: it was raised within its cooldown and not told then; now that is over, and it still fires.
    """


def alert_id(alert: str, labels: Mapping[str, str]) -> str:
    """Return what an alert is known by."""
    named = json.dumps([alert, sorted(labels.items())], ensure_ascii=False, separators=(",", ":"))
    return blake2b(named.encode("utf-8", "surrogatepass"), digest_size=_ID_BYTES).hexdigest()
