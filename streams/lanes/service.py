"""The lanes as a service of the Faust app: membership, runners, watchdog, gauges; started and stopped by mode."""

import asyncio
import logging
import os
import shutil
import time
from collections.abc import Sequence
from importlib.metadata import version
from itertools import chain
from typing import Any, Final

from mode import Service
from typing_extensions import override

from processors import position
from processors.lane import LaneSettings
from processors.position import POSITION_KEY
from processors.step import Hop
from processors.telemetry import catalogue, events
from processors.telemetry.event import told
from streams.admin import admin_client, ensure_topics
from streams.agents.host import AgentHost, instances
from streams.clock import wall_ms
from streams.lanes import checkpoint
from streams.lanes.kafka import ClusterLanes
from streams.lanes.membership import Membership
from streams.lanes.owner import LaneOwner
from streams.lanes.ports import Clocks
from streams.lanes.runner import LaneRunner, LaneSet
from streams.lanes.store import RocksLaneStore, SlotStore, open_slot
from streams.lanes.watchdog import Watchdog
from streams.lanes.writer import quicken_transactions
from streams.metrics import Metrics
from streams.settings import Settings
from streams.telemetry import LaneObserver
from streams.telling import Telling
from streams.thresholds import follow as follow_thresholds
from streams.topics import JOURNAL_RETENTION_MS
from streams.tracing import tracer_of

log = logging.getLogger(__name__)

GAUGES_SECONDS: Final = 1.0
RETAKE_MARGIN_SECONDS: Final = 3.0
START_SECONDS_MAX: Final = 60.0
CLOCKS: Final = Clocks(wall_ms=wall_ms, steady_ms=lambda: time.monotonic() * 1_000)


class LaneService(Service):
    """Owns this worker's lanes."""

    def __init__(self, settings: Settings, bootstrap: str, hops: Sequence[Hop], channels: dict[str, Any]) -> None:
        super().__init__()
        quicken_transactions()
        self.settings = settings
        self.metrics = Metrics()
        port = settings.worker_port or os.getpid()
        self.telling = Telling(settings, bootstrap, self.metrics, job="worker", port=port)
        self._thresholds, _ = follow_thresholds(settings, bootstrap, self.metrics)
        self.lanes = LaneSet(self._make_runner)
        self.assigned = False
        self._bootstrap = bootstrap
        self._hops = hops
        self._agents = AgentHost(channels, seconds_max=settings.step_seconds_max)
        group = f"{settings.topic_prefix}{settings.application}"
        self._tracer = tracer_of(settings, self.metrics, job="worker", instance=self.telling.instance)
        self._observer = LaneObserver(self.metrics, self._tracer, self.telling, slow_seconds=settings.slow_seconds)
        self._watchdog = Watchdog(settings.stuck_seconds_max)
        self._alone = asyncio.Lock()
        self._membership = Membership(settings, bootstrap)
        self._store: SlotStore | None = None
        self._running: list[asyncio.Task[None]] = []
        self._failing: asyncio.Task[None] | None = None
        self._inputs = tuple(topic for hop in hops for topic in hop.inputs)
        self._kafka = ClusterLanes(
            settings.cluster(bootstrap),
            settings.topics,
            application=group,
            inputs=self._inputs,
            tells=settings.telemetry,
        )

    @override
    async def on_start(self) -> None:
        """Check the cluster, open the local state, join the group."""
        settings = self.settings
        kafka = settings.cluster(self._bootstrap)
        async with asyncio.timeout(START_SECONDS_MAX):
            await ensure_topics(
                kafka,
                settings.topics,
                lanes=settings.lanes,
                replication=settings.replication,
                min_insync_replicas=settings.min_insync_replicas,
            )
            async with admin_client(kafka) as admin:
                cluster = str((await admin.describe_cluster())["cluster_id"])
        root = settings.data_dir / "state"
        self._store = open_slot(root, settings.slot, cluster=f"{cluster}/{settings.topic_prefix}")
        self.metrics.gauge(catalogue.BUILD).of(version("hopline")).set(1)
        self.telling.start()
        self._thresholds.start()
        self._begin("membership", self._membership.run())
        self._begin("assignments", self._follow(self._membership))
        self._begin("watchdog", self._watchdog.run())
        self._begin("gauges", self._gauges())
        if settings.checkpoint_seconds:
            self._begin("checkpoints", self._checkpoints())

    def _begin(self, name: str, work: Any) -> None:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)
        self._running.append(task)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """Crash with the task: a worker without one of them would look alive and do nothing."""
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical("%s failed; this worker ends", task.get_name(), exc_info=error)
            self._failing = asyncio.get_running_loop().create_task(self.crash(error))

    @override
    async def on_stop(self) -> None:
        """Leave the group, finish the batches in flight, commit, close the producers.

        Leaving comes first, so that the others take the lanes at once: their fence makes that safe.
        """
        by_name = {task.get_name(): task for task in self._running}
        await _cancel(by_name.get("assignments"))
        await asyncio.gather(_cancel(by_name.get("membership")), self.lanes.stop())
        for task in self._running:
            await _cancel(task)
        if self._store is not None:
            await asyncio.to_thread(self._store.close)
        await self._thresholds.close()
        await self.telling.close()
        if self._tracer is not None:
            await asyncio.to_thread(self._tracer.close)

    async def _follow(self, membership: Membership) -> None:
        rebalances = self.metrics.counter(catalogue.REBALANCES).of()
        while True:
            lanes = await membership.next_assignment()
            rebalances.inc()
            self.assigned = True
            log.info("assigned lanes: %s", ", ".join(map(str, sorted(lanes))) or "none")
            self.telling.tell(told(events.LANE_ASSIGNED, CLOCKS.wall_ms(), {"count": len(lanes)}))
            before = set(self.lanes.runners)
            await self.lanes.assign(lanes)
            for lane in before - set(lanes):
                self._forget(lane)

    def _forget(self, lane: int) -> None:
        """Show no more of a lane that is another worker's now: the same lane twice would be added up."""
        self._observer.left(lane)
        for topic in self._inputs:
            self.metrics.gauge(catalogue.LAG_RECORDS).forget(topic, str(lane))

    def _make_runner(self, number: int) -> LaneRunner:
        return LaneRunner(
            number,
            self._make_owner,
            retake_seconds=self.settings.session_timeout_ms / 1_000 + RETAKE_MARGIN_SECONDS,
            settled=lambda: self._membership.settled,
            took=self._took,
        )

    def _took(self, outcome: str, seconds: float) -> None:
        self.metrics.counter(catalogue.TAKEOVERS).of(outcome).inc()
        if outcome == "taken":
            self.telling.tell(told(events.LANE_TAKEN, CLOCKS.wall_ms(), {"seconds": seconds}))
        else:
            self.telling.tell(told(events.LANE_LOST, CLOCKS.wall_ms(), {}, {"outcome": outcome}))
        if outcome == "taken":
            self.metrics.histogram(catalogue.TAKEOVER_DURATION).of().observe(seconds)

    def _make_owner(self, number: int) -> LaneOwner:
        if self._store is None:
            message = "the service is not started"
            raise RuntimeError(message)
        slow_ms = int(self.settings.slow_seconds * 1_000)
        return LaneOwner(
            LaneSettings(number, self.settings.lanes, self._hops, self.settings.write_format, slow_ms),
            kafka=self._kafka,
            store=self._store.lane(number, CLOCKS.wall_ms),
            agents=self._agents,
            clocks=CLOCKS,
            observer=self._observer,
            alone=lambda: self._alone,
        )

    @property
    def ready(self) -> bool:
        """Whether there was an assignment and each of its lanes has been taken over."""
        return self.assigned and all(r.owner is not None for r in self.lanes.runners.values())

    async def _checkpoints(self) -> None:
        """Write down each lane's whole state now and then, so that its journal can be folded from there."""
        seconds = self.settings.checkpoint_seconds
        while seconds:
            await asyncio.sleep(seconds)
            for number, runner in list(self.lanes.runners.items()):
                if runner.owner is not None and self._store is not None:
                    lane = self._store.lane(number, CLOCKS.wall_ms)
                    await asyncio.to_thread(self._checkpoint, number, lane)

    def _checkpoint(self, number: int, lane: RocksLaneStore) -> None:
        directory = checkpoint.folder(self.settings.data_dir, number)
        pairs = lane.pairs()
        first = next(pairs, None)
        if first is None or first[0] != POSITION_KEY:
            return
        path = directory / checkpoint.name(position.unpack(first[1]).sequence)
        if not path.exists():
            checkpoint.write(path, chain((first,), pairs))
            age_seconds_max = JOURNAL_RETENTION_MS / 1_000
            checkpoint.prune(directory, now_seconds=time.time(), age_seconds_max=age_seconds_max)

    async def _gauges(self) -> None:
        """Keep the gauges fresh. They are read-only: nothing here changes what is done."""
        gauge = self.metrics.gauge
        while True:
            gauge(catalogue.LANES_OWNED).of().set(len(self.lanes.runners))
            gauge(catalogue.LOOP_LAG).of().set(self._watchdog.loop_lag_seconds)
            if self._store is not None:
                gauge(catalogue.STATE_BYTES).of().set(self._store.bytes_on_disk())
                gauge(catalogue.DISK_FREE).of().set(shutil.disk_usage(self.settings.data_dir).free)
            self._lag_gauges()
            self._agent_gauges()
            await asyncio.sleep(GAUGES_SECONDS)

    def _agent_gauges(self) -> None:
        agents, there = self.metrics.gauge(catalogue.AGENTS), instances(self.settings)
        for hop, busy in self._agents.busy.items():
            agents.of(hop, "busy").set(min(busy, there))
            agents.of(hop, "idle").set(max(0, there - busy))
            agents.of(hop, "waited_for").set(max(0, busy - there))

    def _lag_gauges(self) -> None:
        """Lag per lane; age and batches in flight over all of them. An idle lane has none."""
        gauge, now_ms = self.metrics.gauge, CLOCKS.wall_ms()
        ages: dict[str, float] = dict.fromkeys(self._inputs, 0.0)
        in_flight = 0
        for number, runner in list(self.lanes.runners.items()):
            owner = runner.owner
            if owner is None:
                continue
            in_flight += owner.in_flight
            for topic, lag in owner.lag().items():
                gauge(catalogue.LAG_RECORDS).of(topic, str(number)).set(lag)
                if lag and owner.stepped_ms:
                    ages[topic] = max(ages[topic], (now_ms - owner.stepped_ms) / 1_000)
        for topic, age_seconds in ages.items():
            gauge(catalogue.LAG_SECONDS).of(topic).set(age_seconds)
        for hop in self._hops:
            gauge(catalogue.INFLIGHT).of(hop.name).set(in_flight)
            gauge(catalogue.WATERMARK_AGE).of(hop.name).set(max(ages.values()))


async def _cancel(task: "asyncio.Task[None] | None") -> None:
    if task is not None and not task.done():
        task.cancel()
        await asyncio.wait((task,), timeout=10)
