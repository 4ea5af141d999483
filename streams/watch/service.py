"""Run the watch: followers, judging, its parts, and the API on a port of loopback."""

import asyncio
import errno
import logging
import os
import signal
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from typing import Final, Self, TypeAlias

from aiohttp import web

from processors.alerting.rule import Rule
from processors.alerting.states import Alert
from processors.alerting.thresholds import Thresholds
from processors.telemetry import catalogue
from processors.telemetry.promql import Source
from processors.vocabulary import topics as names
from streams import alert_rules, thresholds
from streams.clock import wall_ms
from streams.gateway.errors import PortTakenError
from streams.gateway.following import Follower, Span, Turn
from streams.gateway.hosts import is_loopback
from streams.metrics import PROCESS, Metrics
from streams.settings import Settings
from streams.tasks import ended
from streams.telling import Telling as Told
from streams.watch.alertlog import open_log
from streams.watch.api import Api
from streams.watch.charge import Charge
from streams.watch.duty import Duty, Ground
from streams.watch.handling import Handler, Handling
from streams.watch.hosting import Hosting, Part
from streams.watch.questions import Questions
from streams.watch.samples import TURN_RECORDS_MAX, SamplesView, span
from streams.watch.telling import HISTORY_MAX, Changes, Teller, Telling
from streams.watch.voice import Voice
from streams.watch.words import Became

log = logging.getLogger(__name__)

STOP_SECONDS_MAX: Final = 5.0

MakeTeller: TypeAlias = Callable[["Watch", Callable[[Became], None]], Teller]


@dataclass(frozen=True, slots=True)
class Aboard:
    """What the watch carries besides judging. Without any of it the console's events are there all the same."""

    make_teller: MakeTeller = lambda _watch, _became: Telling()
    """Makes those who tell people, each time that this watch takes charge."""
    parts: Sequence[Part] = ()
    handlers: Sequence[Handler] = ()
    voice: Voice = field(default_factory=Voice)
    rules: Sequence[Rule] = field(default_factory=alert_rules.rules)


async def run(settings: Settings, bootstrap: str, aboard: Aboard) -> None:
    """Watch until SIGTERM or SIGINT. Raises `PortTakenError`."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Watch(settings, bootstrap, PROCESS, aboard) as watch:
        log.info("the watch is at %s", watch.url)
        await stop.wait()  # forever: until it is told to stop
    log.info("the watch has stopped")


class Watch:
    """A watch, as a context: for `run`, and for tests."""

    def __init__(self, settings: Settings, bootstrap: str, metrics: Metrics, aboard: Aboard | None = None) -> None:
        self._settings = settings
        self._aboard = aboard or Aboard()
        self.rules = tuple(self._aboard.rules)
        self._engine = ThreadPoolExecutor(1, thread_name_prefix="watch-engine")
        self.samples = SamplesView(metrics)
        self.changes = Changes()
        self.charge = Charge(settings, bootstrap)
        self._thresholds, self.decided = thresholds.follow(settings, bootstrap, metrics, self.rules)
        follow = partial(Follower, settings.cluster(bootstrap), settings.topics, lanes=settings.lanes)
        turn = Turn(self._engine, TURN_RECORDS_MAX)
        self._samples = follow(names.METRICS, view=self.samples, span=span(settings.lanes), turn=turn)
        self._changes = follow(names.ALERTS, view=self.changes, span=Span(records_max=2 * HISTORY_MAX))
        self.duty = Duty(
            Ground(self.rules, self._source, lambda: self.decided.thresholds, settings.telemetry_seconds, wall_ms),
            self.charge,
            partial(self._aboard.make_teller, self),
            metrics,
            partial(open_log, settings, bootstrap),
            self._engine,
            voice=self._aboard.voice,
        )
        self._handling = Handling(settings, bootstrap, self.charge, self._aboard.handlers)
        self._hosting = Hosting(metrics)
        self._questions = Questions(self.samples.asked, metrics)
        local = is_loopback(settings.host)
        seconds = settings.telemetry_seconds
        self._api = Api(self, self._questions, self.changes, metrics, seconds=seconds, local=local)
        self._runner = web.AppRunner(
            self._api.application(), access_log=None, handle_signals=False, shutdown_timeout=STOP_SECONDS_MAX
        )
        self._tasks: list[asyncio.Task[None]] = []
        self.url = ""
        self.telling = Told(settings, bootstrap, metrics, job="watch", port=settings.watch_port or os.getpid())
        self._aboard.voice.tells = self.telling
        metrics.gauge(catalogue.BUILD).of(version("hopline")).set(1)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        try:
            self.url = await _listen(self._runner, self._settings.host, self._settings.watch_port)
        except BaseException:
            await self._runner.cleanup()
            raise
        self.telling.start()
        for follower in self._followers():
            follower.start()
        self._tasks = [asyncio.create_task(work) for work in (self.charge.run(), self.duty.run(), self._handling.run())]
        self._hosting.start(self._aboard.parts)
        return self

    async def __aexit__(self, *_: object) -> None:
        # Judging first, so that nothing is begun that cannot be ended; then the group is left, and another one begins.
        charge, *others = self._tasks
        for task in others:
            await ended(task)
        await ended(charge)
        await self._hosting.close()
        await asyncio.gather(*(follower.close() for follower in self._followers()))
        await self.telling.close()
        await self._runner.cleanup()
        self._questions.close()
        self._engine.shutdown(wait=False, cancel_futures=True)

    def _followers(self) -> Iterable[Follower]:
        return (self._thresholds, self._samples, self._changes)

    def _source(self) -> Callable[[int], Source] | None:
        """Return what gives what is judged; None while that is old or not all was read."""
        return None if self._samples.behind or self._thresholds.behind else self.samples.look

    def alerts(self) -> list[Alert]:
        """See `Knowledge.alerts`. A watch that stands by shows what the one in charge wrote last."""
        return self.duty.active if self.duty.serving else self.duty.seen(self.changes.newest_state)

    def silenced(self, alert: Alert) -> bool:
        """See `Knowledge.silenced`."""
        return self.decided.silenced(alert.alert, alert.labels, wall_ms())

    def thresholds(self) -> Thresholds:
        """See `Knowledge.thresholds`."""
        return self.decided.thresholds

    def why_not_ready(self) -> str:
        """See `Knowledge.why_not_ready`."""
        return " ".join(filter(None, (follower.behind for follower in self._followers())))


async def _listen(runner: web.AppRunner, host: str, port: int) -> str:
    site = web.TCPSite(runner, host, port)
    try:
        await site.start()
    except OSError as error:
        if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
            raise
        raise PortTakenError(
            f"Port {port} of {host} cannot be used: it is taken or not allowed. "
            "Set HOPLINE_WATCH_PORT to another one, or to 0 for any."
        ) from error
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{runner.addresses[0][1]}"
