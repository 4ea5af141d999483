"""An alert as data: what is compared with what, for how long, how grave, and what to read then."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Who is woken."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Rule:
    """One alert. `runbook` is the file under `docs/runbooks/`."""

    name: str
    query: str
    threshold: float
    for_seconds: int
    severity: Severity
    summary: str
    runbook: str
