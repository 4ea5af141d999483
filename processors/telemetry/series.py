"""The series that all processes tell, kept so that rules and pages can ask for them: bounded, thinned, indexed.

A process tells what has changed, and now and then all (`samples`). So a series is what its process said last, until a
whole sample comes without it, its process leaves, or is silent for too long: then it has ended, at once. `up` says of
each process whether it tells: 1, or 0 while it is silent; what has left as it should is not missed.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from processors.telemetry.families import Families
from processors.telemetry.promql.matchers import Matcher
from processors.telemetry.promql.series import NAME
from processors.telemetry.runs import Axis, Run, Tier
from processors.telemetry.samples import Labels, Sample

UP: Final = "up"
INSTANCES_MAX: Final = 500
"""Processes. Each has an axis of its own."""
REFUSED_MAX: Final = 10_000
"""Series of a process that were refused and are known as such, so that each counts once."""
STEP_BACK_MS: Final = 60_000
"""A process whose clock goes back by more than this begins anew."""
SWEEP_LEAST: Final = 16
SWEEP_SHARE: Final = 512
"""At each sample, a few series and one in so many of all are thinned: never all of them at once."""
PRESSED_BY: Final = 0.8
"""When points run short, thinning begins this much earlier, round by round."""
PRESSED_LEAST: Final = 0.02


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept."""

    series_max: int = 20_000
    points_max: int = 5_000_000
    """Values in all, at 16 bytes each. What is short of room is thinned earlier; then changes replace one another."""
    tiers: tuple[Tier, ...] = (Tier(900_000, 15_000), Tier(21_600_000, 120_000))
    oldest_ms: int = 3 * 86_400_000 + 3_600_000
    """Three days, for the longest windows that rules look back, and somewhat more."""
    silent_ms: int = 10_000
    """A process that has not told anything for so long is down."""
    missed_ms: int = 3_600_000
    """For so long one that is silent is missed; then it is taken as gone."""


class _Instance:
    """One process: its moments, and its series as they are now."""

    __slots__ = ("axis", "job", "left", "live", "name", "refused", "silent", "told_ms", "up")

    def __init__(self, job: str, name: str) -> None:
        self.job = job
        self.name = name
        self.axis = Axis()
        self.live: dict[tuple[str, Labels], Run] = {}
        self.refused: set[tuple[str, Labels]] = set()
        self.silent = False
        self.left = False
        self.told_ms = 0
        self.up: Run | None = None


class SeriesStore:
    """Takes samples, and answers the evaluator: it is a `Source`."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.refused = 0
        """Series that were not kept for want of room."""
        self.squeezed = 0
        """Values that replaced the one before, for want of room."""
        self.points = 0
        self.newest_ms = 0
        """The newest moment that any process told of."""
        self._families = Families()
        self._runs: dict[tuple[tuple[str, str], ...], Run] = {}
        self._instances: dict[tuple[str, str], _Instance] = {}
        self._sweep: deque[Run | _Instance] = deque()
        self._pressed = 1.0
        self._now_ms = 0

    def __len__(self) -> int:
        return len(self._runs)

    def instances(self) -> list[tuple[str, str, bool]]:
        """Return the processes there are: job, name, and whether it tells."""
        return [(one.job, one.name, not one.silent) for one in self._instances.values() if not one.left]

    def select(self, name: str, matchers: tuple[Matcher, ...], from_ms: int, to_ms: int) -> list[Run]:
        """Return the series that match and may have values between two times."""
        found = self._families.find(name, matchers)
        return [run for run in found if run.changed[0] <= to_ms and (run.live or run.changed[-1] >= from_ms)]

    # ---- what comes in
    def take(self, sample: Sample) -> None:
        """Take in what one process tells."""
        instance = self._instance(sample)
        if instance is None:
            return
        if instance.told_ms and sample.at_ms - instance.told_ms > self.limits.silent_ms:
            self._fall_silent(instance)
        # Late ones happen after a silence, and twice the same after a crash: their values count, a bit later.
        at_ms = max(sample.at_ms, instance.axis.last_ms + 1)
        instance.axis.add(at_ms)
        instance.told_ms = at_ms
        self.newest_ms = max(at_ms, self.newest_ms)
        if instance.up is None:
            instance.up = self._new(instance, UP, ())
        if instance.up is not None:
            self._put(instance.up, at_ms, 1.0)
        if instance.silent and not sample.whole:
            for run in instance.live.values():
                self._put(run, at_ms, run.known)
        instance.silent = instance.left = False
        self._take_points(instance, sample, at_ms)
        if sample.leaving:
            self._leave(instance, at_ms + 1)
        self._thin(SWEEP_LEAST + len(self._sweep) // SWEEP_SHARE)

    def silent(self, now_ms: int) -> None:
        """Look who has been silent for too long. To be called whenever rules are about to be judged."""
        self._now_ms = max(now_ms, self._now_ms)
        for instance in self._instances.values():
            quiet_ms = now_ms - instance.told_ms
            if instance.left or quiet_ms <= self.limits.silent_ms:
                continue
            self._fall_silent(instance)
            at_ms = max(now_ms, instance.axis.last_ms + 1)
            if quiet_ms > self.limits.missed_ms:
                self._leave(instance, at_ms)
            else:
                instance.axis.add(at_ms)
        self._thin(SWEEP_LEAST)

    def _fall_silent(self, instance: _Instance) -> None:
        """End what a process told, some time after it last did; it is down, until it tells again."""
        if instance.silent or instance.left:
            return
        instance.silent = True
        at_ms = max(instance.told_ms + self.limits.silent_ms, instance.axis.last_ms + 1)
        instance.axis.add(at_ms)
        for run in instance.live.values():
            self.points += run.end(at_ms)
        if instance.up is not None:
            self._put(instance.up, at_ms, 0.0)

    def _instance(self, sample: Sample) -> _Instance | None:
        key = (sample.job, sample.instance)
        instance = self._instances.get(key)
        if instance is not None and sample.at_ms < instance.axis.last_ms - STEP_BACK_MS:
            self._forget(instance)
            instance = None
        if instance is None:
            if len(self._instances) >= INSTANCES_MAX and not self._make_room():
                self.refused += len(sample.points)
                return None
            instance = self._instances[key] = _Instance(*key)
            self._sweep.append(instance)
        return instance

    def _make_room(self) -> bool:
        """Drop who left longest ago, with all that it told."""
        gone = [one for one in self._instances.values() if one.left]
        if gone:
            self._forget(min(gone, key=lambda one: one.told_ms))
        return bool(gone)

    def _take_points(self, instance: _Instance, sample: Sample, at_ms: int) -> None:
        live = instance.live
        full = self.points >= self.limits.points_max
        points = 0
        for point in sample.points:
            key = (point.name, point.labels)
            run = live.get(key)
            if run is None:
                run = self._found(instance, key)
                if run is None:
                    continue
                live[key] = run
            if full and run.live:
                self.squeezed += run.replace(at_ms, point.value)
            else:
                points += run.put(at_ms, point.value)
        self.points += points
        if sample.whole and (len(live) != len(sample.points) or instance.refused):
            told = {(point.name, point.labels) for point in sample.points}
            for key in [one for one in live if one not in told]:
                self.points += live.pop(key).end(at_ms)

    def _found(self, instance: _Instance, key: tuple[str, Labels]) -> Run | None:
        """Return the series: one that had ended goes on; else a new one, if there is room."""
        if key in instance.refused:
            return None
        run = self._new(instance, *key)
        if run is None and len(instance.refused) < REFUSED_MAX:
            instance.refused.add(key)
        return run

    def _new(self, instance: _Instance, name: str, labels: Labels) -> Run | None:
        named = {NAME: name}
        for label, value in labels:
            if value:
                # A process does not say which one it is: that is ours to say, as with Prometheus.
                named[f"exported_{label}" if label in {"job", "instance"} else label] = value
        named["job"] = instance.job
        named["instance"] = instance.name
        key = tuple(sorted(named.items()))
        run = self._runs.get(key)
        if run is not None and run.axis is instance.axis:
            return run
        if run is not None:
            self._drop(run)
        if len(self._runs) >= self.limits.series_max:
            self.refused += 1
            return None
        run = self._runs[key] = Run(named, key, name, instance.axis)
        self._families.add(run)
        self._sweep.append(run)
        return run

    def _put(self, run: Run, at_ms: int, value: float) -> None:
        self.points += run.put(at_ms, value)

    # ---- what goes
    def _leave(self, instance: _Instance, at_ms: int) -> None:
        """End all that a process told. Its past stays until it is too old."""
        for run in instance.live.values():
            self.points += run.end(at_ms)
        if instance.up is not None:
            self.points += instance.up.end(at_ms)
        instance.axis.add(at_ms)
        instance.live.clear()
        instance.refused.clear()
        instance.left, instance.silent = True, False

    def _forget(self, instance: _Instance) -> None:
        """Drop a process with its past: its clock was wrong, and two axes do not go together."""
        self._instances.pop((instance.job, instance.name), None)
        for run in [one for one in self._runs.values() if one.axis is instance.axis]:
            self._drop(run)

    def _drop(self, run: Run) -> None:
        self.points -= len(run)
        del self._runs[run.key]
        self._families.remove(run)

    def _thin(self, count: int) -> None:
        """Thin the next few series. Each comes again when all others have had their turn."""
        limits, sweep = self.limits, self._sweep
        # The clock of who judges, if it is known: one process whose clock is ahead must not make all others old.
        now_ms = self._now_ms or self.newest_ms
        if self.points > limits.points_max * PRESSED_BY:
            count *= 4
            self._pressed = max(PRESSED_LEAST, self._pressed * (1 - 1 / max(len(sweep), 50)))
        elif self._pressed < 1:
            self._pressed = min(1.0, self._pressed * (1 + 1 / max(len(sweep), 50)))
        tiers, oldest_ms = limits.tiers, now_ms - int(limits.oldest_ms * self._pressed)
        if self._pressed < 1:
            tiers = tuple(Tier(int(tier.older_ms * self._pressed), tier.step_ms) for tier in tiers)
        for _ in range(min(count, len(sweep))):
            one = sweep.popleft()
            if isinstance(one, _Instance):
                one.axis.thin(now_ms, tiers, oldest_ms)
                keep = self._instances.get((one.job, one.name)) is one
                if keep and one.left and not one.axis.times:
                    del self._instances[one.job, one.name]
                    keep = False
            else:
                keep = self._runs.get(one.key) is one
                if keep:
                    self.points -= one.thin(now_ms, tiers, oldest_ms)
                    if one.over(oldest_ms):
                        self._drop(one)
                        keep = False
            if keep:
                sweep.append(one)
