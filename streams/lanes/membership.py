"""Learn which lanes are ours: a consumer that subscribes to one topic, and reads nothing."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import KafkaError
from aiokafka.protocol.group import LeaveGroupRequest
from aiokafka.structs import TopicPartition

from streams.lanes.writer import stop_within
from streams.settings import Settings
from streams.topics import MEMBERSHIP

log = logging.getLogger(__name__)

POLL_MS: Final = 500
START_SECONDS_MAX: Final = 30.0
LEAVE_SECONDS_MAX: Final = 5.0
RESTART_SECONDS: Final = 1.0


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Passes assignments on at once: heartbeats stand still while a callback is awaited."""

    def __init__(self, revoked: Callable[[], None], assigned: Callable[[Iterable[int]], None]) -> None:
        self._revoked = revoked
        self._assigned = assigned

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Go on: lanes that move are fenced by their next owner, and most come back to us."""
        log.debug("the group divides its lanes anew; ours were %s", revoked)
        self._revoked()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._assigned(partition.partition for partition in assigned)


async def leave(consumer: AIOKafkaConsumer) -> None:
    """Leave the group, so that the others need not wait for the session's end.

    aiokafka says it on the connection on which a join may be waiting, and the broker reads one request of a
    connection at a time: the group would go on giving lanes to a member that is gone. Hence another connection.
    """
    coordinator = consumer._coordinator  # noqa: SLF001  there is no public way to it
    node = getattr(coordinator, "coordinator_id", None)
    if node is None or not getattr(coordinator, "member_id", ""):
        return
    request = LeaveGroupRequest(coordinator.group_id, coordinator.member_id)
    try:
        async with asyncio.timeout(LEAVE_SECONDS_MAX):
            await consumer._client.send(node, request)  # noqa: SLF001
    except (KafkaError, TimeoutError, OSError) as error:
        log.info("could not leave the group in good order: %s: %s", type(error).__name__, error)


def member(settings: Settings, bootstrap: str, group: str, assignor: Any) -> AIOKafkaConsumer:
    """Return a consumer that is in a group to learn what it is given, and reads nothing of it."""
    timeout_ms = settings.session_timeout_ms
    return AIOKafkaConsumer(
        **settings.cluster(bootstrap).client_options(),
        group_id=f"{settings.topic_prefix}{settings.application}-{group}",
        enable_auto_commit=False,
        session_timeout_ms=timeout_ms,
        rebalance_timeout_ms=timeout_ms,
        heartbeat_interval_ms=min(1_000, timeout_ms // 5),
        max_poll_interval_ms=300_000,
        partition_assignment_strategy=[assignor],
        auto_offset_reset="latest",
        max_partition_fetch_bytes=1_024,
    )


async def stay(consumer: AIOKafkaConsumer) -> None:
    """Be a member until cancelled; raises what aiokafka does when the group is lost."""
    async with asyncio.timeout(START_SECONDS_MAX):
        await consumer.start()
    while True:
        # Paused anew after each assignment, so that nothing is fetched; polled, so that the group sees us live.
        assigned = consumer.assignment()
        if assigned - consumer.paused():
            consumer.pause(*assigned)
        await consumer.getmany(timeout_ms=POLL_MS, max_records=1)


class Membership:
    """A member of the group in which the workers divide the lanes."""

    def __init__(self, settings: Settings, bootstrap: str) -> None:
        self._settings = settings
        self._bootstrap = bootstrap
        self._lanes: frozenset[int] = frozenset()
        self._changed = asyncio.Event()
        self.settled = False
        """Whether the newest assignment holds: no other one is being made, as far as we have heard."""

    async def next_assignment(self) -> frozenset[int]:
        """Return our lanes once there is a new assignment."""
        await self._changed.wait()
        self._changed.clear()
        return self._lanes

    def _assigned(self, lanes: Iterable[int]) -> None:
        self._lanes = frozenset(lanes)
        self.settled = True
        self._changed.set()

    def _revoked(self) -> None:
        self.settled = False

    async def run(self) -> None:
        """Stay a member until cancelled; come back after errors."""
        while True:
            consumer = member(self._settings, self._bootstrap, "lanes", StickyPartitionAssignor)
            try:
                consumer.subscribe(
                    [self._settings.topics.physical(MEMBERSHIP)], listener=_Listener(self._revoked, self._assigned)
                )
                await stay(consumer)
            except (KafkaError, TimeoutError, OSError) as error:
                log.warning("out of the group, coming back: %s: %s", type(error).__name__, error)
            finally:
                self.settled = False
                await leave(consumer)
                await stop_within(consumer, LEAVE_SECONDS_MAX)
            await asyncio.sleep(RESTART_SECONDS)
