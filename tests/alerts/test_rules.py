"""What each rule must have, and that the search for what lacks it can fail."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import pytest

from alerts.catalogue import ALL, BY_NAME, RECORDINGS
from alerts.inhibition import ALL as INHIBITIONS
from alerts.prometheus import expression
from alerts.recording import with_recorded
from alerts.series.catalogue import ALL as CASES
from alerts.series.catalogue import UNCEASING
from processors.alerting.rule import Rule, Threshold
from processors.telemetry import catalogue
from streams.metrics import Metrics
from streams.telemetry import LaneObserver

NAME: Final = re.compile(r"[A-Z][A-Za-z0-9]{2,39}")
LABELS_SAID: Final = re.compile(r"\{\{ \$labels\.(\w+) \}\}")
SAID: Final = re.compile(r"\{\{ (\$value|\$labels\.\w+) \}\}")
METRIC: Final = re.compile(r"\bhopline_[a-z0-9_]+")
WINDOW: Final = re.compile(r"\[(\d+)([smhd])\]")
SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
UNITS: Final = {"s", "short", "percentunit", "reqps", "bytes"}
"""Those that a panel shows and a description can say."""
SHOWN: Final = {metric.name for metric in catalogue.METRICS} | {
    f"{metric.name}_bucket" for metric in catalogue.METRICS if metric.kind is catalogue.Kind.HISTOGRAM
}

each_rule = pytest.mark.parametrize("rule", ALL, ids=[rule.name for rule in ALL])


def faults(rule: Rule) -> Iterator[str]:
    """Yield what is wrong with a rule."""
    if not NAME.fullmatch(rule.name):
        yield "its name is not CamelCase of at most 40 characters"
    if not rule.summary.endswith(".") or "{{" in rule.summary:
        yield "its summary is not fixed text that ends in a period"
    if not rule.description.endswith(".") or "{{" in SAID.sub("", rule.description):
        yield "its description is no sentence with labels and the value"
    if not re.fullmatch(r"[a-z-]+\.md#[a-z0-9-]+", rule.runbook):
        yield "its runbook is no page with a heading"
    if rule.threshold is not None:
        yield from threshold_faults(rule, rule.threshold)
    if unknown := set(METRIC.findall(rule.signal)) - SHOWN:
        yield f"nobody shows {sorted(unknown)}"
    windows = [int(number) * SECONDS[unit] for number, unit in WINDOW.findall(rule.signal)]
    if max(windows, default=0) > rule.window_seconds:
        yield "it looks further back than window_seconds says"


def threshold_faults(rule: Rule, threshold: Threshold) -> Iterator[str]:
    """Yield what is wrong with what it compares with."""
    if threshold.unit not in UNITS:
        yield f"no panel has the unit {threshold.unit}"
    if not threshold.least <= threshold.default <= threshold.most:
        yield "its default is none that a directive could set"
    if threshold.per_tenant and "tenant" not in rule.signal:
        yield "tenants have thresholds of their own, and its signal has no label tenant"
    if rule.threshold and "{{ $value }}" not in rule.description and threshold.most > 1:
        yield "its description does not say the value"


@each_rule
def test_it_has_all_that_a_rule_must_have(rule: Rule) -> None:
    assert not list(faults(rule))


@pytest.mark.parametrize(
    "change",
    [
        {"name": "lag_high"},
        {"name": "L" * 41},
        {"summary": "Late"},
        {"summary": "{{ $value }} late."},
        {"description": "{{ $labels.topic | toUpper }} is late."},
        {"runbook": "lag.md"},
        {"threshold": Threshold(30, "seconds")},
        {"threshold": Threshold(30, "s", most=10)},
        {"threshold": Threshold(30, "s", per_tenant=True)},
        {"signal": "max(hopline_lag_minutes)"},
        {"signal": "rate(hopline_signals_total[1h])"},
    ],
)
def test_each_fault_is_found(change: dict[str, object]) -> None:
    assert list(faults(replace(BY_NAME["LagHigh"], **change)))  # type: ignore[arg-type]  # faults are planted


def test_no_two_rules_have_one_name() -> None:
    assert len(BY_NAME) == len(ALL)


@each_rule
def test_series_raise_it_and_end_it_and_others_do_not(rule: Rule) -> None:
    cases = [case for case in CASES if case.rule == rule.name]
    firing = [case for case in cases if any(at.raised for at in case.moments)]
    assert firing, "no series raise it"
    if rule.name not in UNCEASING:
        ended = [case for case in firing if case.moments[-1].seconds and not case.moments[-1].raised]
        assert ended, "no series shows that it is cleared"
        assert [case for case in firing if not case.moments[0].raised or rule.for_seconds == 0]
        assert [case for case in cases if not any(at.raised for at in case.moments)], "no series spares it"


@each_rule
def test_its_description_names_labels_that_its_alerts_have(rule: Rule) -> None:
    raised = [each for case in CASES if case.rule == rule.name for at in case.moments for each in at.raised]
    assert raised
    assert all(set(LABELS_SAID.findall(rule.description)) <= set(each.labels) for each in raised)


def test_series_are_of_rules_that_are_there() -> None:
    assert {case.rule for case in CASES} == set(BY_NAME)


def test_two_series_of_a_rule_have_two_titles() -> None:
    titles = [(case.rule, case.title) for case in CASES]
    assert len(titles) == len(set(titles))


def test_inhibitions_are_of_rules_that_are_there_and_none_inhibits_itself() -> None:
    for each in INHIBITIONS:
        assert {each.cause, *each.silenced} <= set(BY_NAME)
        assert each.cause not in each.silenced


@pytest.mark.parametrize("recording", RECORDINGS[:-1], ids=[each.name for each in RECORDINGS[:-1]])
def test_what_is_recorded_is_what_rules_ask(recording: object) -> None:
    name = recording.name  # type: ignore[attr-defined]  # parametrised
    assert any(name in with_recorded(rule.signal, RECORDINGS) for rule in ALL)


@each_rule
def test_prometheus_compares_with_the_metric_alone(rule: Rule) -> None:
    """Arithmetic beside it would match no labels, and never be raised."""
    text = expression(rule)
    if rule.threshold is None:
        assert f"max({catalogue.ALERT_THRESHOLD.name}" not in text
    else:
        own = f'max({catalogue.ALERT_THRESHOLD.name}{{alert="{rule.name}",tenant=""}})'
        assert text.endswith(f"\n{rule.compare.value} on () group_left () {own}")


SHOWN_BY_WHO_COUNTS: Final = {
    catalogue.DIRECTIVES: "the worker shows each kind's failures from the start",
    catalogue.SPANS: "the tracer shows each end from the start",
    catalogue.WATCH_PART_FAILURES: "the watch shows each part's failures when it begins it",
    catalogue.ALERT_CHECK_FAILURES: "a rule that cannot be judged fails at each check, not once",
}


@pytest.mark.parametrize(
    "rule",
    [rule for rule in ALL if "increase(" in rule.signal and rule.threshold and not rule.threshold.default],
    ids=lambda rule: rule.name,
)
def test_what_a_rule_counts_from_the_first_one_is_shown_before_it(rule: Rule) -> None:
    """A counter that comes as 1 has not increased, for any engine."""
    counted = [metric for metric in catalogue.METRICS if metric.name in METRIC.findall(rule.signal)]
    assert counted
    for metric in counted:
        assert not metric.labels or metric.begins or metric in SHOWN_BY_WHO_COUNTS


def test_it_is_shown_from_the_start() -> None:
    metrics = Metrics()
    for metric in catalogue.METRICS:
        if metric.begins:
            metrics.counter(metric)
    LaneObserver(metrics)
    shown = metrics.exposition().decode()
    assert f'{catalogue.DEAD_LETTERS.name}{{hop="ingest",reason="stuck"}} 0.0' in shown
    assert f'{catalogue.HOP_ERRORS.name}{{hop="directives"}} 0.0' in shown
    assert f'{catalogue.GATEWAY_REQUESTS.name}{{status="500"}} 0.0' in shown
    assert f'{catalogue.DIRECTIVES.name}{{kind="hopline.tenant.set",status="failed"}} 0.0' in shown


def test_moments_are_those_of_checks() -> None:
    assert not [(case.rule, at) for case in CASES for at in case.moments if at.seconds % case.every_seconds]
