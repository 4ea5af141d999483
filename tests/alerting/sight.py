"""What is seen of alerts while a run lasts: since when each engine knows of one, and what both have raised now."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeAlias

import aiohttp

from alerts.catalogue import BY_NAME
from alerts.series.catalogue import UNCEASING
from alerts.workers import UP
from tests.alerting.receiver import BUILT_IN, PROMETHEUS, told_apart
from tests.alerting.stand import Stand

LOOK_SECONDS: Final = 0.5
SAME_SECONDS: Final = 15.0
"""Engines see one condition begin so far apart at the most: a stopped process takes a while to be missed."""
Key: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]
"""An alert and the labels that both engines give alike."""


@dataclass(slots=True)
class Sight:
    """Looks at both engines, twice a second."""

    stand: Stand
    began: dict[tuple[str, str], set[float]] = field(default_factory=dict)
    """For each engine and alert the moments since when its condition has held, as the engine said them."""
    raised: dict[str, frozenset[Key]] = field(default_factory=dict)
    """For each engine what is raised now."""
    looks: int = 0

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            with suppress(aiohttp.ClientError, OSError, TimeoutError, KeyError):
                await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Look once."""
        found = [_of_prometheus(one) for one in await self.stand.servers.alerts(self.stand.http)]
        self._note(PROMETHEUS, found)
        if self.stand.watch and self.stand.programs["watch"].alive:
            self._note(BUILT_IN, [_of_built_in(one) for one in await self.stand.built_in_alerts()])
        self.looks += 1

    def _note(self, engine: str, found: "list[tuple[Key, bool, float]]") -> None:
        self.raised[engine] = frozenset(key for key, firing, _ in found if firing)
        for (alert, _), _, since_seconds in found:
            self.began.setdefault((engine, alert), set()).add(since_seconds)

    def condition_seconds(self, engine: str, alert: str, heard_seconds: float) -> float | None:
        """Return since when the condition held for an alert that an engine told of, as the quicker engine saw it.

        A condition that ended and began again counts from when it began again. That a process is down each engine finds
        out in its own way: Prometheus at its next scrape, the built-in one after ten seconds of silence.
        """
        waits = BY_NAME[alert].for_seconds
        before = [one for one in self.began.get((engine, alert), ()) if one + waits <= heard_seconds]
        if not before:
            return None
        own = max(before)
        if f"{UP}{{" in BY_NAME[alert].signal:
            return own
        both = (one for (_, name), moments in self.began.items() if name == alert for one in moments)
        return min(one for one in both if own - SAME_SECONDS <= one <= own)

    def unwanted(self) -> list[str]:
        """Return what is raised before there is a fault; the watchdog always is."""
        return sorted({alert for raised in self.raised.values() for alert, _ in raised} - UNCEASING)

    def disagree(self, spared: frozenset[str]) -> frozenset[Key]:
        """Return what one engine has raised and the other one has not."""
        both = self.raised.get(PROMETHEUS, frozenset()), self.raised.get(BUILT_IN, frozenset())
        return frozenset(key for key in both[0] ^ both[1] if key[0] not in spared)


def _of_prometheus(one: Any) -> tuple[Key, bool, float]:
    labels = one["labels"]
    since_seconds = datetime.fromisoformat(_microseconds(one["activeAt"])).timestamp()
    return (labels["alertname"], told_apart(labels)), one["state"] == "firing", since_seconds


def _microseconds(text: str) -> str:
    """Cut what Go writes to what Python reads: nine digits behind the point to six."""
    whole, point, rest = text.removesuffix("Z").partition(".")
    return f"{whole}{point}{rest[:6]}+00:00"


def _of_built_in(one: Any) -> tuple[Key, bool, float]:
    return (one["alert"], told_apart(one["labels"])), one["state"] == "firing", one["since_ms"] / 1_000


def now_seconds() -> float:
    """Return the time of day, as engines and receivers have it."""
    return time.time()
