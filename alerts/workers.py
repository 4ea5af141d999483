"""The workers as processes: whether they are there, move lanes about, have room, and write checkpoints."""

from typing import Final

from alerts.expressions import ahead
from processors.alerting.rule import Compare, Rule, Severity, Threshold
from processors.telemetry import catalogue as metrics

UP: Final = "up"
"""Prometheus' own: 1 for each process that it reads, 0 for one that does not answer. The watch keeps the same."""

RULES: Final = (
    Rule(
        name="WorkerDown",
        signal=f'{UP}{{job="worker"}}',
        threshold=Threshold(1, "short", most=1),
        compare=Compare.BELOW,
        severity=Severity.CRITICAL,
        summary="A worker does not answer, and did not leave as it should.",
        description="The worker {{ $labels.instance }} does not answer.",
        runbook="workers.md#workerdown",
        for_seconds=60,
        window_seconds=0,
    ),
    Rule(
        name="NoWorkers",
        # A rule on `up` alone falls silent with the last worker that is known.
        signal=f'absent({UP}{{job="worker"}} == 1)',
        threshold=None,
        severity=Severity.CRITICAL,
        summary="There is no worker at all: nothing is stepped.",
        description="No worker has answered for a minute.",
        runbook="workers.md#noworkers",
        for_seconds=60,
        window_seconds=0,
    ),
    Rule(
        name="Rebalancing",
        signal=f"max by (instance) (increase({metrics.REBALANCES.name}[10m]))",
        threshold=Threshold(3, "short", most=1_000),
        severity=Severity.WARNING,
        summary="Lanes move between workers again and again.",
        description="The worker {{ $labels.instance }} was given lanes {{ $value }} times within ten minutes.",
        runbook="workers.md#rebalancing",
        window_seconds=600,
    ),
    Rule(
        name="TakeoversFailing",
        signal=f'sum by (instance) (increase({metrics.TAKEOVERS.name}{{outcome!="taken"}}[5m]))',
        threshold=Threshold(3, "short", most=1_000),
        severity=Severity.WARNING,
        summary="A worker does not get the lanes that it was given.",
        description="The worker {{ $labels.instance }} failed {{ $value }} times within five minutes to take a lane.",
        runbook="workers.md#takeoversfailing",
    ),
    Rule(
        name="RestoreStuck",
        # The most of all workers: one that gave the lane away may keep its last word.
        signal=f"max by (lane) ({metrics.RESTORE_PROGRESS.name})",
        threshold=Threshold(1, "percentunit", most=1),
        compare=Compare.BELOW,
        severity=Severity.WARNING,
        summary="A lane's state has been restored for long, and is not done.",
        description="A share of {{ $value }} of the changelog of lane {{ $labels.lane }} has been read.",
        runbook="workers.md#restorestuck",
        for_seconds=600,
        window_seconds=0,
    ),
    Rule(
        name="EventLoopLate",
        signal=f"max by (instance) ({metrics.LOOP_LAG.name})",
        threshold=Threshold(1, "s", least=0.01, most=60),
        severity=Severity.WARNING,
        summary="Something holds up a process's event loop, and with it all its lanes.",
        description="The event loop of {{ $labels.instance }} is {{ $value }} s late.",
        runbook="slow.md#eventlooplate",
        for_seconds=60,
        window_seconds=0,
    ),
    Rule(
        name="BackupOld",
        signal=f"max({metrics.BACKUP_AGE.name})",
        threshold=Threshold(172_800, "s", least=1, most=2_592_000),
        severity=Severity.WARNING,
        summary="A lane's newest checkpoint is old.",
        description="The oldest lane's newest checkpoint was written {{ $value }} s ago.",
        runbook="disk.md#backupold",
        window_seconds=0,
    ),
    Rule(
        name="DiskLow",
        signal=f"min by (instance) ({metrics.DISK_FREE.name})",
        threshold=Threshold(2e9, "bytes", most=1e15),
        compare=Compare.BELOW,
        severity=Severity.CRITICAL,
        summary="The disk of a worker's state is nearly full.",
        description="{{ $value }} bytes are left where {{ $labels.instance }} keeps its state.",
        runbook="disk.md#disklow",
        for_seconds=60,
        window_seconds=0,
    ),
    Rule(
        name="DiskFullSoon",
        signal=ahead(metrics.DISK_FREE.name, by="instance", worst="min"),
        threshold=Threshold(0, "bytes", most=1e15),
        compare=Compare.BELOW,
        severity=Severity.WARNING,
        summary="The disk of a worker's state will be full within two hours.",
        description="At this slope {{ $value }} bytes are left in two hours where {{ $labels.instance }} keeps its "
        "state.",
        runbook="disk.md#diskfullsoon",
        for_seconds=600,
        keep_seconds=120,
        window_seconds=1_800,
    ),
)
