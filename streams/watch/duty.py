"""What the watch in charge does: judge all rules every few seconds, write what has changed, then tell it.

Theory of operation. Taking charge begins a producer that fences the one before it, and reads where that was. A change
is numbered, and written in one transaction with the state that it leads to; only then it is told, and the next write
says up to which number all were told. So a watch that dies between writing and telling is followed by one that tells
what it did not, and one that cannot write tells nothing. What was told in the last seconds before a death may be told
again.
While samples cannot be read nothing is judged: silence of all processes would be taken for their death.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Protocol

from processors.alerting.judge import Alert, Change, Judge, UnreadableJudgeError
from processors.alerting.rule import Rule
from processors.alerting.states import AlertState
from processors.alerting.thresholds import Thresholds
from processors.telemetry import catalogue
from processors.telemetry.promql import Source
from streams.metrics import Metrics
from streams.watch.alertlog import Back, LogError
from streams.watch.charge import Charge
from streams.watch.telling import Notifier
from streams.watch.words import State, ToldChange, told

log = logging.getLogger(__name__)

AGAIN_SECONDS_MIN: Final = 0.5
AGAIN_SECONDS_MAX: Final = 10.0
STATE_SECONDS: Final = 30.0
"""How often the state is written though nothing has changed that is told: counts of checks, and how long they hold."""
KEEP_SECONDS: Final = 3_600.0
"""How often it is written at the least, so that it never grows too old for the topic."""


class Log(Protocol):
    """Where changes are written: `AlertLog`, or a played one."""

    async def write(self, changes: Sequence[ToldChange], state: State) -> None:
        """Write changes and the state after them, all or nothing. Raises `LogError`."""

    async def read_back(self) -> Back:
        """Return the newest state, and what was perhaps not told. Raises `LogError`."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What is judged, by what, and how often."""

    rules: tuple[Rule, ...]
    source: Callable[[], Source | None]
    """None while what it holds is old."""
    thresholds: Callable[[], Thresholds]
    seconds: float
    clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000


class Duty:
    """The judge, and what it needs to be one of several."""

    def __init__(
        self,
        ground: Ground,
        charge: Charge,
        notifier: Notifier,
        metrics: Metrics,
        open_log: Callable[[], AbstractAsyncContextManager[Log]],
    ) -> None:
        self._ground = ground
        self._charge = charge
        self._notifier = notifier
        self._open_log = open_log
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="watch-judging")
        self._judge = Judge(ground.rules)
        self._written = self._told = 0
        self._kept = b""
        self._kept_at = 0.0
        self.serving = False
        """Whether it judges: it is in charge, and has read where its predecessor was."""
        self._gauges = _Gauges(ground.rules, metrics)

    def active(self) -> list[Alert]:
        """Return the alerts that wait or are raised, as judged last."""
        return self._judge.active()

    async def run(self) -> None:
        """Judge whenever in charge, until cancelled."""
        wait_seconds, said = AGAIN_SECONDS_MIN, ""
        while True:
            await self._charge.wait()
            began = time.monotonic()
            try:
                async with self._open_log() as written:
                    await self._serve(written)
            except LogError as error:
                if str(error) != said:
                    said = str(error)
                    log.warning("%s; trying again", error)
            except Exception:  # boundary: whatever a rule or aiokafka raises, judging must go on
                log.exception("judging failed; beginning anew")
            finally:
                self.serving = False
                self._gauges.stand_by()
            if time.monotonic() - began > AGAIN_SECONDS_MAX:
                wait_seconds, said = AGAIN_SECONDS_MIN, ""
            await asyncio.sleep(wait_seconds)
            wait_seconds = min(2 * wait_seconds, AGAIN_SECONDS_MAX)

    def close(self) -> None:
        """Judge no more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _serve(self, written: Log) -> None:
        """Go on where the last one was, until another one is in charge."""
        await self._take_over(written)
        self.serving = True
        self._gauges.in_charge.set(1)
        due = time.monotonic()
        while self._charge.held:
            await self._turn(written)
            due = max(due + self._ground.seconds, time.monotonic())
            await asyncio.sleep(due - time.monotonic())

    async def _take_over(self, written: Log) -> None:
        back = await written.read_back()
        self._judge = Judge(self._ground.rules)
        self._written = self._told = self._kept_at = 0
        if back.state is not None:
            self._written, self._told = back.state.written, back.state.told
            try:
                self._judge.unpack(back.state.judge)
            except UnreadableJudgeError as error:
                log.error("alerts are judged from the beginning: %s", error)  # noqa: TRY400 - another version's state
        if back.untold:
            log.warning("%d changes were perhaps told to nobody; telling them now", len(back.untold))
        self._tell(back.untold)

    async def _turn(self, written: Log) -> None:
        source = self._ground.source()
        if source is None:
            return
        began = time.perf_counter()
        now_ms = self._ground.clock_ms()
        checking = asyncio.get_running_loop().run_in_executor(
            self._pool, self._judge.check, source, self._ground.thresholds(), now_ms
        )
        # A thread cannot be cancelled: who stops waits for it, or another check would begin beside it.
        try:
            changes = await asyncio.shield(checking)
        except asyncio.CancelledError:
            await asyncio.wait((checking,))
            raise
        self._gauges.checked(time.perf_counter() - began, self._judge)
        await self._write(written, changes, now_ms)

    async def _write(self, written: Log, changes: Sequence[Change], now_ms: int) -> None:
        """Write what has changed and tell it; without changes only now and then where judging stands."""
        packed, now = self._judge.pack(), time.monotonic()
        untold_mark = self._told != self._written
        old = now - self._kept_at > (KEEP_SECONDS if packed == self._kept else STATE_SECONDS)
        if not (changes or untold_mark or old):
            return
        # Those of before were told when this is written.
        mark = self._written
        words = [told(change, mark + 1 + index) for index, change in enumerate(changes)]
        state = State(at_ms=now_ms, written=mark + len(words), told=mark, judge=packed)
        await written.write(words, state)
        self._written, self._told = state.written, state.told
        self._kept, self._kept_at = packed, now
        self._tell(words)

    def _tell(self, changes: Sequence[ToldChange]) -> None:
        for change in changes:
            self._notifier.told(change)


class _Gauges:
    """What judging shows of itself."""

    def __init__(self, rules: Sequence[Rule], metrics: Metrics) -> None:
        self.in_charge = metrics.gauge(catalogue.WATCH_IN_CHARGE).of()
        self._checks = metrics.counter(catalogue.ALERT_CHECKS).of()
        self._duration = metrics.histogram(catalogue.ALERT_CHECK_DURATION).of()
        self._failures = metrics.counter(catalogue.ALERT_CHECK_FAILURES)
        firing = metrics.gauge(catalogue.ALERTS_FIRING)
        self._firing = {rule.name: firing.of(rule.name, rule.severity.value) for rule in rules}

    def checked(self, seconds: float, judge: Judge) -> None:
        """Note a check."""
        self._checks.inc()
        self._duration.observe(seconds)
        for name in judge.failed:
            self._failures.of(name).inc()
        self._show([alert for alert in judge.active() if alert.state is AlertState.FIRING])

    def stand_by(self) -> None:
        """Show nothing: whoever is in charge does."""
        self.in_charge.set(0)
        self._show(())

    def _show(self, firing: Sequence[Alert]) -> None:
        counts = dict.fromkeys(self._firing, 0)
        for alert in firing:
            counts[alert.alert] = counts.get(alert.alert, 0) + 1
        for name, gauge in self._firing.items():
            gauge.set(counts[name])
