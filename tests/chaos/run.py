"""One chaos run from start to verdict: a broker and workers of its own, load, strikes, and the count at the end."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final, Self

from aiokafka import AIOKafkaProducer

from processors.ingest.tenant import Policy, Status
from processors.vocabulary import topics
from streams.admin import ensure_topics
from streams.broker.config import BrokerSettings
from streams.broker.embedded import EmbeddedKafka
from streams.settings import KafkaSettings
from streams.topics import TOPICS, TopicNames
from tests.chaos.answers import Judgement
from tests.chaos.churn import Churn
from tests.chaos.faults import Blow, Striker, strikes
from tests.chaos.fleet import Fleet, WorkerSettings
from tests.chaos.load import Feeder
from tests.chaos.pulse import Pulse
from tests.chaos.reading import Log
from tests.chaos.tenants import Tenant, Traffic, command, make_tenants
from tests.chaos.verdict import Evidence, Verdict, judge
from tests.chaos.waiting import TooLateError, until
from tests.chaos.wire import AwayError, Wire

log = logging.getLogger(__name__)

LANES: Final = 8
PREFIX: Final = "chaos-"
HEAP_MEGABYTES: Final = 384
START_SECONDS_MAX: Final = 60.0
DRAIN_SECONDS_MAX: Final = 120.0
STABLE_SECONDS_MAX: Final = 30.0
"""Above the transactions' time-out: within it an abandoned transaction must have been ended."""
BURST_SHARE: Final = 0.7
"""Of a strike's records; the rest trickles while the lanes recover."""
TRICKLE_SECONDS: Final = 12.0
FEW_STRIKES: Final = 3
"""In a run of so few all of them hit transactions."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a run is to do."""

    signals: int
    kills: int
    seed: int
    session_timeout_ms: int
    folder: Path
    residents: int = 3
    """Workers that are there all the time, but for the blows."""
    planned: Sequence[Sequence[Blow]] = ()
    """The strikes; empty: a pattern with all sorts of them, in a random order."""
    churn: bool = False
    """Whether workers join and leave in the middle third of the strikes."""
    plant: str = ""
    directives: int = 0
    """How many are asked for beside the signals."""

    def strikes(self) -> Sequence[Sequence[Blow]]:
        """Return the strikes in their order."""
        return self.planned or strikes(self.kills, Random(self.seed))


@dataclass(slots=True)
class Outcome:
    """What a run has shown."""

    verdict: Verdict = field(default_factory=Verdict)
    judgement: Judgement = field(default_factory=Judgement)
    """Of the directives, if there were any."""
    facts: dict[str, Any] = field(default_factory=dict)
    failure: str = ""
    """Why the run could not go on, if it could not. What had been sent till then was judged all the same."""


@dataclass(slots=True)
class Chaos:
    """One run. Everything that it starts ends with it."""

    wish: Wish
    outcome: Outcome = field(default_factory=Outcome)
    tenants: list[Tenant] = field(default_factory=lambda: make_tenants(LANES))
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _broker: Any = None
    _fleet: Any = None
    _churn: Any = None
    _pulse: Any = None
    _began: float = field(default_factory=time.monotonic)

    async def __aenter__(self) -> Self:
        wish = self.wish
        self._broker = EmbeddedKafka(BrokerSettings(wish.folder / "kafka", heap_megabytes=HEAP_MEGABYTES))
        self._stack.callback(self._broker.stop)
        bootstrap = await asyncio.to_thread(self._broker.start)
        self._say(f"Kafka serves at {bootstrap}")
        settings = WorkerSettings(bootstrap, PREFIX, LANES, wish.session_timeout_ms, wish.folder, wish.plant)
        names = TopicNames(PREFIX)
        await ensure_topics(KafkaSettings(bootstrap), names, lanes=LANES, replication=1, min_insync_replicas=1)
        self._fleet = Fleet(settings, Random(wish.seed + 1), wish.residents)
        self._stack.push_async_callback(self._fleet.close)
        wire = Wire(bootstrap)
        self._stack.push_async_callback(wire.close)
        self._pulse = Pulse(settings, wire)
        self._churn = Churn(self._fleet, wish.residents)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def _say(self, what: str) -> None:
        log.info("%5.1f s  %s", time.monotonic() - self._began, what)

    def _log(self, topic: str) -> Log:
        return Log(self._broker.bootstrap, PREFIX + topic, LANES)

    async def run(self) -> Outcome:
        """Do all of it. Raises nothing that the pipeline under test could cause."""
        wish = self.wish
        async with self.feeder() as feeder:
            striker = Striker(self._fleet, self._broker, feeder, self._pulse, Random(wish.seed + 3))
            for slot in range(wish.residents):
                self._fleet.start(slot)
            supervisor = asyncio.create_task(self._fleet.supervise())
            watchers = [asyncio.create_task(watcher) for watcher in self.watchers()]
            evidence = Evidence(LANES)
            try:
                await self._set_policies()
                await self._chaos(striker, feeder)
                await feeder.flush()
                self._say(f"all is sent: {len(feeder.accepted)} accepted, {feeder.unacknowledged} not")
                await self._drain(evidence, feeder)
            except (TooLateError, AwayError) as error:
                self.outcome.failure = str(error)
                self._say(f"cannot go on: {error}")
            finally:
                await _end(supervisor, *watchers)
            await self._end_workers()
            await self._judge(evidence, feeder)
            self._report(striker, feeder)
        return self.outcome

    @asynccontextmanager
    async def feeder(self) -> AsyncIterator[Feeder]:
        """Give who sends the load."""
        wish, bootstrap = self.wish, self._broker.bootstrap
        traffic = Traffic(self.tenants, Random(wish.seed + 2))
        async with Feeder(bootstrap, PREFIX + topics.SIGNALS_IN, LANES, traffic, wish.signals) as feeder:
            yield feeder

    def watchers(self) -> list[Coroutine[Any, Any, None]]:
        """Return what goes on beside the run."""
        return [self._pulse.watch()]

    @asynccontextmanager
    async def drained(self) -> AsyncIterator[Callable[[], Awaitable[bool]]]:
        """Give what tells whether all that was sent beside the signals has ended."""

        async def done() -> bool:
            return True

        yield done

    async def also_read(self, evidence: Evidence) -> int:
        """Read back what was sent beside the signals; return how many commands that were."""
        del evidence
        return 0

    async def _set_policies(self) -> None:
        """Send the commands and wait until they are in force, whatever worker comes first."""
        commanded = [tenant for tenant in self.tenants if tenant.policy]
        producer = AIOKafkaProducer(bootstrap_servers=self._broker.bootstrap, acks="all", enable_idempotence=True)
        await producer.start()
        try:
            for tenant in commanded:
                key, value, headers = command(tenant)
                await producer.send(PREFIX + topics.COMMANDS, value, key, tenant.lane, headers=headers)
            await producer.flush()
        finally:
            await producer.stop()
        evidence = Evidence(LANES)
        async with self._log(topics.STATE) as state:

            async def in_force() -> bool:
                async for record in state.rest():
                    evidence.add_state(record)
                return all(_fits(evidence.account(tenant.name).policy, tenant) for tenant in commanded)

            await until(in_force, START_SECONDS_MAX, "policies of all tenants in force")
        await until(self._fleet.settled, START_SECONDS_MAX, "workers ready and every lane taken")
        self._say(f"{self.wish.residents} workers are ready, {len(commanded)} tenants have their policies")

    async def _chaos(self, striker: Striker, feeder: Feeder) -> None:
        """Strike by strike, with joins and leaves in the middle third; a last share of records comes in peace."""
        wanted, total = self.wish.strikes(), self.wish.signals
        joins_from, joins_to = len(wanted) // 3, max(1, len(wanted) * 2 // 3)
        churn: asyncio.Task[None] | None = None
        try:
            for index, blows in enumerate(wanted):
                if index == joins_from and self.wish.churn:
                    churn = asyncio.create_task(self._churn.run())
                if index == joins_to and churn is not None:
                    await _end(churn)
                await striker.settle()
                kept = total - total * (index + 1) // (len(wanted) + 1)
                burst = int((feeder.left - kept) * BURST_SHARE)
                trickling = max(0, feeder.left - kept - burst) / TRICKLE_SECONDS
                self._say(f"strike {index + 1} of {len(wanted)}: {' and '.join(blow.value for blow in blows)}")
                trickle = asyncio.create_task(feeder.trickle(trickling, kept))
                try:
                    # Each second strike in the middle of transactions; which a planted bug may hide from us.
                    insisted = (index % 2 == 0 or len(wanted) <= FEW_STRIKES) and not self.wish.plant
                    await striker.strike(blows, burst=burst, insisted=insisted)
                finally:
                    await _end(trickle)
        finally:
            if churn is not None:
                await _end(churn)
        feeder.burst(feeder.left)

    async def _drain(self, evidence: Evidence, feeder: Feeder) -> None:
        """Wait until every record has been committed and nothing is deferred any more."""
        async with self._log(topics.SIGNALS_IN) as inputs, self._log(topics.STATE) as state, self.drained() as more:

            async def drained() -> bool:
                async for record in inputs.rest():
                    evidence.add_input(record)
                async for record in state.rest():
                    evidence.add_state(record)
                if not feeder.accepted <= evidence.entered.keys() or await self._open_partitions(topics.SIGNALS_IN):
                    return False
                reading = await self._pulse.read()
                done = all(reading.committed[lane] > last for lane, last in evidence.last_offset.items())
                queued = any(evidence.account(tenant.name).queued for tenant in self.tenants)
                return done and not queued and await more()

            took = await until(drained, DRAIN_SECONDS_MAX, "all records through the door")
        self.outcome.facts["drain_seconds"] = round(took, 1)
        self._say(f"drained after {took:.1f} s")

    async def _end_workers(self) -> None:
        """Let all leave in good order; then no transaction may stand open for longer than its time-out."""
        present = self._fleet.present
        for worker in present:
            worker.thaw()
        took = await asyncio.gather(*(self._fleet.leave(worker) for worker in present))
        self.outcome.facts["leave_seconds_max"] = round(max([*took, self._churn.leave_seconds_max]), 1)
        hanging = len(TOPICS) * LANES

        async def stable() -> bool:
            nonlocal hanging
            try:
                hanging = sum([await self._open_partitions(topic.name) for topic in TOPICS])
            except AwayError:
                # A look that failed says nothing; the next one may not.
                return False
            return hanging == 0

        with suppress(TooLateError):
            await until(stable, STABLE_SECONDS_MAX, "no transaction open")
        self.outcome.facts["hanging_partitions"] = hanging

    async def _open_partitions(self, topic: str) -> int:
        """Return in how many partitions a transaction is open: the last stable offset is behind the end."""
        stable = await self._pulse.wire.ends(PREFIX + topic, LANES, stable=True)
        ends = await self._pulse.wire.ends(PREFIX + topic, LANES)
        return sum(end != other for end, other in zip(ends, stable, strict=True))

    async def _judge(self, seen: Evidence, feeder: Feeder) -> None:
        """Read everything back from the beginning, with the workers gone."""
        evidence = Evidence(LANES)
        readers: tuple[tuple[str, Callable[[Any], None]], ...] = (
            (topics.SIGNALS_IN, evidence.add_input),
            (topics.SIGNALS, evidence.add_signal),
            (topics.DEAD_LETTERS, evidence.add_dead),
            (topics.STATE, evidence.add_state),
            (topics.JOURNAL, evidence.add_journal),
        )
        for topic, add in readers:
            async with self._log(topic) as read:
                async for record in read.rest():
                    add(record)
        commands = await self.also_read(evidence) or sum(bool(tenant.policy) for tenant in self.tenants)
        self.outcome.verdict = judge(evidence, self.tenants, feeder.accepted, commands)
        self.outcome.facts |= {
            "read_before_the_end": seen.read_in,
            "signals_out": sum(map(len, evidence.handled.values())),
            "dead_letters": dict(sorted(evidence.dead_reasons.items())),
            "moved": evidence.moved,
            "commits": sum(map(len, evidence.journals.values())),
            "commits_of_one_record": evidence.singles,
            "written_twice_by_the_client": evidence.resent.total(),
        }

    def _report(self, striker: Striker, feeder: Feeder) -> None:
        casualties = striker.casualties
        failover = {
            blow.value: round(max(seconds), 1) for blow, seconds in casualties.failover_seconds.items() if seconds
        }
        self.outcome.facts |= {
            "accepted": len(feeder.accepted),
            "unacknowledged": feeder.unacknowledged,
            "tenants": len(self.tenants),
            "tenants_without_dedupe": sum(tenant.window_ms == 0 for tenant in self.tenants),
            "kills": sum(casualties.kills.values()),
            "kills_by_kind": {blow.value: count for blow, count in casualties.kills.items()},
            "kills_in_transaction": casualties.in_transaction,
            "in_flight_min": min(casualties.in_flight, default=0),
            "failover_seconds_max": max(failover.values(), default=0.0),
            "failover_seconds": failover,
            "stall_seconds_max": round(self._pulse.stall_seconds_max, 1),
            "joins": self._churn.joins,
            "leaves": self._churn.leaves,
            "workers_ended_by_themselves": self._fleet.ended_unasked,
            "workers_gave_up_without_kafka": len(self._fleet.gave_up),
            "workers_left_badly": self._fleet.left_badly,
            "seconds": round(time.monotonic() - self._began, 1),
        }


def _fits(policy: Policy, tenant: Tenant) -> bool:
    window = tenant.window_ms is None or policy.dedupe_window_ms == tenant.window_ms
    status = (policy.status is Status.SUSPENDED) == tenant.suspended
    return window and status and (policy.rate_per_second > 0) == tenant.slow


async def _end(*tasks: "asyncio.Task[None]") -> None:
    """End background work; what it failed of is raised."""
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task
