"""All tests of rules, gathered."""

from typing import Final

from alerts.series import (
    directives,
    gateway,
    history,
    ingest,
    ledger,
    outcomes,
    pipeline,
    slo,
    telemetry,
    watch,
    workers,
)
from alerts.series.case import Case

ALL: Final[tuple[Case, ...]] = (
    *pipeline.CASES,
    *outcomes.CASES,
    *slo.CASES,
    *ingest.CASES,
    *directives.CASES,
    *ledger.CASES,
    *workers.CASES,
    *gateway.CASES,
    *history.CASES,
    *watch.CASES,
    *telemetry.CASES,
)
UNCEASING: Final = frozenset({"Watchdog"})
"""Rules that are always raised: there are no series that do not raise them."""
