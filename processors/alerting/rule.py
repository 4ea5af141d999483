"""An alert as data: what is compared with what, for how long, how grave, and what to read then.

One definition, two engines: `alerts/prometheus.py` writes it as Prometheus' rules, the watch judges it itself.
"""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Who is woken."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class Compare(StrEnum):
    """When a signal is too much, or too little."""

    ABOVE = ">"
    AT_LEAST = ">="
    BELOW = "<"


@dataclass(frozen=True, slots=True)
class Threshold:
    """What a rule compares with, unless a directive has moved it."""

    default: float
    unit: str
    """As Grafana names units: `s`, `percentunit`, `short`."""
    least: float = 0
    most: float = 1e9
    """Between these a directive may move it."""
    per_tenant: bool = False
    """Whether a tenant can have one of its own; then the signal has the label `tenant`."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One alert. `runbook` is the file under `docs/runbooks/`."""

    name: str
    """CamelCase, at most 40 characters."""
    signal: str
    """PromQL. Each series that it gives can be an alert of its own; its labels tell them apart."""
    threshold: Threshold | None
    """None: the alert is raised for each series that the signal gives at all."""
    severity: Severity
    summary: str
    """Fixed text that ends in a period."""
    description: str
    """With Prometheus' templates for labels and the value: `{{ $labels.topic }}`, `{{ $value }}`."""
    runbook: str
    compare: Compare = Compare.ABOVE
    for_seconds: int = 0
    """How long the condition must hold."""
    keep_seconds: int = 0
    """How long it must be over before the alert is cleared."""
    cooldown_seconds: int = 0
    """After it was told, the same alert is not told again within this, though it cleared in between."""
    window_seconds: int = 300
    """How far back the signal looks: above two minutes, tests raise it by series instead of live."""

    @property
    def words(self) -> str:
        """The description as both engines render it: a value has six digits, not seventeen."""
        return self.description.replace("{{ $value }}", '{{ printf "%.6g" $value }}')
