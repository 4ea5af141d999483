"""The gateway's ledger: every event offered ends as accepted, refused with a reason, or failed."""

from dataclasses import dataclass
from typing import Final, Self

from prometheus_client import Counter

from processors.admission import Channel
from processors.telemetry import catalogue
from processors.telemetry.event import told
from processors.telemetry.events import GATEWAY_REFUSED, GATEWAY_UNAVAILABLE, RATE_LIMIT_EXCEEDED
from processors.vocabulary.reasons import Reason
from streams.clock import wall_ms
from streams.metrics import Family, Metrics
from streams.telemetry import Tells

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
            self.ledger.tell_refused(reason, count)

    def failed(self, count: int) -> None:
        """They could not be written, or nobody knows."""
        self._end(FAILED, count)
        if count:
            self.ledger.tell_failed(count)

    def _end(self, result: str, count: int) -> None:
        if count:
            self.ended += count
            self.ledger.events.of(self.mode, result).inc(count)


class Ledger:
    """Counts offers and their ends, each where it happens."""

    def __init__(self, metrics: Metrics, tells: Tells) -> None:
        self._tells = tells
        self.offered: Final[Family[Counter]] = metrics.counter(catalogue.GATEWAY_OFFERED)
        self.events: Final[Family[Counter]] = metrics.counter(catalogue.GATEWAY_EVENTS)
        self.refused: Final[Family[Counter]] = metrics.counter(catalogue.GATEWAY_REFUSED)

    def tell_refused(self, reason: str, count: int) -> None:
        """Let telemetry know, unless it heard much of the kind already."""
        measured = {"count": count}
        self._tells.sample(GATEWAY_REFUSED, lambda: told(GATEWAY_REFUSED, wall_ms(), measured, {"reason": reason}))
        if reason == Reason.RATE_LIMITED.value:
            said = {"channel": str(Channel.SIGNALS)}
            self._tells.sample(RATE_LIMIT_EXCEEDED, lambda: told(RATE_LIMIT_EXCEEDED, wall_ms(), measured, said))

    def tell_failed(self, count: int) -> None:
        """Let telemetry know, unless it heard much of the kind already."""
        self._tells.sample(GATEWAY_UNAVAILABLE, lambda: told(GATEWAY_UNAVAILABLE, wall_ms(), {"count": count}))

    def offer(self, mode: str) -> Offer:
        """Take an offer, as a context: what has no end when it is left (a bug, a client that has gone) has failed."""
        return Offer(self, mode)
