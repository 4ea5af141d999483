"""What the watch tells of its own work, as events: alerts, channels, the ledger, a Kafka that is away."""

from collections.abc import Sequence

from processors.alerting.states import State
from processors.ledger.finding import Finding
from processors.telemetry import events
from processors.telemetry.event import told
from streams.clock import wall_ms
from streams.telemetry import Silence, Tells
from streams.watch.words import Became, ToldChange

_TOLD = "told"


class Voice:
    """Turns what happens into events. It says nothing until it has somebody who takes them."""

    def __init__(self) -> None:
        self.tells: Tells = Silence()

    def changed(self, change: ToldChange) -> None:
        """An alert was raised, or is over."""
        said = {"alert": change.alert, "severity": change.severity}
        tenant = change.labels.get("tenant", "")
        if change.to == State.FIRING.value:
            measured = {"value": change.value or 0.0, "threshold": change.threshold or 0.0}
            self.tells.tell(told(events.ALERT_RAISED, change.at_ms, measured, said, tenant=tenant))
        elif change.to == State.CLEARED.value:
            seconds = {"seconds": max(0, change.at_ms - change.since_ms) / 1_000}
            self.tells.tell(told(events.ALERT_CLEARED, change.at_ms, seconds, said, tenant=tenant))

    def became(self, one: Became) -> None:
        """A channel took what it was told, or did not."""
        if one.result == _TOLD:
            seconds = {"seconds": one.seconds}
            self.tells.tell(told(events.CHANNEL_TOLD, one.at_ms, seconds, {"channel": one.channel}))
            return
        said = {"channel": one.channel, "error": one.words}
        self.tells.tell(told(events.CHANNEL_FAILED, one.at_ms, {"attempts": one.attempt}, said))

    def found(self, findings: Sequence[Finding]) -> None:
        """The topics do not add up."""
        for one in findings:
            count, said = {"count": abs(one.records)}, {"fault": one.fault.value}
            self.tells.tell(told(events.LEDGER_MISMATCH, wall_ms(), count, said, hop=one.hop, lane=one.lane))

    def away(self, seconds: float) -> None:
        """The prober does not reach Kafka, since so long."""
        self.tells.sample(events.KAFKA_AWAY, lambda: told(events.KAFKA_AWAY, wall_ms(), {"seconds": seconds}))
