"""What the watch in charge does: judge all rules every few seconds, write what has changed, then tell it.

Theory of operation. Taking charge begins a producer that fences the one before it, and reads where that was. A change
is numbered, and written in one transaction with the state that it leads to; only then it is told, and the next write
says up to which number all were told. So a watch that dies between writing and telling is followed by one that tells
what it did not, and one that cannot write tells nothing. What was told in the last seconds before a death may be told
again. While samples cannot be read nothing is judged: silence of all processes would be taken for their death.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Protocol

from msgspec.structs import replace

from processors.alerting import states
from processors.alerting.judge import Judge, UnreadableStateError
from processors.alerting.rule import Rule
from processors.alerting.states import Alert, Change
from processors.alerting.thresholds import Thresholds
from processors.telemetry import catalogue
from processors.telemetry.promql import Source
from streams.metrics import Metrics
from streams.watch.alertlog import Back, LogError
from streams.watch.charge import Charge
from streams.watch.telling import Teller, Telling
from streams.watch.voice import Voice
from streams.watch.words import Became, State, ToldChange, deflated, inflated, told

log = logging.getLogger(__name__)

AGAIN_SECONDS_MIN: Final = 0.5
AGAIN_SECONDS_MAX: Final = 10.0
LEAVE_SECONDS_MAX: Final = 8.0
STATE_SECONDS: Final = 30.0
"""How often the state is written though nothing has changed that is told: counts of checks, and how long they hold."""
BECAME_MAX: Final = 1_000
"""Words about what became of telling that wait to be written; the oldest make room."""
FAILURES_SECONDS: Final = 60.0
"""How often it is said that a rule cannot be judged, and why, as long as it cannot."""
FAILURES_SAID_MAX: Final = 20
"""Rules in one line of the log; the next check names more."""
KEEP_SECONDS: Final = 3_600.0
"""How often it is written at the least, so that it never grows too old for the topic."""


class Log(Protocol):
    """Where changes are written: `AlertLog`, or a played one."""

    async def write(self, records: Sequence[ToldChange | Became], state: State) -> None:
        """Write changes and what became of telling, and the state after them, all or nothing. Raises `LogError`."""

    async def read_back(self) -> Back:
        """Return the newest state, and what was perhaps not told. Raises `LogError`."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What is judged, by what, and how often."""

    rules: tuple[Rule, ...]
    source: Callable[[], Callable[[int], Source] | None]
    """Gives what is judged at a time, to be called in the judging thread. None while what is known is old."""
    thresholds: Callable[[], Thresholds]
    seconds: float
    clock_ms: Callable[[], int]


class Duty:
    """The judge, and what it needs to be one of several."""

    def __init__(
        self,
        ground: Ground,
        charge: Charge,
        make_teller: Callable[[Callable[[Became], None]], Teller],
        metrics: Metrics,
        open_log: Callable[[], AbstractAsyncContextManager[Log]],
        thread: Executor,
        *,
        voice: Voice | None = None,
    ) -> None:
        self._voice = voice or Voice()
        self._ground = ground
        self._charge = charge
        self._make_teller = make_teller
        self._open_log = open_log
        self._thread = thread
        self._judge = Judge(ground.rules)
        self._teller: Teller = Telling()
        self._state = State(at_ms=0, written=0, told=0, judge=b"")
        self._kept_at = 0.0
        self._became: deque[Became] = deque(maxlen=BECAME_MAX)
        self._gauges = _Gauges(ground.rules, metrics)
        self._seen: tuple[State, list[Alert]] | None = None
        self._failures = Failures()
        self.serving = False
        """Whether it judges: it is in charge, and has read where its predecessor was."""
        self.active: list[Alert] = []
        """The alerts that wait or are raised, as judged last."""

    def seen(self, state: State | None) -> list[Alert]:
        """Return the alerts of a state that another watch has written."""
        if state is None:
            return []
        if self._seen is None or self._seen[0] is not state:
            judge = Judge(self._ground.rules)
            _unpack(judge, state)
            self._seen = (state, judge.active())
        return self._seen[1]

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
            if time.monotonic() - began > AGAIN_SECONDS_MAX:
                wait_seconds, said = AGAIN_SECONDS_MIN, ""
            await asyncio.sleep(wait_seconds)
            wait_seconds = min(2 * wait_seconds, AGAIN_SECONDS_MAX)

    async def _serve(self, written: Log) -> None:
        """Go on where the last one was, until another one is in charge."""
        back = await written.read_back()
        self._begin(back.state)
        teller = self._teller = self._make_teller(self._note)
        try:
            self._remind(teller)
            teller.start()
            if back.untold:
                log.warning("%d changes were perhaps told to nobody; telling them now", len(back.untold))
            self._tell(back.untold)
            self.serving = True
            self._gauges.in_charge.set(1)
            await self._judge_on(written)
        finally:
            self.serving = False
            self._gauges.stand_by()
            await teller.close()
            await self._leave(written)

    def _remind(self, teller: Teller) -> None:
        """Let those who tell people know what was told before."""
        kept = inflated(self._state.teller)
        if kept:
            try:
                teller.unpack(kept)
            except Exception:  # boundary: another version's memory must not keep people from being told
                log.exception("what was told before cannot be read; it may be told again")

    async def _leave(self, written: Log) -> None:
        """Write down that all was told, and what waits to be: else a successor would tell it again."""
        state = replace(self._state, told=self._state.written, teller=deflated(self._teller.pack()))
        try:
            async with asyncio.timeout(LEAVE_SECONDS_MAX):
                await written.write(self._became_until_now(), state)
        except (LogError, TimeoutError) as error:
            log.info("the last of this watch's state was not written: %s", error)

    def _note(self, one: Became) -> None:
        self._became.append(one)
        self._voice.became(one)

    def _became_until_now(self) -> list[Became]:
        return [self._became.popleft() for _ in range(len(self._became))]

    def _begin(self, state: State | None) -> None:
        """Take over what the last one has written."""
        self._judge, self.active = Judge(self._ground.rules), []
        self._state = state or State(at_ms=0, written=0, told=0, judge=b"")
        self._kept_at = -KEEP_SECONDS
        if state is not None:
            _unpack(self._judge, state)
            # Shown until the first check: what was raised is raised.
            self.active = self._judge.active()

    async def _judge_on(self, written: Log) -> None:
        due = time.monotonic()
        while self._charge.held:
            source = self._ground.source()
            if source is not None:
                await self._turn(written, source)
            due = max(due + self._ground.seconds, time.monotonic())
            await asyncio.sleep(due - time.monotonic())

    async def _turn(self, written: Log, source: Callable[[int], Source]) -> None:
        began = time.perf_counter()
        now_ms = self._ground.clock_ms()
        checking = asyncio.get_running_loop().run_in_executor(
            self._thread, self._checked, source, self._ground.thresholds(), now_ms
        )
        # A thread cannot be cancelled: who stops waits for it, or another check would begin beside it.
        try:
            changes = await asyncio.shield(checking)
        except asyncio.CancelledError:
            await asyncio.wait((checking,))
            raise
        self.active = self._judge.active()
        self._gauges.checked(time.perf_counter() - began, self.active, self._judge.failures)
        self._failures.say(self._judge.failures, time.monotonic())
        await self._write(written, changes, now_ms)

    def _checked(self, source: Callable[[int], Source], thresholds: Thresholds, now_ms: int) -> list[Change]:
        return self._judge.check(source(now_ms), thresholds, now_ms)

    async def _write(self, written: Log, changes: Sequence[Change], now_ms: int) -> None:
        """Write what has changed and tell it; without changes only now and then where judging stands."""
        # Those of before were told when this is written.
        last, mark = self._state, self._state.written
        words = [told(change, mark + 1 + index) for index, change in enumerate(changes)]
        judge, teller = deflated(self._judge.pack()), deflated(self._teller.pack())
        state = State(at_ms=now_ms, written=mark + len(words), told=mark, judge=judge, teller=teller)
        now = time.monotonic()
        pressing = bool(words) or last.told != mark or teller != last.teller or bool(self._became)
        if not pressing and now - self._kept_at < (KEEP_SECONDS if judge == last.judge else STATE_SECONDS):
            return
        writing = asyncio.ensure_future(written.write([*words, *self._became_until_now()], state))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            # Who stops waits for it, so that it is known what was written and told; it is bounded.
            await asyncio.wait((writing,))
            if writing.exception() is None:
                self._state = state
                self._tell(words)
            raise
        self._state, self._kept_at = state, now
        self._tell(words)

    def _tell(self, changes: Sequence[ToldChange]) -> None:
        for change in changes:
            if not change.told:
                continue
            try:
                self._teller.told(change)
            except Exception:  # boundary: a bug in telling must not end judging, which would tell the same again
                log.exception("%s could not be told", change.alert)
            self._voice.changed(change)


def _unpack(judge: Judge, state: State) -> None:
    """Let a judge go on where another one was; one that cannot be read is begun anew."""
    try:
        judge.unpack(inflated(state.judge))
    except UnreadableStateError as error:
        log.error("alerts are judged from the beginning: %s", error)  # noqa: TRY400 - another version's, no bug


class Failures:
    """Says which rules cannot be judged and why, each now and then: the metric names them without a reason."""

    def __init__(self) -> None:
        self._said: dict[str, float] = {}

    def say(self, failures: Mapping[str, str], now: float) -> None:
        """Log those that were not said lately, all in one line: a place in the code has one a second."""
        due = [name for name in failures if now - self._said.get(name, -FAILURES_SECONDS) >= FAILURES_SECONDS]
        named = due[:FAILURES_SAID_MAX]
        if named:
            self._said.update(dict.fromkeys(named, now))
            log.warning("rules that could not be judged: %s", "; ".join(f"{name}: {failures[name]}" for name in named))


class _Gauges:
    """What judging shows of itself."""

    def __init__(self, rules: Sequence[Rule], metrics: Metrics) -> None:
        self.in_charge = metrics.gauge(catalogue.WATCH_IN_CHARGE).of()
        self._checks = metrics.counter(catalogue.ALERT_CHECKS).of()
        self._duration = metrics.histogram(catalogue.ALERT_CHECK_DURATION).of()
        self._failures = metrics.counter(catalogue.ALERT_CHECK_FAILURES)
        for rule in rules:
            # As 0 from the start: what is first seen as 1 has not increased for anybody.
            self._failures.of(rule.name)
        firing = metrics.gauge(catalogue.ALERTS_FIRING)
        self._firing = {rule.name: firing.of(rule.name, rule.severity.value) for rule in rules}

    def checked(self, seconds: float, active: Iterable[Alert], failed: Iterable[str]) -> None:
        """Note a check."""
        self._checks.inc()
        self._duration.observe(seconds)
        for name in failed:
            self._failures.of(name).inc()
        self._show([alert for alert in active if alert.state is states.State.FIRING])

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
