"""Lag and lanes: who owns what, what waits where, how takeovers go; the same seen from outside of the workers."""

from typing import Final

from dashboards import ask
from dashboards.row import Dashboard, Panel, Query, Section, Shape, Variable
from processors.telemetry import catalogue as metrics

_LANE: Final = 'lane=~"$lane"'
_TOPIC: Final = 'topic=~"$topic"'

_LAG: Final = (
    Panel(
        "Lag by lane",
        "Records that wait, by topic and lane. One lane alone: one tenant sends much, or a record is in the way.",
        (Query(ask.total(metrics.LAG_RECORDS, "topic", "lane", where=f"{_TOPIC},{_LANE}"), "{{topic}} lane {{lane}}"),),
        "short",
        runbook="lag.md",
    ),
    Panel(
        "Lag as the prober sees it",
        "The same, looked at from outside of the workers: true also when a worker hangs or is gone.",
        (
            Query(
                ask.worst(metrics.PROBE_LAG_RECORDS, "topic", "lane", where=f"{_TOPIC},{_LANE}"),
                "{{topic}} lane {{lane}}",
            ),
        ),
        "short",
        runbook="lag.md",
    ),
    Panel(
        "Oldest that waits",
        "Its age, as the workers see it and as the prober does.",
        (
            Query(ask.worst(metrics.LAG_SECONDS, "topic", where=_TOPIC), "{{topic}}"),
            Query(ask.worst(metrics.PROBE_LAG_SECONDS, "topic", where=_TOPIC), "{{topic}}, from outside"),
        ),
        "s",
        runbook="lag.md",
    ),
    Panel(
        "Applied",
        "Offsets that lanes have applied, per second, seen from outside. 0 while something waits is a hop that stands.",
        (Query(ask.per_second(metrics.PROBE_APPLIED, "topic", where=_TOPIC), "{{topic}}"),),
        "recps",
        runbook="lag.md",
    ),
)

_TRANSACTIONS: Final = (
    Panel(
        "Open transactions",
        "Records above the last stable offset: nobody can read them before their transaction ends.",
        (Query(ask.worst(metrics.PROBE_OPEN_RECORDS, "topic", where=f"{_TOPIC},{_LANE}"), "{{topic}}"),),
        "short",
        width=8,
        runbook="lag.md",
    ),
    Panel(
        "How long they are open",
        "How long a last stable offset has stood still below its high watermark. Minutes: a producer died.",
        (Query(ask.worst(metrics.PROBE_OPEN_SECONDS, "topic", where=_TOPIC), "{{topic}}"),),
        "s",
        width=8,
        runbook="lag.md",
    ),
    Panel(
        "Time of a commit",
        "One Kafka transaction: p50 and p99.",
        tuple(Query(ask.quantile(share, metrics.COMMIT_DURATION), f"p{share * 100:g}") for share in (0.5, 0.99)),
        "s",
        width=8,
        exemplars=True,
        runbook="lag.md",
    ),
)

_OWNERS: Final = (
    Panel(
        "Lanes of each worker",
        "How many lanes a worker owns. The sum is the number of lanes, or some have no owner just now.",
        (Query(ask.total(metrics.LANES_OWNED, "instance"), "{{instance}}"),),
        "short",
        width=8,
        stacked=True,
        runbook="lag.md",
    ),
    Panel(
        "Assignments",
        "How often lanes were assigned anew, in the last ten minutes. More than three: workers come and go.",
        (Query(f"sum by (instance) (increase({ask.series(metrics.REBALANCES)}[10m]))", "{{instance}}"),),
        "short",
        width=8,
        runbook="lag.md",
    ),
    Panel(
        "Takeovers",
        "Lanes taken over, in the last ten minutes, by how it went.",
        (Query(f"sum by (outcome) (increase({ask.series(metrics.TAKEOVERS)}[10m]))", "{{outcome}}"),),
        "short",
        width=8,
        stacked=True,
        runbook="lag.md",
    ),
    Panel(
        "Time to take a lane over",
        "From the wish to take a lane to its first fetch: the mean, and 99 in 100, since the beginning.",
        (
            Query(ask.mean_ever(metrics.TAKEOVER_DURATION), "mean"),
            Query(ask.quantile_ever(0.99, metrics.TAKEOVER_DURATION), "p99"),
        ),
        "s",
        width=8,
        runbook="lag.md",
    ),
    Panel(
        "Restored",
        "How much of the changelog a lane has read while it is taken over; 1 is all of it.",
        (Query(ask.least(metrics.RESTORE_PROGRESS, "lane", where=_LANE), "lane {{lane}}"),),
        "percentunit",
        Shape.BARS,
        width=8,
        runbook="lag.md",
    ),
    Panel(
        "State on disk",
        "Local state of each worker.",
        (Query(ask.total(metrics.STATE_BYTES, "instance"), "{{instance}}"),),
        "bytes",
        width=8,
    ),
)

_BOOKS: Final = (
    Panel(
        "Ledger",
        "Records in less records accounted for, by hop and lane. Anything but 0 is a bug.",
        (Query(ask.worst(metrics.LEDGER_MISMATCH, "hop", "lane", where=_LANE), "{{hop}} lane {{lane}}"),),
        "short",
        width=8,
        runbook="ledger.md",
    ),
    Panel(
        "Batches that failed",
        "Batches on which a hop raised or timed out, by lane, in the last ten minutes.",
        (Query(f"sum by (lane) (increase({ask.series(metrics.HOP_FAILURES, _LANE)}[10m]))", "lane {{lane}}"),),
        "short",
        width=8,
        runbook="dead-letters.md",
    ),
    Panel(
        "Newest checkpoint of the oldest lane",
        "Time since then. Above two days: checkpoints are not written any more.",
        (Query(ask.worst(metrics.BACKUP_AGE), "age"),),
        "s",
        width=8,
        runbook="lag.md",
    ),
)

DASHBOARD: Final = Dashboard(
    "lanes",
    "Hopline: lag and lanes",
    "Who owns which lanes, what waits where, how commits and takeovers go; the same seen from outside of the workers.",
    (
        Section("What waits", _LAG),
        Section("Transactions", _TRANSACTIONS),
        Section("Owners", _OWNERS),
        Section("Books", _BOOKS),
    ),
    (
        Variable("topic", "Topic", ask.series(metrics.LAG_RECORDS)),
        Variable("lane", "Lane", ask.series(metrics.LAG_RECORDS, _TOPIC)),
    ),
)
