"""Every metric, declared once: name, kind, labels, buckets, and what it says."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from typing import Final

from processors import HOPS
from processors.vocabulary.reasons import Reason

LATENCY_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
BATCH_RECORDS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)
TENANTS_MAX: Final = 20
"""Tenants of a process that get a label of their own; the rest share `_other`."""
OTHER_TENANTS: Final = "_other"


class Kind(StrEnum):
    """What a metric is to Prometheus."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. Counters end in `_total`, units stand last and are base units."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    begins: tuple[tuple[str, ...], ...] = ()
    """Label values that are shown as 0 from the start: what is first seen as 1 has not increased for anybody."""


def _counter(name: str, text: str, *labels: str, begins: Iterable[tuple[str, ...]] = ()) -> Metric:
    return Metric(name, Kind.COUNTER, text, labels, begins=tuple(begins))


def _gauge(name: str, text: str, *labels: str) -> Metric:
    return Metric(name, Kind.GAUGE, text, labels)


def _histogram(name: str, text: str, *labels: str, buckets: tuple[float, ...] = LATENCY_SECONDS) -> Metric:
    return Metric(name, Kind.HISTOGRAM, text, labels, buckets)


SIGNALS: Final = _counter("hopline_signals_total", "Records that a hop ended, by outcome.", "hop", "tenant", "outcome")
HOP_INPUT: Final = _counter("hopline_hop_input_total", "Records that came to a hop.", "hop")
DEAD_LETTERS: Final = _counter(
    "hopline_dead_letters_total",
    "Records set aside, by reason.",
    "hop",
    "reason",
    begins=product(HOPS, map(str, Reason)),
)
TENANTS_OVERFLOW: Final = _counter(
    "hopline_tenants_overflow_total", "Records counted under `_other` for want of a tenant label.", "hop"
)
HOP_DURATION: Final = _histogram("hopline_hop_duration_seconds", "Time to step one batch.", "hop")
QUEUE_WAIT: Final = _histogram("hopline_queue_wait_seconds", "From a record's entry into the log to its step.", "hop")
END_TO_END: Final = _histogram(
    "hopline_end_to_end_seconds", "From a record's entry into the log to its commit.", "flow"
)
LAG_RECORDS: Final = _gauge("hopline_lag_records", "Last stable offset minus position.", "topic", "lane")
LAG_SECONDS: Final = _gauge(
    "hopline_lag_seconds", "Age of the oldest record that waits, the worst of this worker's lanes.", "topic"
)
WATERMARK_AGE: Final = _gauge(
    "hopline_watermark_age_seconds", "Time since the hop's last commit while records wait.", "hop"
)
INFLIGHT: Final = _gauge("hopline_inflight", "Batches between fetch and commit.", "hop")
BATCH: Final = _histogram("hopline_batch_records", "Records of a commit.", "hop", buckets=BATCH_RECORDS)
COMMIT_DURATION: Final = _histogram("hopline_commit_duration_seconds", "Time of one transaction.")
LOOP_LAG: Final = _gauge("hopline_event_loop_lag_seconds", "How late the event loop is.")
LANES_OWNED: Final = _gauge("hopline_lanes_owned", "Lanes that this worker owns.")
REBALANCES: Final = _counter("hopline_rebalances_total", "Assignments of lanes to this worker.")
TAKEOVERS: Final = _counter("hopline_takeovers_total", "Lanes taken over, by how it went.", "outcome")
TAKEOVER_DURATION: Final = _histogram("hopline_takeover_seconds", "From the wish to take a lane to its first fetch.")
HOP_FAILURES: Final = _counter("hopline_hop_failures_total", "Batches on which a hop raised or timed out.", "lane")
STATE_BYTES: Final = _gauge("hopline_state_bytes", "Local state on disk.")
DISK_FREE: Final = _gauge("hopline_disk_free_bytes", "Room that is left on the disk of the local state.")
RESTORE_PROGRESS: Final = _gauge("hopline_restore_progress_ratio", "How much of the changelog has been read.", "lane")
LEDGER_MISMATCH: Final = _gauge(
    "hopline_ledger_mismatch_records", "Records in less records accounted for.", "hop", "lane"
)
TELEMETRY_DROPPED: Final = _counter(
    "hopline_telemetry_dropped_total", "Times that telling failed while the work went on."
)
GATEWAY_EVENTS: Final = _counter(
    "hopline_gateway_events_total", "Events at the gateway, by what became of them.", "mode", "result"
)
GATEWAY_OFFERED: Final = _counter(
    "hopline_gateway_offered_total", "Events that came to the gateway; a batch refused as a whole is one.", "mode"
)
GATEWAY_REFUSED: Final = _counter("hopline_gateway_refused_total", "Events that the gateway refused, by why.", "reason")
GATEWAY_COOLING: Final = _gauge("hopline_gateway_cooling_callers", "Callers who must wait after invalid requests.")
GATEWAY_BUCKETS: Final = _gauge(
    "hopline_gateway_buckets", "Token buckets that are kept; those that are full go bit by bit."
)
GATEWAY_CUT: Final = _counter("hopline_gateway_cut_connections_total", "Connections cut because answers were not read.")
GATEWAY_REQUESTS: Final = _counter(
    "hopline_gateway_requests_total", "Requests at the gateway, by status.", "status", begins=(("500",), ("503",))
)
GATEWAY_DURATION: Final = _histogram("hopline_gateway_request_seconds", "From a request's head to its answer.")
GATEWAY_INFLIGHT: Final = _gauge("hopline_gateway_inflight", "Events that wait for Kafka.")
HISTORY_LAG: Final = _gauge("hopline_history_lag_seconds", "How far history is behind the topics.")
HISTORY_PROGRESS: Final = _gauge("hopline_history_progress_ratio", "How much of what the topics hold is in history.")
HISTORY_ROWS: Final = _counter("hopline_history_rows_total", "Rows written into history.")
HISTORY_FORGOTTEN: Final = _counter("hopline_history_forgotten_total", "Rows removed from history for their age.")
GATEWAY_DENIED: Final = _counter(
    "hopline_gateway_denied_total", "Requests and events denied for their key or their tenant.", "reason"
)
GATEWAY_KEYS: Final = _gauge("hopline_gateway_keys", "API keys that the gateway knows.")

# What each hop does, beside the above.
HOP_ERRORS: Final = _counter(
    "hopline_hop_errors_total", "Batches and records on which a hop raised.", "hop", begins=zip(HOPS)
)
SLOW: Final = _counter("hopline_slow_total", "Records that took longer than `slow_seconds`.", "hop")
DEFERRED: Final = _gauge("hopline_deferred_records", "Records that wait for their tenant's turn.", "lane")
DIRECTIVES: Final = _counter(
    "hopline_directives_total", "Directives by kind, and where they came to.", "kind", "status"
)
DIRECTIVES_WAITING: Final = _gauge("hopline_directives_waiting", "Directives that wait for their time.", "lane")
TIMER_LATENESS: Final = _histogram(
    "hopline_timer_lateness_seconds", "From when something was due to the tick that did it.", "hop"
)
AGENTS: Final = _gauge("hopline_agents", "Instances of the hops' agents, by state.", "hop", "state")

# The prober: seen from outside of the workers.
PROBE_LAG_RECORDS: Final = _gauge(
    "hopline_probe_lag_records", "Last stable offset minus what the lane has applied.", "topic", "lane"
)
PROBE_LAG_SECONDS: Final = _gauge(
    "hopline_probe_lag_seconds", "Age of the oldest record that no lane has applied yet.", "topic"
)
PROBE_APPLIED: Final = _counter("hopline_probe_applied_total", "Offsets that lanes have applied, as seen.", "topic")
PROBE_OPEN_RECORDS: Final = _gauge(
    "hopline_probe_open_records", "High watermark minus last stable offset: in open transactions.", "topic", "lane"
)
PROBE_OPEN_SECONDS: Final = _gauge(
    "hopline_probe_open_seconds", "How long a last stable offset has stood still below its high watermark.", "topic"
)
PROBE_AGE: Final = _gauge("hopline_probe_age_seconds", "Time since the prober last saw all of Kafka.")
PROBE_FAILURES: Final = _counter("hopline_probe_failures_total", "Looks at Kafka that failed.")
DEAD_LETTERS_WAITING: Final = _gauge(
    "hopline_dead_letters_waiting", "Dead letters of the last day that nobody has redriven."
)
DEAD_LETTER_OLDEST_AGE: Final = _gauge(
    "hopline_dead_letter_oldest_age_seconds", "Age of the oldest of those dead letters; 0 if there is none."
)
BACKUP_AGE: Final = _gauge("hopline_backup_age_seconds", "Time since the oldest lane's newest checkpoint.")

# The ledger as worked out from the topics alone.
LEDGER_CHECKED: Final = _gauge(
    "hopline_ledger_checked_mismatch_records", "What the topics hold less what the ledger says.", "hop", "lane"
)
LEDGER_COMMITS: Final = _counter("hopline_ledger_checked_commits_total", "Commits whose books were checked.")
LEDGER_BEHIND: Final = _gauge("hopline_ledger_checked_behind_records", "Records that the check has not read yet.")
LEDGER_SKIPPED: Final = _counter(
    "hopline_ledger_checked_skipped_total",
    "Commits left out, for the check was too far behind or something was missed.",
)
LEDGER_FINDINGS: Final = _counter("hopline_ledger_checked_findings_total", "What the check has found.", "fault")

# Telemetry about telemetry.
EVENTS: Final = _counter("hopline_telemetry_events_total", "Events told to the topic.", "event")
EVENTS_WAITING: Final = _gauge("hopline_telemetry_waiting", "Events and samples that wait for Kafka.")
SAMPLES: Final = _counter("hopline_telemetry_samples_total", "Values of metrics told to the topic.")
SERIES: Final = _gauge("hopline_telemetry_series", "Series that this process shows.")
SPANS: Final = _counter("hopline_spans_total", "Spans by what became of them.", "result")
WATCH_SERIES: Final = _gauge("hopline_watch_series", "Series that the watch keeps.")
WATCH_REFUSED: Final = _counter("hopline_watch_refused_series_total", "Series not kept for want of room.")
WATCH_BEHIND: Final = _gauge("hopline_watch_behind_seconds", "Age of the newest sample that the watch has taken in.")
WATCH_IN_CHARGE: Final = _gauge(
    "hopline_watch_in_charge", "1 for the watch that judges and tells, 0 for one that stands by."
)
WATCH_PART_FAILURES: Final = _counter(
    "hopline_watch_part_failures_total", "Times that a part of the watch failed.", "part"
)
WATCH_QUERIES: Final = _counter(
    "hopline_watch_queries_total", "Questions to the watch, by what became of them.", "result"
)

# Alerts.
ALERT_THRESHOLD: Final = _gauge(
    "hopline_alert_threshold",
    "What an alert compares with; tenant is empty for all who have none of their own.",
    "alert",
    "tenant",
)
ALERTS_FIRING: Final = _gauge("hopline_alerts_firing", "Alerts that are raised.", "alert", "severity")
ALERT_CHECKS: Final = _counter("hopline_alert_checks_total", "Times that all rules were judged.")
ALERT_CHECK_DURATION: Final = _histogram("hopline_alert_check_seconds", "Time to judge all rules.")
ALERT_CHECK_FAILURES: Final = _counter("hopline_alert_check_failures_total", "Rules that could not be judged.", "alert")
NOTIFICATIONS: Final = _counter(
    "hopline_notifications_total", "Alerts told to channels, by what became of it.", "channel", "result"
)
NOTIFICATIONS_WAITING: Final = _gauge("hopline_notifications_waiting", "Alerts that wait to be told.", "channel")
NOTIFICATION_DURATION: Final = _histogram(
    "hopline_notification_seconds", "From an alert's change to the channel's word that it has it.", "channel"
)
CHANNEL_UP: Final = _gauge("hopline_channel_up", "Whether the channel took what it was told last.", "channel")

# Handlers of events.
PURCHASES: Final = _counter("hopline_purchases_total", "Purchases that signals told of.", "tenant")
REVENUE: Final = _counter("hopline_revenue_total", "Money that signals told of, in whole units.", "tenant", "currency")
ERRORS_SEEN: Final = _counter("hopline_errors_seen_total", "Failures that events told of.", "event", "reason")
SLOW_SEEN: Final = _counter("hopline_slow_seen_total", "Work that events told of as slow.", "event")

BUILD: Final = _gauge("hopline_build_info", "Always 1; the labels tell the version.", "version")

METRICS: Final = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
