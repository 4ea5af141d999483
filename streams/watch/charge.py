"""Which of several watches is in charge: the one that is in their group for the longest time.

Theory of operation. Watches form a consumer group on the topic `alerts`. Its leader gives all of it to the member that
came first; whoever has it is in charge. One that leaves is replaced at once, one that dies when its session is over
(`session_timeout_ms`). One that was only asleep still believes that it is in charge, but its successor has begun the
producer of the same transactional id: nothing that it writes is taken, and what is not written is told to nobody.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from aiokafka.errors import KafkaError
from typing_extensions import override

from processors.vocabulary import topics as names
from streams.lanes.membership import LEAVE_SECONDS_MAX, RESTART_SECONDS, leave, member, stay
from streams.lanes.writer import stop_within
from streams.settings import Settings

log = logging.getLogger(__name__)

_VERSION: Final = 0


class Oldest(AbstractPartitionAssignor):  # type: ignore[misc]  # aiokafka has no types
    """Gives everything to the member that came first. One for each consumer: it knows when that came."""

    name = "oldest"

    def __init__(self, since_ns: int) -> None:
        self._since = b"%020d" % since_ns

    @override
    def assign(self, cluster: Any, members: Mapping[str, Any]) -> dict[str, Any]:
        oldest = min(members, key=lambda member: (members[member].user_data, member))
        topics = members[oldest].subscription
        given = [(topic, sorted(cluster.partitions_for_topic(topic) or ())) for topic in topics]
        return {
            member: ConsumerProtocolMemberAssignment(_VERSION, given if member == oldest else [], b"")
            for member in members
        }

    @override
    def metadata(self, topics: Iterable[str]) -> Any:
        return ConsumerProtocolMemberMetadata(_VERSION, list(topics), self._since)

    @override
    def on_assignment(self, assignment: Any) -> None:
        """Nothing is kept of it here."""


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Passes on what was given; what is taken away is known once the next assignment comes."""

    def __init__(self, charge: "Charge") -> None:
        self._charge = charge
        self.over = False
        """Set by who leaves: until the group knows that, it may still give something."""

    async def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        """Go on: mostly it comes back, and a successor fences what we write."""

    async def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        if not self.over:
            self._charge.set(held=bool(list(assigned)))


class Charge:
    """This process's place among the watches."""

    def __init__(self, settings: Settings, bootstrap: str) -> None:
        self._settings = settings
        self._bootstrap = bootstrap
        self._changed = asyncio.Event()
        self.held = False
        """Whether it is in charge, as far as it has heard."""
        self.consumer: AIOKafkaConsumer | None = None
        """By which it is a member; None while it is not."""

    def set(self, *, held: bool) -> None:
        """Take over what the group says."""
        if held != self.held:
            log.info("this watch is in charge" if held else "another watch is in charge; this one stands by")
        self.held = held
        self._changed.set()

    async def wait(self) -> None:
        """Return once it is in charge."""
        while not self.held:
            self._changed.clear()
            await self._changed.wait()  # forever: another watch may be in charge for as long as it likes

    async def run(self) -> None:
        """Stay in the group until cancelled; come back after errors."""
        while True:
            # Who comes back after having been away is the youngest.
            oldest = Oldest(time.time_ns())
            consumer = self.consumer = member(self._settings, self._bootstrap, "watch", oldest)
            listener = _Listener(self)
            try:
                consumer.subscribe([self._settings.topics.physical(names.ALERTS)], listener=listener)
                await stay(consumer)
            except (KafkaError, TimeoutError, OSError) as error:
                log.warning("out of the group of watches, coming back: %s: %s", type(error).__name__, error)
            finally:
                self.consumer = None
                listener.over = True
                self.set(held=False)
                await leave(consumer)
                await stop_within(consumer, LEAVE_SECONDS_MAX)
            await asyncio.sleep(RESTART_SECONDS)
