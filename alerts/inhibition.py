"""Which alert makes others superfluous while it is raised: who is told of the cause need not be told of the rest."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Inhibition:
    """While the first is raised nobody is told of the others that have the same values of these labels."""

    cause: str
    silenced: tuple[str, ...]
    equal: tuple[str, ...] = ()


_FOLLOWS_FROM_NO_WORKERS: Final = (
    "WorkerDown",
    "HopStalled",
    "LagHigh",
    "LagVeryHigh",
    "LagHighSoon",
    "QueueGrowing",
    "WatermarkOld",
    "DirectivesLate",
)

ALL: Final = (
    # The graver of two that look at the same thing.
    Inhibition("LagVeryHigh", ("LagHigh", "LagHighSoon"), ("topic",)),
    Inhibition("LagHigh", ("LagHighSoon", "QueueGrowing"), ("topic",)),
    Inhibition("DeadLetterShare", ("DeadLetters",), ("hop",)),
    Inhibition("ErrorBudgetBurn1h", ("ErrorBudgetBurn6h", "ErrorBudgetBurn1d", "ErrorBudgetBurn3d")),
    Inhibition("ErrorBudgetBurn6h", ("ErrorBudgetBurn1d", "ErrorBudgetBurn3d")),
    Inhibition("ErrorBudgetBurn1d", ("ErrorBudgetBurn3d",)),
    Inhibition("DiskLow", ("DiskFullSoon",), ("instance",)),
    Inhibition("TenantQueueFull", ("TenantQueueFullSoon",)),
    Inhibition("GatewayUnavailable", ("GatewayFull", "GatewaySlow")),
    # What follows from a process that is gone, or from Kafka standing still.
    Inhibition("NoWorkers", _FOLLOWS_FROM_NO_WORKERS),
    Inhibition("WorkerDown", ("LagHigh", "QueueGrowing", "WatermarkOld", "Rebalancing", "TakeoversFailing")),
    Inhibition("HopStalled", ("LagHigh", "LagHighSoon", "QueueGrowing", "WatermarkOld"), ("topic",)),
    Inhibition(
        "HangingTransaction", ("HopStalled", "LagHigh", "LagVeryHigh", "LagHighSoon", "QueueGrowing"), ("topic",)
    ),
    Inhibition("GatewayDown", ("GatewayUnavailable", "GatewaySlow")),
    Inhibition("HistoryDown", ("HistoryBehind",)),
    Inhibition("WatchDown", ("ProberBlind", "WatchBehind", "LedgerCheckBehind", "NobodyJudges")),
)
