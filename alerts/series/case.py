"""What one test of a rule is made of: series in promtool's notation, and what must be raised at which moments."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from processors.telemetry.catalogue import Metric

EVERY_SECONDS: Final = 10
JOB: Final = "worker"
INSTANCE: Final = "worker-0@a"
"""Of series that say nothing else."""

Series: TypeAlias = Mapping[str, str]
"""A selector, `name{label="value"}`, and its values: `0+10x20` is 0, 10, … 200; `_` is none; `stale` ends it."""


@dataclass(frozen=True, slots=True)
class Raised:
    """One alert that is raised: its labels without severity, its value as `%.6g` writes it, and its threshold."""

    value: str
    labels: Mapping[str, str] = field(default_factory=dict)
    threshold: str = ""
    """Empty: the rule's default."""


@dataclass(frozen=True, slots=True)
class At:
    """What is raised at a moment: nothing else, and nothing less."""

    seconds: int
    raised: tuple[Raised, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """One test."""

    rule: str
    title: str
    series: Series
    moments: tuple[At, ...]
    every_seconds: int = EVERY_SECONDS
    """Between two values, and between two checks."""
    thresholds: Series = field(default_factory=dict)
    """By tenant; the empty one is the default. What is left out is as the rule has it."""
    all_thresholds: bool = False
    """Those of all other rules are there, too."""

    @property
    def checks(self) -> int:
        """How many checks there are up to the last moment."""
        return max(at.seconds for at in self.moments) // self.every_seconds + 1


def of(metric: Metric | str, suffix: str = "", **labels: str) -> str:
    """Return the selector of a series."""
    name = metric if isinstance(metric, str) else metric.name
    if "job" not in labels:
        labels = {"job": JOB, "instance": INSTANCE, **labels}
    inside = ",".join(f'{label}="{value}"' for label, value in labels.items())
    return f"{name}{suffix}{{{inside}}}"


def at(seconds: int, value: str = "", threshold: str = "", **labels: str) -> At:
    """Return a moment at which nothing is raised, or with a value one alert."""
    return At(seconds, (Raised(value, labels, threshold),) if value else ())


def quiet(rule: str, title: str, series: Series, *seconds: int, every_seconds: int = EVERY_SECONDS) -> Case:
    """Return a test in which nothing is ever raised."""
    return Case(rule, title, series, tuple(At(second) for second in seconds), every_seconds)


def histogram(metric: Metric, le: Mapping[str, str], **labels: str) -> dict[str, str]:
    """Return the buckets of a histogram: how many, by upper bound."""
    return {of(metric, "_bucket", **labels, le=bound): notation for bound, notation in le.items()}
