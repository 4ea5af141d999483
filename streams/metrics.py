"""The process's metrics: made from the catalogue's entries, counted cheaply, shown to Prometheus.

Names, labels and buckets stand in `processors/telemetry/catalogue.py` and nowhere else. Children are cached here, for
`labels()` of prometheus_client costs three times what counting does; histograms are our own, for they count a whole
batch at once.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Generic, TypeAlias, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.exposition import choose_encoder, generate_latest
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar
from prometheus_client.utils import floatToGoString
from typing_extensions import override

from processors.telemetry.catalogue import Kind, Metric

_SORTED_MIN: Final = 32
"""From so many values on, sorting them and searching the bounds is cheaper than the other way round."""

Child = TypeVar("Child")
Pairs: TypeAlias = tuple[tuple[str, str], ...]
"""Labels with their values, in the catalogue's order."""

# A second series for each counter says when it was made: it doubles what is scraped, and rates do not need it.
disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client has no types here


class Family(Generic[Child]):
    """One metric and its children, each made once."""

    def __init__(
        self,
        metric: Metric,
        make: Callable[[tuple[str, ...]], Child],
        drop: Callable[[tuple[str, ...]], object] = lambda _: None,
    ) -> None:
        self.metric = metric
        self._make = make
        self._drop = drop
        self._children: dict[tuple[str, ...], Child] = {}
        if not metric.labels:
            self.of()  # One without labels is shown from the start, as 0.
        for labels in metric.begins:
            self.of(*labels)

    def of(self, *labels: str) -> Child:
        """Return the child with these label values, in the order of the catalogue."""
        child = self._children.get(labels)
        if child is None:
            if len(labels) != len(self.metric.labels):
                raise ValueError(f"{self.metric.name} has the labels {self.metric.labels}, not {labels}")
            child = self._children[labels] = self._make(labels)
        return child

    def forget(self, *labels: str) -> None:
        """Show the child with these label values no more; nothing happens if there is none."""
        if self._children.pop(labels, None) is not None:
            self._drop(labels)

    @property
    def children(self) -> Mapping[tuple[str, ...], Child]:
        """All children, by their label values."""
        return self._children


class Histogram:
    """One child of a histogram: counts by bucket. Not for several threads at once."""

    __slots__ = ("_bounds", "counts", "exemplars", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """Not added up; the last one is what lies above all bounds."""
        self.sum = 0.0
        self.exemplars: dict[int, Exemplar] = {}
        """By bucket: one of the values that a trace tells more about."""

    def exemplify(self, value: float, trace_id: str, at_seconds: float) -> None:
        """Let a trace stand for the bucket of a value that is counted elsewhere."""
        self.exemplars[bisect_left(self._bounds, value)] = Exemplar({"trace_id": trace_id}, value, at_seconds)

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def observe_many(self, values: Sequence[float]) -> None:
        """Count many values at once: 0.1 µs each instead of prometheus_client's 0.7."""
        if len(values) < _SORTED_MIN:
            bounds, counts = self._bounds, self.counts
            for value in values:
                counts[bisect_left(bounds, value)] += 1
        else:
            self._count_sorted(sorted(values))
        self.sum += sum(values)

    def _count_sorted(self, values: list[float]) -> None:
        at = 0
        for index, bound in enumerate(self._bounds):
            upto = bisect_right(values, bound, at)
            self.counts[index] += upto - at
            at = upto
        self.counts[-1] += len(values) - at

    def observe_since(self, sorted_ms: Sequence[int], now_ms: float) -> None:
        """Count in seconds how long ago each moment was, the earliest first: no number is made for each of them."""
        earlier = len(sorted_ms)
        for index, bound in enumerate(self._bounds):
            upto = bisect_left(sorted_ms, now_ms - bound * 1_000, 0, earlier)
            self.counts[index] += earlier - upto
            earlier = upto
        self.counts[-1] += earlier
        self.sum += (now_ms * len(sorted_ms) - sum(sorted_ms)) / 1_000

    def observe_counts(self, counts: Sequence[int], total: float) -> None:
        """Add values that were put into these very buckets before, and their sum."""
        if len(counts) != len(self.counts):
            raise ValueError(f"{len(counts)} counts for {len(self.counts)} buckets")
        for index, count in enumerate(counts):
            self.counts[index] += count
        self.sum += total


class BulkHistogram(Collector):
    """Shows a family of histograms to Prometheus."""

    def __init__(self, metric: Metric) -> None:
        self.family: Final = Family(metric, lambda _: Histogram(metric.buckets))
        self._bounds = [*map(floatToGoString, metric.buckets), "+Inf"]

    @override
    def collect(self) -> Iterator[HistogramMetricFamily]:
        """See `prometheus_client.registry.Collector`."""
        metric = self.family.metric
        shown = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for labels, child in list(self.family.children.items()):
            buckets: list[Any] = []
            total = 0
            for index, (bound, count) in enumerate(zip(self._bounds, list(child.counts), strict=True)):
                total += count
                exemplar = child.exemplars.get(index)
                buckets.append((bound, float(total)) if exemplar is None else (bound, float(total), exemplar))
            shown.add_metric(labels, buckets, child.sum)
        yield shown

    def points(self) -> Iterator[tuple[str, Pairs, float]]:
        """Yield each series as Prometheus names it, with its value."""
        metric = self.family.metric
        named, count_name, sum_name = f"{metric.name}_bucket", f"{metric.name}_count", f"{metric.name}_sum"
        for labels, child in list(self.family.children.items()):
            own = tuple(zip(metric.labels, labels, strict=True))
            total = 0
            for bound, count in zip(self._bounds, child.counts, strict=True):
                total += count
                yield named, (*own, ("le", bound)), total
            yield count_name, own, total
            yield sum_name, own, child.sum


class Metrics:
    """A registry and the families in it. Asking twice for an entry gives the same family."""

    def __init__(self) -> None:
        self.registry: Final = CollectorRegistry()
        self._counters: dict[str, Family[Counter]] = {}
        self._gauges: dict[str, Family[Gauge]] = {}
        self._histograms: dict[str, Family[Histogram]] = {}
        self._bulks: list[BulkHistogram] = []

    def counter(self, metric: Metric) -> Family[Counter]:
        """Return the family of a counter."""
        found = self._counters.get(metric.name)
        if found is None:
            _require(metric, Kind.COUNTER)
            made = Counter(metric.name, metric.help, metric.labels, registry=self.registry)
            found = Family(metric, lambda labels: made.labels(*labels) if labels else made, lambda of: made.remove(*of))
            self._counters[metric.name] = found
        return found

    def gauge(self, metric: Metric) -> Family[Gauge]:
        """Return the family of a gauge."""
        found = self._gauges.get(metric.name)
        if found is None:
            _require(metric, Kind.GAUGE)
            made = Gauge(metric.name, metric.help, metric.labels, registry=self.registry)
            found = Family(metric, lambda labels: made.labels(*labels) if labels else made, lambda of: made.remove(*of))
            self._gauges[metric.name] = found
        return found

    def histogram(self, metric: Metric) -> Family[Histogram]:
        """Return the family of a histogram."""
        found = self._histograms.get(metric.name)
        if found is None:
            _require(metric, Kind.HISTOGRAM)
            bulk = BulkHistogram(metric)
            self.registry.register(bulk)
            self._bulks.append(bulk)
            found = self._histograms[metric.name] = bulk.family
        return found

    def exposition(self) -> bytes:
        """Return all metrics as Prometheus reads them."""
        return generate_latest(self.registry)

    def shown(self, accept: str) -> tuple[bytes, str]:
        """Return all metrics and their content type for who asks with this `Accept`: exemplars are OpenMetrics only."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def points(self) -> Iterator[tuple[str, Pairs, float]]:
        """Yield all series with their values: a tenth of what an exposition takes."""
        for counters in list(self._counters.values()):
            metric = counters.metric
            for labels, counter in list(counters.children.items()):
                # `tests/streams/test_metrics.py` watches that prometheus_client still keeps it here.
                yield metric.name, tuple(zip(metric.labels, labels, strict=True)), counter._value.get()  # noqa: SLF001
        for gauges in list(self._gauges.values()):
            metric = gauges.metric
            for labels, gauge in list(gauges.children.items()):
                value = next(iter(gauge._child_samples())).value  # noqa: SLF001
                yield metric.name, tuple(zip(metric.labels, labels, strict=True)), value
        for bulk in self._bulks:
            yield from bulk.points()


def _require(metric: Metric, kind: Kind) -> None:
    if metric.kind is not kind:
        raise ValueError(f"{metric.name} is a {metric.kind}, not a {kind}")


PROCESS: Final = Metrics()
"""What this process shows at `/metrics`. One process, one port."""


def counter(metric: Metric) -> Family[Counter]:
    """Return the process's family of a counter."""
    return PROCESS.counter(metric)


def gauge(metric: Metric) -> Family[Gauge]:
    """Return the process's family of a gauge."""
    return PROCESS.gauge(metric)


def histogram(metric: Metric) -> Family[Histogram]:
    """Return the process's family of a histogram."""
    return PROCESS.histogram(metric)
