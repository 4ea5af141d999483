"""What a handler is: a machine over events that says what is to be counted, and what it has found."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from processors.telemetry.catalogue import Metric
from processors.telemetry.event import Told


@dataclass(frozen=True, slots=True)
class Count:
    """A counter of the catalogue is to go up."""

    metric: Metric
    labels: tuple[str, ...]
    by: float = 1.0


class Handler(Protocol):
    """One machine over events. It has no clock and no I/O; whoever runs it carries its counts out."""

    @property
    def name(self) -> str:
        """What it is called: lower case, one word."""

    def wants(self, event: str) -> bool:
        """Tell whether it is to be given events of this name."""

    def take(self, one: Told) -> Iterable[Count]:
        """Take an event in; return what is to be counted."""

    def summary(self) -> dict[str, Any]:
        """Return what it has found, as JSON could hold it. Bounded."""
