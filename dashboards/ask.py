"""Words for the questions that dashboards ask most, as PromQL over the catalogue's metrics.

Each selector is narrowed by the dashboard's job and instance. `where` adds matchers: `hop="ingest",tenant=~"$tenant"`.
"""

from typing import Final

from processors.telemetry.catalogue import Metric

RATE: Final = "$__rate_interval"


def series(metric: Metric, where: str = "", *, suffix: str = "") -> str:
    """Return a metric's series of the chosen processes."""
    narrowed = 'job=~"$job",instance=~"$instance"' + (f",{where}" if where else "")
    return f"{metric.name}{suffix}{{{narrowed}}}"


def per_second(metric: Metric, *by: str, where: str = "", window: str = RATE) -> str:
    """Return how fast a counter grows, added up by labels."""
    return f"{_by('sum', by)} (rate({series(metric, where)}[{window}]))"


def quantile(share: float, metric: Metric, *by: str, where: str = "", window: str = RATE) -> str:
    """Return the value that so large a share of a histogram's observations stay below."""
    counts = f"rate({series(metric, where, suffix='_bucket')}[{window}])"
    return f"histogram_quantile({share:g}, {_by('sum', ('le', *by))} ({counts}))"


def mean(metric: Metric, *by: str, where: str = "") -> str:
    """Return the mean of a histogram's observations."""
    total, count = (
        f"{_by('sum', by)} (rate({series(metric, where, suffix=suffix)}[{RATE}]))" for suffix in ("_sum", "_count")
    )
    return f"{total} / {count}"


def observed_per_second(metric: Metric, *by: str, where: str = "") -> str:
    """Return how many observations a second a histogram has."""
    return f"{_by('sum', by)} (rate({series(metric, where, suffix='_count')}[{RATE}]))"


def heat(metric: Metric, where: str = "") -> str:
    """Return a histogram's buckets, for a heat map."""
    return f"sum by (le) (rate({series(metric, where, suffix='_bucket')}[{RATE}]))"


def total(metric: Metric, *by: str, where: str = "") -> str:
    """Return a gauge, added up by labels."""
    return f"{_by('sum', by)} ({series(metric, where)})"


def worst(metric: Metric, *by: str, where: str = "") -> str:
    """Return a gauge's greatest value, by labels."""
    return f"{_by('max', by)} ({series(metric, where)})"


def mean_ever(metric: Metric) -> str:
    """Return the mean of all that a histogram has observed: for what is too rare for a rate."""
    return f"sum({series(metric, suffix='_sum')}) / sum({series(metric, suffix='_count')})"


def quantile_ever(share: float, metric: Metric) -> str:
    """Return a quantile of all that a histogram has observed."""
    return f"histogram_quantile({share:g}, sum by (le) ({series(metric, suffix='_bucket')}))"


def least(metric: Metric, *by: str, where: str = "") -> str:
    """Return a gauge's least value, by labels."""
    return f"{_by('min', by)} ({series(metric, where)})"


def share(part: str, whole: str) -> str:
    """Return a part of a whole, two rates."""
    return f"{part} / {whole}"


def _by(function: str, labels: tuple[str, ...]) -> str:
    return f"{function} by ({', '.join(labels)})" if labels else function
