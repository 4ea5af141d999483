"""The gateway's ledger: every event offered ends as accepted, refused with a reason, or failed."""

from dataclasses import dataclass
from typing import Final, Self

from prometheus_client import Counter

from processors.telemetry import catalogue
from streams.metrics import Family, Metrics

ACCEPTED: Final = "accepted"
REFUSED: Final = "refused"
FAILED: Final = "failed"


@dataclass(slots=True)
class Offer:
    """The events of one request, until each has ended. A batch is one until it has been read."""

    ledger: "Ledger"
    mode: str
    count: int = 1
    ended: int = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.ledger.offered.of(self.mode).inc(self.count)
        self.failed(self.count - self.ended)

    def accepted(self, count: int) -> None:
        """Kafka has them."""
        self._end(ACCEPTED, count)

    def refused(self, reason: str, count: int = 1) -> None:
        """They must not come in."""
        if count:
            self._end(REFUSED, count)
            self.ledger.refused.of(reason).inc(count)

    def failed(self, count: int) -> None:
        """They could not be written, or nobody knows."""
        self._end(FAILED, count)

    def _end(self, result: str, count: int) -> None:
        if count:
            self.ended += count
            self.ledger.events.of(self.mode, result).inc(count)


class Ledger:
    """Counts offers and their ends, each where it happens."""

    def __init__(self, metrics: Metrics) -> None:
        self.offered: Final[Family[Counter]] = metrics.counter(catalogue.GATEWAY_OFFERED)
        self.events: Final[Family[Counter]] = metrics.counter(catalogue.GATEWAY_EVENTS)
        self.refused: Final[Family[Counter]] = metrics.counter(catalogue.GATEWAY_REFUSED)

    def offer(self, mode: str) -> Offer:
        """Take an offer, as a context: what has no end when it is left (a bug, a client that has gone) has failed."""
        return Offer(self, mode)
