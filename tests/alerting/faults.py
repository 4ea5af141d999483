"""The faults of a run: what is done, and which alerts it must raise. Each is a context: it ends what it has begun."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final, TypeAlias

import aiohttp
from aiokafka import AIOKafkaProducer

from processors.telemetry import catalogue
from processors.telemetry.catalogue import Kind, Metric
from processors.vocabulary import topics
from streams.metrics import Metrics
from tests.alerting.stand import GATEWAY, HISTORY, STRICT, WATCH, WORKER, Stand
from tests.alerting.traffic import HEALTHY
from tests.chaos.waiting import until

TICK_SECONDS: Final = 0.1
BATCH_EVENTS: Final = 10
FLOOD_PER_SECOND: Final = 60
MOVED_SECONDS_MAX: Final = 30.0
HANGING_MS: Final = 600_000
"""The time-out that a careless producer asks for."""
CALLERS: Final = tuple(f"127.0.0.{last}" for last in range(11, 19))
ASKED_PER_TURN: Final = 5

Begin: TypeAlias = Callable[[Stand], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """One of them."""

    name: str
    raises: tuple[str, ...]
    begin: Begin
    real: bool = True
    """Else it is shown only: a gauge of something that cannot be had at will, such as a bug of ours."""
    by_prometheus_only: bool = False
    """The built-in engine cannot see it: it is what has failed."""


@asynccontextmanager
async def _while_running(
    work: Callable[[], Awaitable[None]], tick_seconds: float = TICK_SECONDS
) -> AsyncIterator[None]:
    """Do something again and again; what fails of it is part of the fault."""

    async def turns() -> None:
        while True:
            with suppress(aiohttp.ClientError, OSError, TimeoutError):
                await work()
            await asyncio.sleep(tick_seconds)

    task = asyncio.create_task(turns())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def suspended_tenant(stand: Stand) -> AsyncIterator[None]:
    """A tenant is suspended and goes on sending: all that it sends is set aside."""
    await stand.traffic.directive("bolt", "hopline.tenant.create", {})
    await stand.traffic.directive("bolt", "hopline.tenant.suspend", {"reason": "a test"})
    async with _while_running(lambda: stand.traffic.signals("bolt", round(FLOOD_PER_SECOND * TICK_SECONDS))):
        yield
    await stand.traffic.directive("bolt", "hopline.tenant.resume", {"reason": "a test"})


@asynccontextmanager
async def rejected_directives(stand: Stand) -> AsyncIterator[None]:
    """Somebody asks for what there is not, several times a second."""
    async with _while_running(lambda: stand.traffic.directive(HEALTHY, "hopline.no.such", {}), 0.2):
        yield


@asynccontextmanager
async def _callers() -> AsyncIterator[list[aiohttp.ClientSession]]:
    """Several machines, as a gateway sees them: each connects from an address of its own."""
    connectors = [aiohttp.TCPConnector(local_addr=(address, 0)) for address in CALLERS]
    timeout = aiohttp.ClientTimeout(total=5)
    sessions = [aiohttp.ClientSession(connector=each, timeout=timeout) for each in connectors]
    try:
        yield sessions
    finally:
        for session in sessions:
            await session.close()


@asynccontextmanager
async def invalid_events(stand: Stand) -> AsyncIterator[None]:
    """A program sends events without a source to the gateway, from several machines, until each must wait."""
    event = {"specversion": "1.0", "id": "1", "type": "com.example.tick", "tenantid": HEALTHY, "data": {}}
    headers = {"content-type": "application/cloudevents-batch+json"}

    async with _callers() as sessions:

        async def send() -> None:
            for session in sessions:
                async with session.post(
                    f"{stand.url(GATEWAY)}/v1/signals", json=[event] * BATCH_EVENTS, headers=headers
                ):
                    pass

        async with _while_running(send, 1.0):
            yield


@asynccontextmanager
async def wrong_keys(stand: Stand) -> AsyncIterator[None]:
    """Somebody asks a gateway that wants keys, with one that nobody knows."""
    headers = {"authorization": f"Bearer hop_{'a' * 8}_{'b' * 49}"}

    async def ask() -> None:
        for _ in range(ASKED_PER_TURN):
            async with stand.http.get(f"{stand.url(STRICT)}/v1/limits", headers=headers):
                pass

    async with _while_running(ask, 1.0):
        yield


@asynccontextmanager
async def history_gone(stand: Stand) -> AsyncIterator[None]:
    """History is killed, and people go on searching: the gateway has nobody to ask."""
    history = stand.programs[HISTORY]
    history.kill()
    database = stand.folder / "data" / "history"
    aside = database.with_name("history-aside")
    if database.exists():
        database.rename(aside)

    async def search() -> None:
        async with stand.http.get(f"{stand.url(GATEWAY)}/v1/signals?limit=1"):
            pass

    try:
        async with _while_running(search, 0.5):
            yield
    finally:
        if aside.exists() and not database.exists():
            aside.rename(database)
        history.start()


@asynccontextmanager
async def hanging_transaction(stand: Stand) -> AsyncIterator[None]:
    """Somebody's producer begins a transaction in an input topic and does not end it."""
    producer = AIOKafkaProducer(
        bootstrap_servers=stand.bootstrap,
        transactional_id=f"somebody-else-{time.time():.0f}",
        transaction_timeout_ms=HANGING_MS,
    )
    await producer.start()
    try:
        await producer.begin_transaction()
        await producer.send_and_wait(topics.SIGNALS_IN, b"{}", partition=0)
        yield
        await producer.abort_transaction()
    finally:
        await producer.stop()


@asynccontextmanager
async def broken_channel(stand: Stand) -> AsyncIterator[None]:
    """A channel refuses all that it is told, from the start on; what waits for it is told when it takes it again."""
    stand.receiver.broken = True
    async with moved_thresholds({"NotificationsWaiting": 0})(stand):
        yield
    stand.receiver.broken = False


@asynccontextmanager
async def stopped_worker(stand: Stand) -> AsyncIterator[None]:
    """The only worker is stopped (SIGSTOP) while more comes in than usual."""
    worker = stand.programs[WORKER]
    # First the threshold: while the worker stands still nobody can move it.
    async with moved_thresholds({"LagVeryHigh": 45})(stand):
        await until(lambda: _is(stand, "LagVeryHigh", 45), MOVED_SECONDS_MAX, "the threshold is moved")
        worker.freeze()
        try:
            async with _while_running(lambda: stand.traffic.signals(HEALTHY, 4)):
                yield
        finally:
            worker.thaw()


async def _is(stand: Stand, alert: str, value: float) -> bool:
    """Tell whether Prometheus compares with this."""
    query = f'max({catalogue.ALERT_THRESHOLD.name}{{alert="{alert}",tenant=""}})'
    return bool(await stand.servers.value(stand.http, query) == value)


@asynccontextmanager
async def killed_worker(stand: Stand) -> AsyncIterator[None]:
    """The only worker is killed (SIGKILL)."""
    stand.programs[WORKER].kill()
    try:
        yield
    finally:
        stand.programs[WORKER].start()


@asynccontextmanager
async def killed_gateway(stand: Stand) -> AsyncIterator[None]:
    """A gateway is killed."""
    stand.programs[STRICT].kill()
    try:
        yield
    finally:
        stand.programs[STRICT].start()


@asynccontextmanager
async def killed_watch(stand: Stand) -> AsyncIterator[None]:
    """The watch is killed: who tells of that is Prometheus."""
    stand.programs[WATCH].kill()
    try:
        yield
    finally:
        stand.programs[WATCH].start()


@asynccontextmanager
async def dropped_threshold(stand: Stand) -> AsyncIterator[None]:
    """Prometheus gets one threshold no more."""
    stand.configure(dropped="SpansLost")
    await stand.servers.reload(stand.http)
    try:
        yield
    finally:
        stand.configure()
        await stand.servers.reload(stand.http)


def moved_thresholds(values: Mapping[str, float]) -> Begin:
    """Return a fault that is none: directives move thresholds so that what is usual is too much."""

    @asynccontextmanager
    async def begin(stand: Stand) -> AsyncIterator[None]:
        for alert, value in values.items():
            await stand.traffic.threshold(alert, value)
        try:
            yield
        finally:
            for alert in values:
                await stand.traffic.threshold(alert, None)

    return begin


def shown(values: Mapping[tuple[Metric, tuple[str, ...]], float]) -> Begin:
    """Return a fault that a process of the run's own shows: it tells these values to both engines."""

    @asynccontextmanager
    async def begin(stand: Stand) -> AsyncIterator[None]:
        metrics = stand.planted.metrics
        for (metric, labels), value in values.items():
            _show(metrics, metric, labels, value)
        try:
            yield
        finally:
            for metric, labels in values:
                _hide(metrics, metric, labels)

    return begin


def _show(metrics: Metrics, metric: Metric, labels: tuple[str, ...], value: float) -> None:
    if metric.kind is Kind.GAUGE:
        # As a function, for what tells this process's own state is one, too.
        metrics.gauge(metric).of(*labels).set_function(lambda: value)
    else:
        metrics.counter(metric).of(*labels).inc(value)


def _hide(metrics: Metrics, metric: Metric, labels: tuple[str, ...]) -> None:
    if metric.kind is Kind.COUNTER:
        metrics.counter(metric).forget(*labels)
    elif labels:
        metrics.gauge(metric).forget(*labels)
    else:
        # One without labels is there for ever: it shows that all is well.
        metrics.gauge(metric).of().set_function(lambda: 0.0)


_NOT_ITSELF: Final = {
    (catalogue.LEDGER_MISMATCH, ("ingest", "1")): 2.0,
    (catalogue.LEDGER_CHECKED, ("ingest", "1")): -1.0,
    (catalogue.LOOP_LAG, ()): 5.0,
    (catalogue.WATERMARK_AGE, ("ingest",)): 100.0,
    (catalogue.GATEWAY_INFLIGHT, ()): 1_900.0,
    (catalogue.GATEWAY_OFFERED, ("batch",)): 13.0,
    (catalogue.GATEWAY_EVENTS, ("batch", "accepted")): 10.0,
    (catalogue.HISTORY_LAG, ()): 300.0,
    (catalogue.PROBE_AGE, ()): 100.0,
    (catalogue.WATCH_BEHIND, ()): 100.0,
    (catalogue.EVENTS_WAITING, ()): 6_000.0,
}

TOGETHER: Final = (
    Fault(
        "a suspended tenant goes on sending",
        ("FailureRate", "TenantFailureRate"),
        suspended_tenant,
    ),
    Fault("directives that there are not", ("DirectivesRejected",), rejected_directives),
    Fault("invalid events at a gateway", ("GatewayRefusing",), invalid_events),
    Fault("keys that nobody knows", ("GatewayDenying", "GatewayCooling"), wrong_keys),
    Fault("history is killed, and asked", ("HistoryDown", "GatewayUnavailable"), history_gone),
    Fault("a transaction that nobody ends", ("HangingTransaction",), hanging_transaction),
    Fault("a channel that takes nothing", ("ChannelDown", "NotificationsWaiting"), broken_channel),
    Fault(
        "thresholds moved below what is usual",
        ("SeriesNearLimit", "DiskLow", "DeadLettersOld", "BackupOld", "NobodyJudges"),
        moved_thresholds(
            {
                "SeriesNearLimit": 20,
                "DiskLow": 1e15,
                "DeadLettersOld": 60,
                "BackupOld": 1,
                "NobodyJudges": 2,
            }
        ),
    ),
    Fault(
        "gauges of what cannot be had at will",
        (
            "LedgerMismatch",
            "LedgerCheckedMismatch",
            "EventLoopLate",
            "WatermarkOld",
            "GatewayFull",
            "GatewayLedgerMismatch",
            "HistoryBehind",
            "ProberBlind",
            "WatchBehind",
            "TelemetryWaiting",
        ),
        shown(_NOT_ITSELF),
        real=False,
    ),
)
"""These do not get into one another's way: a run begins all of them at once."""

ALONE: Final = (
    Fault(
        "the only worker is stopped",
        ("HopStalled", "WorkerDown", "NoWorkers", "QueueGrowing", "LagHigh", "LagVeryHigh"),
        stopped_worker,
    ),
    Fault("a gateway is killed", ("GatewayDown",), killed_gateway),
    Fault("the watch is killed", ("WatchDown",), killed_watch, by_prometheus_only=True),
    Fault("a threshold is dropped", ("ThresholdMissing",), dropped_threshold, by_prometheus_only=True),
)
"""One after the other."""

QUICK: Final = frozenset({"a suspended tenant goes on sending", "a transaction that nobody ends"})
