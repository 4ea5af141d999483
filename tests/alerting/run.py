"""One run: faults, all that can be together at once; for each alert when it came to the channel, and when it went."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from alerts import promtool
from alerts.__main__ import never_raised
from alerts.catalogue import BY_NAME
from alerts.series.catalogue import ALL as CASES
from processors.telemetry import catalogue
from tests.alerting.faults import ALONE, QUICK, TOGETHER, Fault, suspended_tenant
from tests.alerting.receiver import BUILT_IN, PROMETHEUS
from tests.alerting.servers import DEFAULTS, FAST
from tests.alerting.sight import Sight, now_seconds
from tests.alerting.stand import WATCH, Stand
from tests.alerting.verdict import FAILURE_RATE_SECONDS_MAX, Told, Verdict, waits
from tests.alerts import engines
from tests.chaos.waiting import TooLateError, until

log = logging.getLogger(__name__)

RAISED_SECONDS_MAX: Final = 90.0
"""Besides the longest `for` and window of those that are awaited. A busy machine needs some of it."""
CLEARED_SECONDS_MAX: Final = 300.0
"""A channel that was away is tried again after up to five minutes."""
AGREE_SECONDS_MAX: Final = 20.0
"""Engines look at different moments; what they say then must be the same for a while."""
QUIET_SECONDS_MAX: Final = 60.0
WARM_SECONDS: Final = 15.0
"""Rates need a past."""
MOVED_SECONDS_MAX: Final = 30.0
WATCHDOG: Final = "Watchdog"
WATCHDOG_SECONDS_MAX: Final = 120.0
"""Prometheus tells again each minute; the first time it may not know its Alertmanager yet."""
MOVED: Final = (("HistoryBehind", 77.0), ("CommitSlow", 0.77), ("HistoryBehind", 60.0), ("CommitSlow", 1.0))
"""Thresholds that directives move, to see how long it takes: nothing is raised by them."""
LOOK_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Wish:
    """What a run is to do."""

    folder: Path
    quick: bool = False
    watch: bool = True
    """Without: Prometheus and Alertmanager alone."""


class Run:
    """One run."""

    def __init__(self, wish: Wish) -> None:
        self._wish = wish
        self.verdict = Verdict(quick=wish.quick)
        self._engines = (PROMETHEUS, BUILT_IN) if wish.watch else (PROMETHEUS,)

    async def run(self) -> Verdict:
        """Do all of it. What goes wrong is in the verdict."""
        try:
            await asyncio.to_thread(self._series)
            await self._fast()
            await self._at_defaults()
        except (TooLateError, RuntimeError) as error:
            self.verdict.failure = str(error)
        return self.verdict

    def _series(self) -> None:
        """Ask both engines about all series that there are."""
        verdict, folder = self.verdict, self._wish.folder / "series"
        folder.mkdir(parents=True, exist_ok=True)
        verdict.series_never_fired = never_raised()
        verdict.disagreed_series, verdict.moments, _ = engines.prometheus_disagrees(CASES, folder)
        ran = promtool.test_rules(CASES, folder)
        if not ran.passed:
            verdict.failure = f"promtool: {ran.said[-500:]}"
        log.info("%d moments of series compared", verdict.moments)

    # ---- at one-second intervals
    async def _fast(self) -> None:
        together = [fault for fault in TOGETHER if not self._wish.quick or fault.name in QUICK]
        alone = [] if self._wish.quick else list(ALONE)
        async with Stand(self._wish.folder / "fast", FAST, watch=self._wish.watch) as stand, _seen(stand) as sight:
            log.info("the stand is ready")
            await _quiet(sight, {alert for fault in (*together, *alone) for alert in fault.raises})
            self.verdict.raised_before = sight.unwanted()
            await self._hear_watchdog(stand)
            await self._move_thresholds(stand)
            await self._raise(stand, sight, together)
            for fault in alone:
                if self._wish.watch or WATCH not in fault.name:
                    await self._raise(stand, sight, [fault])

    async def _hear_watchdog(self, stand: Stand) -> None:
        """Wait until both engines have said that alerting works."""

        async def heard() -> bool:
            moments = [stand.receiver.first(one, WATCHDOG, raised=True, since_seconds=0) for one in self._engines]
            return None not in moments

        await until(heard, WATCHDOG_SECONDS_MAX, "both engines say that alerting works")

    async def _raise(self, stand: Stand, sight: Sight, faults: Sequence[Fault]) -> None:
        """Begin faults, wait until all their alerts were told, compare the engines, end the faults, and wait again."""
        began = now_seconds()
        awaited = {(alert, engine) for fault in faults for alert in fault.raises for engine in self._told_by(fault)}
        self.verdict.wanted |= awaited
        self.verdict.shown |= {alert for fault in faults if not fault.real for alert in fault.raises}
        async with AsyncExitStack() as stack:
            for fault in faults:
                log.info("fault: %s", fault.name)
                await stack.enter_async_context(fault.begin(stand))
            await _come(stand, awaited, began, raised=True, seconds_max=RAISED_SECONDS_MAX + _longest(awaited))
            if not any(fault.by_prometheus_only for fault in faults):
                await self._compare(sight)
        ended = now_seconds()
        log.info("the faults are over")
        heard = {one for one in awaited if stand.receiver.first(one[1], one[0], raised=True, since_seconds=began)}
        await _come(stand, heard, ended, raised=False, seconds_max=CLEARED_SECONDS_MAX)
        for alert, engine in sorted(heard):
            self.verdict.told.append(_told(stand, sight, alert, engine, began, ended))

    def _told_by(self, fault: Fault) -> Sequence[str]:
        return (PROMETHEUS,) if fault.by_prometheus_only else self._engines

    async def _compare(self, sight: Sight) -> None:
        """Both engines must have the same alerts raised, at some moment of a few seconds."""
        if len(self._engines) < 2:
            return

        # What was dropped before a process could tell anything only Prometheus has seen.
        spared = frozenset(self.verdict.raised_before)

        async def same() -> bool:
            return not sight.disagree(spared)

        with suppress(TooLateError):
            await until(same, AGREE_SECONDS_MAX, "both engines say the same")
        self.verdict.disagreed_live += [f"{alert} {dict(labels)}" for alert, labels in sight.disagree(spared)]

    async def _move_thresholds(self, stand: Stand) -> None:
        for alert, value in MOVED:

            async def moved(alert: str = alert, value: float = value) -> bool:
                query = f'max({catalogue.ALERT_THRESHOLD.name}{{alert="{alert}",tenant=""}})'
                seen = await stand.servers.value(stand.http, query)
                known = value if not self._wish.watch else await stand.built_in_threshold(alert)
                return bool(seen == value == known)

            await stand.traffic.threshold(alert, value)
            took = await until(moved, MOVED_SECONDS_MAX, f"{alert} at {value}", look_seconds=LOOK_SECONDS)
            self.verdict.threshold_seconds[f"{alert} to {value:g}"] = took

    # ---- at the defaults
    async def _at_defaults(self) -> None:
        async with Stand(self._wish.folder / "defaults", DEFAULTS, watch=self._wish.watch) as stand:
            async with _seen(stand) as sight:
                await _quiet(sight, {"FailureRate"})
                began = now_seconds()
                async with suspended_tenant(stand):
                    awaited = {("FailureRate", engine) for engine in self._engines}
                    self.verdict.wanted |= awaited
                    await _come(stand, awaited, began, raised=True, seconds_max=2 * FAILURE_RATE_SECONDS_MAX)
            for alert, engine in awaited:
                first = stand.receiver.first(engine, alert, raised=True, since_seconds=began)
                if first is None:
                    raise TooLateError(f"{alert} was not told by {engine} at the defaults")
                self.verdict.failure_rate_seconds[engine] = first - began


@asynccontextmanager
async def _seen(stand: Stand) -> AsyncIterator[Sight]:
    sight = Sight(stand)
    looking = asyncio.create_task(sight.run())
    try:
        yield sight
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking


async def _quiet(sight: Sight, alerts: set[str]) -> None:
    """Wait until rates have a past and none of the alerts that are to come is there."""
    began = now_seconds()

    async def calm() -> bool:
        return now_seconds() - began > WARM_SECONDS and bool(sight.looks) and not alerts & set(sight.unwanted())

    try:
        await until(calm, QUIET_SECONDS_MAX, "none of the alerts to come is raised")
    except TooLateError as error:
        raise TooLateError(f"{error}: {sight.unwanted()}") from error


async def _come(
    stand: Stand, awaited: "set[tuple[str, str]]", since: float, *, raised: bool, seconds_max: float
) -> None:
    """Wait until all were told of, or too late: the verdict says which were not."""

    async def all_told() -> bool:
        return not [
            one for one in awaited if stand.receiver.first(one[1], one[0], raised=raised, since_seconds=since) is None
        ]

    with suppress(TooLateError):
        await until(all_told, seconds_max, "all alerts")
    for alert, engine in sorted(awaited):
        if stand.receiver.first(engine, alert, raised=raised, since_seconds=since) is None:
            log.info("%s has not said that %s is %s", engine, alert, "raised" if raised else "over")


def _longest(awaited: "set[tuple[str, str]]") -> float:
    """Return how long the slowest of these takes, if its fault is there from the start."""
    return max((BY_NAME[alert].for_seconds + BY_NAME[alert].window_seconds for alert, _ in awaited), default=0)


def _told(stand: Stand, sight: Sight, alert: str, engine: str, began: float, ended: float) -> Told:
    heard = stand.receiver.first(engine, alert, raised=True, since_seconds=began) or 0.0
    condition = sight.condition_seconds(engine, alert, heard) or began
    cleared = stand.receiver.first(engine, alert, raised=False, since_seconds=ended)
    return Told(
        alert,
        engine,
        alert_seconds=heard - condition - waits(alert),
        fault_seconds=heard - began,
        cleared_seconds=None if cleared is None else cleared - ended,
    )
