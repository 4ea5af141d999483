"""Every metric, declared once: name, kind, labels, buckets, and what it says."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

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


def _counter(name: str, text: str, *labels: str) -> Metric:
    return Metric(name, Kind.COUNTER, text, labels)


def _gauge(name: str, text: str, *labels: str) -> Metric:
    return Metric(name, Kind.GAUGE, text, labels)


def _histogram(name: str, text: str, *labels: str, buckets: tuple[float, ...] = LATENCY_SECONDS) -> Metric:
    return Metric(name, Kind.HISTOGRAM, text, labels, buckets)


SIGNALS: Final = _counter("hopline_signals_total", "Records that a hop ended, by outcome.", "hop", "tenant", "outcome")
HOP_INPUT: Final = _counter("hopline_hop_input_total", "Records that came to a hop.", "hop")
DEAD_LETTERS: Final = _counter("hopline_dead_letters_total", "Records set aside, by reason.", "hop", "reason")
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
GATEWAY_REQUESTS: Final = _counter("hopline_gateway_requests_total", "Requests at the gateway, by status.", "status")
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
BUILD: Final = _gauge("hopline_build_info", "Always 1; the labels tell the version.", "version")

METRICS: Final = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
