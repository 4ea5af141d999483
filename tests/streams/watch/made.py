"""Changes and samples for tests of the watch."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from processors.telemetry import samples
from processors.telemetry.samples import Point, Sample
from processors.vocabulary import topics
from streams.watch.words import ToldChange, pack

NOW_MS = 1_900_000_000_000


def change(number: int, *, to: str = "firing", alert: str = "LagHigh", tenant: str = "", **more: Any) -> ToldChange:
    """Return a change as it is written."""
    labels = {"tenant": tenant} if tenant else {"topic": topics.SIGNALS_IN}
    return ToldChange(
        number=number, at_ms=more.get("at_ms", number), id=f"{number:032x}", alert=alert, severity="warning",
        from_="pending", to=to, labels=labels, value=31.0, threshold=30.0, since_ms=number, summary="It is so.",
        description="d", runbook="lag.md",
    )  # fmt: skip


def record(change: ToldChange) -> Any:
    """Return it as a record of the topic."""
    return SimpleNamespace(key=change.id.encode(), value=pack(change), partition=0, offset=change.number)


def sample(
    at_ms: int,
    points: Sequence[tuple[str, Mapping[str, str], float]],
    *,
    job: str = "worker",
    instance: str = "here:1",
    whole: bool = True,
    leaving: bool = False,
) -> Sample:
    """Return what one process tells."""
    told = tuple(Point(name, tuple(sorted(labels.items())), value) for name, labels, value in points)
    return Sample(samples.VERSION, job, instance, at_ms, whole, leaving, told)


def packed(one: Sample) -> Any:
    """Return it as a record of the topic."""
    return SimpleNamespace(key=one.instance.encode(), value=samples.pack(one), partition=0, offset=0)
