"""Every topic as data: partitions, retention, compaction, limits. Names stand in the core's vocabulary."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from processors.formats import NEWEST
from processors.vocabulary import topics as names
from processors.vocabulary.limits import HEADER_BYTES_MAX, SIGNAL_BYTES_MAX

_DAY_MS: Final = 24 * 3_600_000
_INPUT_BYTES_MAX: Final = SIGNAL_BYTES_MAX + HEADER_BYTES_MAX + 16_384
_DEAD_BYTES_MAX: Final = 2 * _INPUT_BYTES_MAX
"""Above the input's, so that whatever came in can be set aside whole."""
_KEY_BYTES_MAX: Final = 65_536
JOURNAL_RETENTION_MS: Final = 7 * _DAY_MS
AUDIT_RETENTION_MS: Final = 400 * _DAY_MS
DELETE_RETENTION_MS: Final = 7 * _DAY_MS
"""A snapshot of local state older than half of this is thrown away: deleted keys would rise again."""

SOON_GONE: Final = {
    "delete.retention.ms": "60000",
    "min.cleanable.dirty.ratio": "0.001",
    "max.compaction.lag.ms": "3600000",
    "segment.ms": "1000",
}
SOON_GONE_INTEGERS: Final = ("delete.retention.ms", "max.compaction.lag.ms", "segment.ms")
"""A segment is closed by the first record that comes a second after its own; only closed ones are cleaned."""


class Cleanup(StrEnum):
    """What Kafka does with old records."""

    DELETE = "delete"
    COMPACT = "compact"


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic. Every one has as many partitions as there are lanes."""

    name: str
    purpose: str
    cleanup: Cleanup
    retention_ms: int
    message_bytes_max: int
    format_version: int = NEWEST
    open_to_outside: bool = False
    soon_gone: bool = False
    """Compacted so eagerly that what was deleted does not stay."""

    def config(self, *, min_insync_replicas: int) -> dict[str, str]:
        """Return the topic's settings as Kafka names them."""
        settings = {
            "cleanup.policy": self.cleanup.value,
            "max.message.bytes": str(self.message_bytes_max),
            "min.insync.replicas": str(min_insync_replicas),
            "message.timestamp.type": "CreateTime",
        }
        if self.cleanup is Cleanup.COMPACT:
            settings["delete.retention.ms"] = str(DELETE_RETENTION_MS)
            settings["min.cleanable.dirty.ratio"] = "0.3"
            settings["segment.bytes"] = str(64 * 1_048_576)
            settings["retention.ms"] = "-1"
            if self.soon_gone:
                settings |= SOON_GONE
        else:
            settings["retention.ms"] = str(self.retention_ms)
        return settings


TOPICS: Final = (
    Topic(
        names.SIGNALS_IN,
        "what producers send; the only topic besides `commands` that others write",
        Cleanup.DELETE,
        7 * _DAY_MS,
        _INPUT_BYTES_MAX,
        open_to_outside=True,
    ),
    Topic(
        names.COMMANDS,
        "what people and programs ask of the pipeline itself",
        Cleanup.DELETE,
        7 * _DAY_MS,
        _INPUT_BYTES_MAX,
        open_to_outside=True,
    ),
    Topic(
        names.SIGNALS,
        "admitted signals, once each, enriched, in their tenant's order",
        Cleanup.DELETE,
        7 * _DAY_MS,
        _DEAD_BYTES_MAX,
    ),
    Topic(
        names.DIRECTIVES,
        "commands that came through the door, for the directives hop",
        Cleanup.DELETE,
        7 * _DAY_MS,
        _DEAD_BYTES_MAX,
    ),
    Topic(
        names.AUDIT,
        "who changed what of a tenant and when, each entry bound to the one before it",
        Cleanup.DELETE,
        AUDIT_RETENTION_MS,
        _DEAD_BYTES_MAX,
    ),
    Topic(
        names.EXPORTS,
        "tenants' state as they had it written down",
        Cleanup.DELETE,
        _DAY_MS,
        _DEAD_BYTES_MAX,
    ),
    Topic(
        names.DATA_KEYS,
        "tenants' data keys, each wrapped by the master key; what is destroyed is soon gone from the disks",
        Cleanup.COMPACT,
        -1,
        _INPUT_BYTES_MAX,
        soon_gone=True,
    ),
    Topic(
        names.ACCESS,
        "who may use the gateways and how much: keys, hashed, and limits, for every gateway to follow",
        Cleanup.COMPACT,
        -1,
        _KEY_BYTES_MAX,
    ),
    Topic(
        names.KEY_USE,
        "when each API key was last used, written by the gateways",
        Cleanup.COMPACT,
        -1,
        _KEY_BYTES_MAX,
    ),
    Topic(
        names.DEAD_LETTERS,
        "what could not be handled, whole, with the reason",
        Cleanup.DELETE,
        30 * _DAY_MS,
        _DEAD_BYTES_MAX,
    ),
    Topic(
        names.STATE,
        "the changelog of all lanes' state, with the offsets it reflects",
        Cleanup.COMPACT,
        -1,
        _DEAD_BYTES_MAX,
    ),
    Topic(
        names.JOURNAL,
        "what each commit stepped, in which order, at what time",
        Cleanup.DELETE,
        JOURNAL_RETENTION_MS,
        _INPUT_BYTES_MAX,
    ),
    Topic(
        names.REPLAYS,
        "how far each replay is, and which dead letters were redriven",
        Cleanup.COMPACT,
        -1,
        _INPUT_BYTES_MAX,
    ),
    Topic(
        names.TELEMETRY,
        "what the processes tell of their work: each failure, and of the rest a sample",
        Cleanup.DELETE,
        7 * _DAY_MS,
        _INPUT_BYTES_MAX,
    ),
    Topic(
        names.METRICS,
        "each process's metrics as they change: what charts and alerts are worked out from",
        Cleanup.DELETE,
        3 * _DAY_MS,
        _INPUT_BYTES_MAX,
    ),
    Topic(
        names.ALERTS,
        "each alert's changes, and what became of telling them",
        Cleanup.DELETE,
        90 * _DAY_MS,
        _INPUT_BYTES_MAX,
    ),
    Topic(
        names.ALERT_SETTINGS,
        "thresholds and silences as they are now, for every process to follow",
        Cleanup.COMPACT,
        -1,
        _KEY_BYTES_MAX,
    ),
)

INPUTS: Final = tuple(topic.name for topic in TOPICS if topic.open_to_outside)
MEMBERSHIP: Final = names.SIGNALS_IN
"""The topic whose assignment says which lanes a worker owns."""


@dataclass(frozen=True, slots=True)
class TopicNames:
    """Puts the operator's prefix before a topic's name, and takes it off."""

    prefix: str = ""

    def physical(self, name: str) -> str:
        """Return what the cluster calls a topic."""
        return self.prefix + name

    def logical(self, physical: str) -> str:
        """Return what Hopline calls a topic."""
        return physical.removeprefix(self.prefix)
