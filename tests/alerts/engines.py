"""Give the same series to both engines. The built-in one judges at each step; Prometheus must say the same."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from alerts import promtool
from alerts.catalogue import BY_NAME
from alerts.series.case import At, Case, Raised
from alerts.workers import UP
from processors.alerting.judge import Judge
from processors.alerting.states import State
from processors.alerting.thresholds import Thresholds
from processors.telemetry import catalogue
from processors.telemetry.promql import Matcher, Recorded, Source, is_stale
from processors.telemetry.samples import VERSION, Point, Sample
from processors.telemetry.series import Limits, SeriesStore
from tests.alerts.notation import selector, values

BEGAN_MS: Final = 1_700_000_000_000
FAILED: Final = re.compile(r"alertname: (\w+), time: ")


@dataclass(frozen=True, slots=True)
class Written:
    """One series of a case."""

    name: str
    labels: dict[str, str]
    values: list[float | None]


def written(case: Case) -> list[Written]:
    """Return the series of a case with its thresholds, as both engines get them."""
    return [
        Written(*selector(text), values(notation))
        for text, notation in {**promtool.threshold_series(case), **case.series}.items()
    ]


class Plain:
    """All series as they are written: a source without any cleverness."""

    def __init__(self, case: Case) -> None:
        self._series = [_recorded(one, case.every_seconds) for one in written(case)]

    def select(self, name: str, matchers: tuple[Matcher, ...], from_ms: int, to_ms: int) -> Iterable[Recorded]:
        return [
            one
            for one in self._series
            if one.labels["__name__"] == name
            and one.times
            and one.times[0] <= to_ms
            and one.times[-1] >= from_ms
            and all(each.matches(one.labels.get(each.label, "")) for each in matchers)
        ]


def _recorded(one: Written, every_seconds: int) -> Recorded:
    known = [(BEGAN_MS + step * every_seconds * 1_000, value) for step, value in enumerate(one.values)]
    kept = [(at_ms, value) for at_ms, value in known if value is not None]
    labels = {"__name__": one.name, **one.labels}
    return Recorded(labels, [at_ms for at_ms, _ in kept], [value for _, value in kept])


def plain_verdicts(case: Case) -> list[At]:
    """Return what the built-in engine raises at each step, over the plain source."""
    source = Plain(case)
    return list(_verdicts(case, lambda _: source))


def stored_verdicts(case: Case) -> list[At]:
    """Return what it raises over the watch's own store, fed by samples as processes tell them."""
    store = SeriesStore(Limits(silent_ms=case.every_seconds * 1_000 - 1))
    told: dict[tuple[str, str], list[Written]] = {}
    for one in written(case):
        told.setdefault((one.labels["job"], one.labels["instance"]), []).append(one)

    def tell(step: int) -> Source:
        at_ms = BEGAN_MS + step * case.every_seconds * 1_000
        for (job, instance), series in told.items():
            up = next((one.values[step] if step < len(one.values) else None for one in series if one.name == UP), 1.0)
            points = tuple(_points(series, step))
            if up is not None and (up == 1 or is_stale(up)):
                leaves = is_stale(up)
                # Who leaves has gone a moment after its last word.
                told_ms = at_ms - 2 if leaves else at_ms
                store.take(Sample(VERSION, job, instance, told_ms, whole=True, leaving=leaves, points=points))
        store.silent(at_ms)
        return store

    return list(_verdicts(case, tell))


def _points(series: Sequence[Written], step: int) -> Iterator[Point]:
    for one in series:
        value = one.values[step] if step < len(one.values) else None
        if one.name != UP and value is not None and not is_stale(value):
            labels = {name: text for name, text in one.labels.items() if name not in {"job", "instance"}}
            yield Point(one.name, tuple(sorted(labels.items())), value)


def _verdicts(case: Case, source_at: Callable[[int], Source]) -> Iterator[At]:
    rule = BY_NAME[case.rule]
    judge, thresholds = Judge([rule]), Thresholds([rule])
    moved = {one.labels.get("tenant", ""): one.values for one in written(case) if _is_threshold(one, case)}
    for step in range(case.checks):
        if rule.threshold is not None:
            for tenant, known in moved.items():
                value = known[step]
                assert value is not None
                assert thresholds.set(case.rule, tenant, value) is None
        source = source_at(step)
        at_ms = BEGAN_MS + step * case.every_seconds * 1_000
        judge.check(source, thresholds, at_ms)
        assert not judge.failures
        firing = [alert for alert in judge.active() if alert.state is State.FIRING]
        raised = [
            Raised(f"{one.value:.6g}", one.labels, "" if one.threshold is None else f"{one.threshold:.6g}")
            for one in firing
        ]
        yield At(step * case.every_seconds, tuple(sorted(raised, key=lambda one: sorted(one.labels.items()))))


def _is_threshold(one: Written, case: Case) -> bool:
    return one.name == catalogue.ALERT_THRESHOLD.name and one.labels.get("alert") == case.rule


def prometheus_disagrees(cases: Sequence[Case], folder: Path) -> tuple[list[str], int, str]:
    """Ask Prometheus at each step whether it raises what the built-in engine does.

    Returns the rules that they do not agree about, how many moments were compared, and what promtool said.
    """
    asked = [replace(case, moments=tuple(plain_verdicts(case))) for case in cases]
    ran = promtool.test_rules(asked, folder)
    disagreed = FAILED.findall(ran.said)
    if not ran.passed and not disagreed:
        raise AssertionError(ran.said)
    return disagreed, sum(len(case.moments) for case in asked), ran.said
