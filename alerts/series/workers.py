"""Series for the rules of `alerts/workers.py`."""

from typing import Final

from alerts.series.case import INSTANCE, Case, at, of, quiet
from alerts.workers import UP
from processors.telemetry import catalogue as metrics

_ME: Final = {"instance": INSTANCE}

CASES: Final = (
    Case(
        "WorkerDown",
        "one of two dies, and comes back",
        {of(UP): "1+0x3 0+0x12 1+0x10", of(UP, job="worker", instance="worker-1@a"): "1+0x30"},
        (at(90), at(100, "0", job="worker", instance=INSTANCE), at(160, "0", job="worker", instance=INSTANCE), at(170)),
    ),
    quiet("WorkerDown", "away for half a minute", {of(UP): "1+0x3 0+0x2 1+0x20"}, 60, 200),
    quiet("WorkerDown", "it left as it should", {of(UP): "1+0x5 stale"}, 60, 200),
    quiet("WorkerDown", "another process", {of(UP, job="gateway", instance="gateway@a"): "0+0x20"}, 100, 200),
    Case(
        "NoWorkers",
        "the last one leaves, and one comes",
        {of(UP): "1+0x3 stale _x15 1+0x10"},
        (at(90), at(100, "1"), at(190, "1"), at(210)),
    ),
    Case(
        "NoWorkers",
        "the last one dies",
        {of(UP): "1+0x3 0+0x20"},
        (at(90), at(100, "1"), at(200, "1")),
    ),
    quiet(
        "NoWorkers",
        "one of two is there",
        {of(UP): "0+0x20", of(UP, job="worker", instance="worker-1@a"): "1+0x20"},
        100,
        200,
    ),
    Case(
        "Rebalancing",
        "one each minute for six minutes",
        {of(metrics.REBALANCES): "1+0x2 2+1x4 6+0x30"},
        (at(180), at(360, "4.33333", **_ME), at(420, "5.35714", **_ME), at(1_200)),
        every_seconds=60,
    ),
    quiet("Rebalancing", "two of them", {of(metrics.REBALANCES): "1+0x2 2+1x1 3+0x30"}, 420, 1_200, every_seconds=60),
    Case(
        "TakeoversFailing",
        "five failures",
        {
            of(metrics.TAKEOVERS, outcome="fenced"): "0+0x5 1+1x4 5+0x40",
            of(metrics.TAKEOVERS, outcome="taken"): "8+0x50",
        },
        (at(70), at(100, "5", **_ME), at(500)),
    ),
    quiet("TakeoversFailing", "all are taken", {of(metrics.TAKEOVERS, outcome="taken"): "0+8x40"}, 100, 400),
    Case(
        "RestoreStuck",
        "half of it, and no more",
        {of(metrics.RESTORE_PROGRESS, lane="2"): "0.5+0x12 1+0x5", of(metrics.RESTORE_PROGRESS, lane="3"): "1+0x20"},
        (at(540), at(600, "0.5", lane="2"), at(720, "0.5", lane="2"), at(780)),
        every_seconds=60,
    ),
    quiet(
        "RestoreStuck",
        "another worker has it",
        {
            of(metrics.RESTORE_PROGRESS, lane="2"): "0.5+0x20",
            of(metrics.RESTORE_PROGRESS, job="worker", instance="worker-1@a", lane="2"): "1+0x20",
        },
        600,
        1_200,
        every_seconds=60,
    ),
    Case(
        "EventLoopLate",
        "three seconds late for two minutes",
        {of(metrics.LOOP_LAG): "0+0x2 3+0x12 0+0x10"},
        (at(80), at(90, "3", **_ME), at(150, "3", **_ME), at(160)),
    ),
    quiet("EventLoopLate", "once", {of(metrics.LOOP_LAG): "0+0x2 3 0+0x20"}, 40, 200),
    Case(
        "BackupOld",
        "two days without a checkpoint",
        {of(metrics.BACKUP_AGE, job="watch", instance="watch@a"): "172600+60x5 0+60x5"},
        (at(180), at(240, "172840"), at(300, "172900"), at(360)),
        every_seconds=60,
    ),
    quiet(
        "BackupOld",
        "one each hour",
        {of(metrics.BACKUP_AGE, job="watch", instance="watch@a"): "0+60x60"},
        3_600,
        every_seconds=60,
    ),
    Case(
        "DiskLow",
        "a gigabyte is left, then ten",
        {of(metrics.DISK_FREE): "1e9+0x12 1e10+0x5"},
        (at(50), at(60, "1e+09", **_ME), at(120, "1e+09", **_ME), at(130)),
    ),
    quiet("DiskLow", "enough is left", {of(metrics.DISK_FREE): "1e10+0x12"}, 60, 120),
    Case(
        "DiskFullSoon",
        "a gigabyte a minute of a hundred",
        {of(metrics.DISK_FREE): "1e11-1e9x30 7e10+0x60"},
        (at(600), at(660, "-3.1e+10", **_ME), at(1_800, "-5e+10", **_ME), at(3_900)),
        every_seconds=60,
    ),
    quiet(
        "DiskFullSoon", "a gigabyte an hour", {of(metrics.DISK_FREE): "1e11-16e6x60"}, 1_800, 3_600, every_seconds=60
    ),
)
