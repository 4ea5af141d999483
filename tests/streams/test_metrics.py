"""Metrics are made from the catalogue, and counted in bulk as prometheus_client would count them one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client import Histogram as Reference
from prometheus_client.parser import text_string_to_metric_families

from processors.telemetry import catalogue
from streams.metrics import Metrics

VALUES = st.lists(st.floats(min_value=0, max_value=20) | st.sampled_from(catalogue.LATENCY_SECONDS), max_size=200)


def buckets(exposition: str, name: str) -> dict[str, float]:
    return {
        sample.labels["le"]: sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
        if sample.name == f"{name}_bucket"
    }


@given(VALUES, VALUES)
def test_counting_in_bulk_is_counting_one_by_one(first: list[float], second: list[float]) -> None:
    registry = CollectorRegistry()
    reference = Reference("reference", "As it is.", buckets=catalogue.LATENCY_SECONDS, registry=registry)
    metrics = Metrics()
    child = metrics.histogram(catalogue.COMMIT_DURATION).of()
    child.observe_many(first)
    for value in first + second:
        reference.observe(value)
    for value in second:
        child.observe(value)
    found = metrics.exposition().decode()
    must = {
        sample.labels["le"]: sample.value for f in registry.collect() for sample in f.samples if "le" in sample.labels
    }
    assert buckets(found, catalogue.COMMIT_DURATION.name) == must
    assert child.sum == pytest.approx(sum(first) + sum(second))
    assert f"{catalogue.COMMIT_DURATION.name}_count {float(len(first) + len(second))}" in found


@given(
    st.lists(st.integers(min_value=0, max_value=20_000), max_size=200), st.integers(min_value=15_000, max_value=30_000)
)
def test_moments_are_counted_as_their_ages_would_be(moments_ms: list[int], now_ms: int) -> None:
    metrics = Metrics()
    by_moment, by_age = metrics.histogram(catalogue.END_TO_END).of("a"), metrics.histogram(catalogue.END_TO_END).of("b")
    by_moment.observe_since(sorted(moments_ms), now_ms)
    for moment_ms in moments_ms:
        by_age.observe((now_ms - moment_ms) / 1_000)
    assert by_moment.counts == by_age.counts
    assert by_moment.sum == pytest.approx(by_age.sum)


def test_values_counted_elsewhere_are_added() -> None:
    child = Metrics().histogram(catalogue.BATCH).of("ingest")
    child.observe_counts([1] * (len(catalogue.BATCH_RECORDS) + 1), 100)
    child.observe_counts([2] * (len(catalogue.BATCH_RECORDS) + 1), 50)
    assert child.counts == [3] * (len(catalogue.BATCH_RECORDS) + 1)
    assert child.sum == 150
    with pytest.raises(ValueError, match="buckets"):
        child.observe_counts([1], 1)


def test_every_metric_of_the_catalogue_can_be_made_and_shown() -> None:
    metrics = Metrics()
    for metric in catalogue.METRICS:
        family = getattr(metrics, metric.kind.value)(metric)
        family.of(*("x" for _ in metric.labels))
    shown = metrics.exposition().decode()
    for metric in catalogue.METRICS:
        assert f"# HELP {metric.name.removesuffix('_total')}" in shown
    assert "_created" not in shown


def test_asking_twice_gives_the_same_child() -> None:
    metrics = Metrics()
    one = metrics.counter(catalogue.HOP_INPUT).of("ingest")
    assert metrics.counter(catalogue.HOP_INPUT).of("ingest") is one


def test_a_metric_is_asked_for_as_what_it_is() -> None:
    metrics = Metrics()
    with pytest.raises(ValueError, match="is a gauge"):
        metrics.counter(catalogue.LAG_RECORDS)
    with pytest.raises(ValueError, match="has the labels"):
        metrics.counter(catalogue.SIGNALS).of("ingest")
