"""Turn what the lanes did into metrics. The work goes on whatever happens here."""

import logging
import time
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Final

from processors.lane import Commit, ledger_mismatches
from processors.telemetry import catalogue
from streams.metrics import Metrics
from streams.tracing import Tracer

log = logging.getLogger(__name__)

_FLOW: Final = "ingest"


class TenantLabels:
    """The first tenants seen get a label of their own, the rest share one: labels are bounded."""

    def __init__(self, most: int = catalogue.TENANTS_MAX) -> None:
        self._most = most
        self._named: set[str] = set()

    def named(self, tenants: Mapping[str, int]) -> dict[str, int]:
        """Return those that have a label; looks at no more of them than there are labels."""
        if len(self._named) < self._most:
            fresh = (tenant for tenant in tenants if tenant and tenant not in self._named)
            self._named.update(islice(fresh, self._most - len(self._named)))
        return {tenant: tenants[tenant] for tenant in self._named if tenant in tenants}


class LaneObserver:
    """See `streams.lanes.owner.Observer`."""

    def __init__(self, metrics: Metrics, tracer: Tracer | None = None) -> None:
        self._tracer = tracer
        self._tenants = TenantLabels()
        self._signals = metrics.counter(catalogue.SIGNALS)
        self._inputs = metrics.counter(catalogue.HOP_INPUT)
        self._overflow = metrics.counter(catalogue.TENANTS_OVERFLOW)
        self._dead = metrics.counter(catalogue.DEAD_LETTERS)
        self._hop_duration = metrics.histogram(catalogue.HOP_DURATION)
        self._commit_duration = metrics.histogram(catalogue.COMMIT_DURATION)
        self._batch = metrics.histogram(catalogue.BATCH)
        self._end_to_end = metrics.histogram(catalogue.END_TO_END)
        self._queue_wait = metrics.histogram(catalogue.QUEUE_WAIT)
        self._failures = metrics.counter(catalogue.HOP_FAILURES)
        self._mismatch = metrics.gauge(catalogue.LEDGER_MISMATCH)
        self._restore = metrics.gauge(catalogue.RESTORE_PROGRESS)
        self._dropped = metrics.counter(catalogue.TELEMETRY_DROPPED)

    def restored(self, lane: int, done: int, end: int) -> None:
        """See `Observer.restored`."""
        self._safely(lambda: self._restore.of(str(lane)).set(done / end if end else 1.0))

    def failed(self, lane: int, hop_error: BaseException) -> None:
        """See `Observer.failed`."""
        log.debug("lane %d: %r", lane, hop_error)
        self._safely(lambda: self._failures.of(str(lane)).inc())

    def committed(self, lane: int, commit: Commit, *, stepped_ms: float, committed_ms: float) -> None:
        """See `Observer.committed`."""
        self._safely(lambda: self._count(lane, commit, stepped_ms, committed_ms))

    def _safely(self, tell: Callable[[], None]) -> None:
        try:
            tell()
        except Exception:  # boundary: telemetry must never stop a hop
            self._dropped.of().inc()
            log.exception("telemetry failed")

    def _count(self, lane: int, commit: Commit, stepped_ms: float, committed_ms: float) -> None:
        for (hop, outcome), tenants in commit.tally.items():
            named = self._tenants.named(tenants)
            for tenant, by in named.items():
                # What is released from a queue was counted when it came in.
                self._signals.of(hop, tenant, outcome.value).inc(max(0, by))
            rest = sum(tenants.values()) - sum(named.values())
            if rest > 0:
                self._signals.of(hop, catalogue.OTHER_TENANTS, outcome.value).inc(rest)
                self._overflow.of(hop).inc(rest)
        for reason, by in commit.reasons.items():
            self._dead.of(_FLOW, reason.value).inc(by)
        self._inputs.of(_FLOW).inc(commit.records)
        self._hop_duration.of(_FLOW).observe(stepped_ms / 1_000)
        self._commit_duration.of().observe(committed_ms / 1_000)
        self._batch.of(_FLOW).observe(commit.records)
        now_ms = time.time() * 1_000
        if commit.spans and self._tracer is not None:
            self._tracer.committed(commit.spans, ended_ms=int(now_ms))
        ages = [(now_ms - written) / 1_000 for written in commit.handled_ms]
        self._end_to_end.of(_FLOW).observe_many(ages)
        waited = (committed_ms + stepped_ms) / 1_000
        self._queue_wait.of(_FLOW).observe_many([age - waited for age in ages])
        mismatches = ledger_mismatches(commit.position.ledger)
        for hop in {name.partition("/")[0] for name in commit.position.ledger}:
            self._mismatch.of(hop, str(lane)).set(mismatches.get(hop, 0))
