"""Small questions that the map, the overview and `hopline top` are made of: a metric's figures now, by a label."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Final

from processors.telemetry.catalogue import Kind, Metric
from processors.telemetry.promql import Source, Vector, instant, parse

LABEL_VALUES_MAX: Final = 1_000
"""Of one answer; more are left out."""


@dataclass(frozen=True, slots=True)
class Now:
    """One moment of a source."""

    source: Source
    at_ms: int
    window_seconds: int
    """How far back a rate looks."""

    def ask(self, text: str) -> Sequence[tuple[Mapping[str, str], float]]:
        """Return what a query gives now, without what is no number."""
        found = instant(parse(text), self.source, self.at_ms)
        if not isinstance(found, Vector):
            message = f"{text} is no vector"
            raise TypeError(message)
        return [(labels, value) for labels, value in found if isfinite(value)][:LABEL_VALUES_MAX]

    def by(self, label: str, text: str) -> dict[str, float]:
        """Return what a query gives now, by a label's values."""
        return {labels.get(label, ""): value for labels, value in self.ask(text)}

    def one(self, text: str) -> float | None:
        """Return the single value of a query; None if there is none."""
        found = self.ask(text)
        return found[0][1] if found else None

    def rates(self, metric: Metric, label: str, where: str = "") -> dict[str, float]:
        """Return how fast a counter grows, by a label."""
        return self.by(label, f"sum by ({label}) ({self._rate(metric, where)})")

    def rate(self, metric: Metric, where: str = "") -> float | None:
        """Return how fast a counter grows in all."""
        return self.one(f"sum ({self._rate(metric, where)})")

    def sums(self, metric: Metric, label: str, where: str = "") -> dict[str, float]:
        """Return a gauge added up, by a label."""
        return self.by(label, f"sum by ({label}) ({metric.name}{{{where}}})")

    def worst(self, metric: Metric, label: str, where: str = "") -> dict[str, float]:
        """Return a gauge's greatest value, by a label."""
        return self.by(label, f"max by ({label}) ({metric.name}{{{where}}})")

    def highest(self, metric: Metric) -> float | None:
        """Return a gauge's greatest value of all."""
        return self.one(f"max ({metric.name})")

    def quantiles(self, share: float, metric: Metric, label: str) -> dict[str, float]:
        """Return the value below which so large a share of a histogram's newest observations stay, by a label."""
        counts = self._rate(metric, "", "_bucket")
        return self.by(label, f"histogram_quantile({share:g}, sum by (le, {label}) ({counts}))")

    def quantile(self, share: float, metric: Metric) -> float | None:
        """Return that of all of a histogram."""
        return self.one(f"histogram_quantile({share:g}, sum by (le) ({self._rate(metric, '', '_bucket')}))")

    def busy(self, metric: Metric, label: str) -> dict[str, float]:
        """Return how many seconds a second a histogram of durations has counted, by a label."""
        return self.by(label, f"sum by ({label}) ({self._rate(metric, '', '_sum')})")

    def _rate(self, metric: Metric, where: str, suffix: str = "") -> str:
        if (metric.kind is Kind.HISTOGRAM) != bool(suffix):
            message = f"{metric.name} is a {metric.kind}"
            raise ValueError(message)
        return f"rate({metric.name}{suffix}{{{where}}}[{self.window_seconds}s])"
