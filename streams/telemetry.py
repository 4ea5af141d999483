"""Turn what the lanes did into metrics, events and spans. The work goes on whatever happens here."""

import logging
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import nlargest
from operator import itemgetter
from typing import Final, Protocol

from processors.directives import kinds
from processors.directives.record import Status
from processors.lane import Commit, ledger_mismatches
from processors.step import Outcome
from processors.telemetry import catalogue, events
from processors.telemetry.event import Event, Told, told
from processors.telemetry.tenants import ActiveTenants
from processors.vocabulary import topics
from processors.vocabulary.reasons import Reason
from streams.clock import wall_ms
from streams.lanes.ports import Took
from streams.metrics import Metrics
from streams.tracing import Tracer

log = logging.getLogger(__name__)

RANK_SECONDS: Final = 60.0
"""How often it is looked which tenants have a label: one that changes breaks its curves."""
COUNT_EVERY: Final = 16
"""Of so many commits one is looked at to see who is active."""
COUNTED_MAX: Final = 64
"""Tenants of one commit that are looked at, the most active ones."""
_DEFERRED: Final = Outcome.DEFERRED.value
_SUCCESSES: Final = {
    "requested": events.DIRECTIVE_REQUESTED,
    "running": events.DIRECTIVE_RUNNING,
    "succeeded": events.DIRECTIVE_SUCCEEDED,
    "cancelled": events.DIRECTIVE_CANCELLED,
}


class Tells(Protocol):
    """Takes events, in no time and without a fail."""

    def tell(self, one: Told) -> None:
        """Tell it all."""

    def sample(self, event: Event, make: Callable[[], Told]) -> None:
        """Tell it if few of its kind were told lately; it is made only then."""


class Silence:
    """Nobody listens."""

    def tell(self, one: Told) -> None:
        """See `Tells`."""

    def sample(self, event: Event, make: Callable[[], Told]) -> None:
        """See `Tells`."""


class TenantLabels:
    """The most active tenants have a label of their own, the rest share one: labels are bounded."""

    def __init__(self, forget: Callable[[frozenset[str]], None], most: int = catalogue.TENANTS_MAX) -> None:
        self._most = most
        self._active = ActiveTenants(most)
        self._forget = forget
        self._commits = 0
        self._ranked_seconds = -RANK_SECONDS

    def named(self, tenants: Mapping[str, int]) -> dict[str, int]:
        """Return those that have a label; looks at no more of them than there are labels."""
        return {tenant: tenants[tenant] for tenant in self._active.named if tenant in tenants}

    def look(self, commit: Commit, now_seconds: float) -> None:
        """Now and then see who is active. As long as there is room for more, more often."""
        handled = [tenants for (_, outcome), tenants in commit.tally.items() if outcome is Outcome.HANDLED and tenants]
        if not handled and not commit.dead:
            return
        self._commits += 1
        if self._commits % COUNT_EVERY and len(self._active.named) >= self._most:
            return
        ended = _by_tenant(handled, commit.dead)
        self._active.count(dict(nlargest(COUNTED_MAX, ended.items(), key=itemgetter(1))))
        if now_seconds - self._ranked_seconds >= RANK_SECONDS or len(self._active.named) < self._most:
            self._ranked_seconds = now_seconds
            gone = self._active.rank()
            if gone:
                self._forget(gone)


def _by_tenant(
    handled: Iterable[Mapping[str, int]], dead: Mapping[tuple[str, str, Reason, str], Sequence[int]]
) -> dict[str, int]:
    """Return how many records of each tenant ended: one of which all are set aside must have a label, too.

    A name that is no tenant's gets none: strangers could take all labels with names that they make up.
    """
    found: dict[str, int] = {}
    for tenants in handled:
        for tenant, by in tenants.items():
            found[tenant] = found.get(tenant, 0) + by
    for (_, tenant, reason, _), (count, *_) in dead.items():
        if tenant and reason is not Reason.UNKNOWN_TENANT:
            found[tenant] = found.get(tenant, 0) + count
    return found


class LaneObserver:
    """See `streams.lanes.owner.Observer`."""

    def __init__(
        self,
        metrics: Metrics,
        tracer: Tracer | None = None,
        tells: Tells | None = None,
        *,
        slow_seconds: float = 5.0,
    ) -> None:
        self._tracer = tracer
        self._tells: Tells = tells or Silence()
        self._slow_seconds = slow_seconds
        self._tenants = TenantLabels(self._forget)
        self._signals = metrics.counter(catalogue.SIGNALS)
        self._inputs = metrics.counter(catalogue.HOP_INPUT)
        self._overflow = metrics.counter(catalogue.TENANTS_OVERFLOW)
        self._dead = metrics.counter(catalogue.DEAD_LETTERS)
        self._slow = metrics.counter(catalogue.SLOW)
        self._directives = metrics.counter(catalogue.DIRECTIVES)
        for kind in kinds.BY_NAME:
            # Shown as 0 from the start: an alert asks whether there is one more.
            self._directives.of(kind, Status.FAILED.value)
        self._late = metrics.histogram(catalogue.TIMER_LATENESS)
        self._deferred = metrics.gauge(catalogue.DEFERRED)
        self._waiting = metrics.gauge(catalogue.DIRECTIVES_WAITING)
        self._hop_duration = metrics.histogram(catalogue.HOP_DURATION)
        self._commit_duration = metrics.histogram(catalogue.COMMIT_DURATION).of()
        self._batch = metrics.histogram(catalogue.BATCH)
        self._end_to_end = metrics.histogram(catalogue.END_TO_END)
        self._queue_wait = metrics.histogram(catalogue.QUEUE_WAIT)
        self._failures = metrics.counter(catalogue.HOP_FAILURES)
        self._errors = metrics.counter(catalogue.HOP_ERRORS)
        self._mismatch = metrics.gauge(catalogue.LEDGER_MISMATCH)
        self._restore = metrics.gauge(catalogue.RESTORE_PROGRESS)
        self._dropped = metrics.counter(catalogue.TELEMETRY_DROPPED)

    def restored(self, lane: int, done: int, end: int) -> None:
        """See `Observer.restored`."""
        self._safely(lambda: self._restore.of(str(lane)).set(done / end if end else 1.0))

    def began(self, lane: int, records: Mapping[str, int]) -> None:
        """See `Observer.began`."""
        if records:
            self._safely(lambda: self._sample_start(lane, records))

    def failed(self, lane: int, hop: str, hop_error: BaseException) -> None:
        """See `Observer.failed`."""
        self._safely(lambda: self._count_failure(lane, hop, hop_error))

    def committed(self, lane: int, commit: Commit, took: Took) -> None:
        """See `Observer.committed`."""
        self._safely(lambda: self._count(lane, commit, took))

    def left(self, lane: int) -> None:
        """Show no more of a lane that others have now."""
        self._safely(lambda: self._forget_lane(str(lane)))

    def _safely(self, tell: Callable[[], None]) -> None:
        try:
            tell()
        except Exception:  # boundary: telemetry must never stop a hop
            self._dropped.of().inc()
            log.exception("telemetry failed")

    def _forget(self, tenants: frozenset[str]) -> None:
        for hop, tenant, outcome in list(self._signals.children):
            if tenant in tenants:
                self._signals.forget(hop, tenant, outcome)

    def _forget_lane(self, lane: str) -> None:
        for family in (self._deferred, self._waiting, self._mismatch, self._restore):
            for labels in [labels for labels in family.children if labels[-1] == lane]:
                family.forget(*labels)

    def _count_failure(self, lane: int, hop: str, hop_error: BaseException) -> None:
        self._failures.of(str(lane)).inc()
        self._errors.of(hop).inc()
        if self._tracer is not None:
            self._tracer.raised(lane, hop_error, hop=hop, at_ms=time.time() * 1_000)
        error = {"error": f"{type(hop_error).__name__}"}
        self._tells.tell(told(events.HOP_EXCEPTION, wall_ms(), {}, error, hop=hop, lane=lane))

    def _count(self, lane: int, commit: Commit, took: Took) -> None:
        now_ms = time.time() * 1_000
        self._count_outcomes(lane, commit, now_ms)
        for hop, came in commit.came.items():
            if came:
                self._inputs.of(hop).inc(came)
                self._batch.of(hop).observe(came)
                self._hop_duration.of(hop).observe(took.hops_ms.get(hop, 0.0) / 1_000)
                self._sample_stop(lane, hop, came, took, int(now_ms))
        for hop, late_ms in commit.late_ms.items():
            self._late.of(hop).observe_many([late / 1_000 for late in late_ms])
        self._commit_duration.observe(took.committed_ms / 1_000)
        self._count_ages(lane, commit, took, now_ms)
        if self._tracer is not None:
            self._tracer.committed(lane, commit, took, now_ms)
        ledger = commit.position.ledger
        self._count_ledger(str(lane), ledger)

    def _count_outcomes(self, lane: int, commit: Commit, now_ms: float) -> None:
        self._tenants.look(commit, now_ms / 1_000)
        for (hop, outcome), tenants in commit.tally.items():
            if outcome is Outcome.DEFERRED and (waits := sum(by for by in tenants.values() if by > 0)):
                self._sample(events.SIGNAL_DEFERRED, {"count": waits}, {}, hop, lane, int(now_ms))
            named = self._tenants.named(tenants)
            for tenant, by in named.items():
                # What is released from a queue was counted when it came in.
                self._signals.of(hop, tenant, outcome.value).inc(max(0, by))
            rest = sum(tenants.values()) - sum(named.values())
            if rest > 0:
                self._signals.of(hop, catalogue.OTHER_TENANTS, outcome.value).inc(rest)
                self._overflow.of(hop).inc(rest)
        for (hop, _, reason, _), (count, *_) in commit.dead.items():
            self._dead.of(hop, reason.value).inc(count)
        for (kind, status), count in commit.ended.items():
            self._directives.of(kind, status).inc(count)
            if (event := _SUCCESSES.get(status)) is not None:
                self._sample(event, {"count": count}, {"kind": kind}, "directives", lane, int(now_ms))

    def _count_ages(self, lane: int, commit: Commit, took: Took, now_ms: float) -> None:
        """Count how long records took that were handled, from their entry into the log to now."""
        if not commit.handled_ms:
            return
        flow = "ingest"
        written_ms = sorted(commit.handled_ms)
        end_to_end = self._end_to_end.of(flow)
        end_to_end.observe_since(written_ms, now_ms)
        self._queue_wait.of(flow).observe_since(written_ms, now_ms - took.committed_ms - took.stepped_ms)
        for span in commit.spans:
            if span.topic == topics.SIGNALS_IN and not span.error:
                end_to_end.exemplify((now_ms - span.began_ms) / 1_000, span.trace_id, now_ms / 1_000)
        worst = (now_ms - written_ms[0]) / 1_000
        if worst > self._slow_seconds:
            slow = bisect_left(written_ms, now_ms - self._slow_seconds * 1_000)
            self._slow.of(flow).inc(slow)
            self._tells.tell(told(events.HOP_SLOW, int(now_ms), {"count": slow, "seconds": worst}, hop=flow, lane=lane))

    def _count_ledger(self, lane: str, ledger: Mapping[str, int]) -> None:
        mismatches = ledger_mismatches(ledger)
        for hop in {name.partition("/")[0] for name in ledger}:
            self._mismatch.of(hop, lane).set(mismatches.get(hop, 0))
        self._deferred.of(lane).set(ledger.get(f"ingest/{_DEFERRED}", 0))
        self._waiting.of(lane).set(ledger.get(f"directives/{_DEFERRED}", 0))

    def _sample_start(self, lane: int, records: Mapping[str, int]) -> None:
        count = {"records": sum(records.values())}
        self._sample(events.HOP_START, count, {}, "ingest", lane, wall_ms())

    def _sample_stop(self, lane: int, hop: str, came: int, took: Took, now_ms: int) -> None:
        seconds = took.hops_ms.get(hop, 0.0) / 1_000
        self._sample(events.HOP_STOP, {"seconds": seconds, "records": came}, {}, hop, lane, now_ms)

    def _sample(
        self, event: Event, measured: Mapping[str, float], said: Mapping[str, str], hop: str, lane: int, now_ms: int
    ) -> None:
        self._tells.sample(event, lambda: told(event, now_ms, measured, said, hop=hop, lane=lane))
