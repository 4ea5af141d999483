"""Thresholds: what is in force, who may have one of their own, and what is refused."""

import math

import pytest

from processors.alerting.rule import Rule, Threshold
from processors.alerting.thresholds import OVERRIDES_MAX, Thresholds
from processors.telemetry import catalogue
from tests.processors.alerting.judging import rule

RULES = (rule("Lag", per_tenant=True), rule("Dead", default=3), rule("Absent", default=None))


def moved() -> Thresholds:
    thresholds = Thresholds(RULES)
    assert thresholds.set("Lag", "acme", 50) is None
    assert thresholds.set("Dead", "", 4) is None
    return thresholds


def test_what_is_in_force() -> None:
    thresholds = moved()
    assert (thresholds.of("Lag", "acme"), thresholds.of("Lag", "beta"), thresholds.of("Lag")) == (50, 10, 10)
    assert (thresholds.of("Dead"), thresholds.default("Dead")) == (4, 3)
    assert thresholds.overrides("Lag") == [("acme", 50)]
    assert thresholds.unset("Lag", "acme")
    assert not thresholds.unset("Lag", "acme")
    assert thresholds.of("Lag", "acme") == 10


def test_it_is_a_metric_that_prometheus_compares_with() -> None:
    samples = moved().samples()
    assert {sample.name for sample in samples} == {catalogue.ALERT_THRESHOLD.name}
    assert {(sample.labels, sample.value) for sample in samples} == {
        ((("alert", "Lag"), ("tenant", "")), 10),
        ((("alert", "Lag"), ("tenant", "acme")), 50),
        ((("alert", "Dead"), ("tenant", "")), 4),
    }


def strict() -> Rule:
    made = rule("Strict", per_tenant=True)
    return Rule(
        name=made.name,
        signal=made.signal,
        threshold=Threshold(1, "s", least=0.5, most=2, per_tenant=True),
        severity=made.severity,
        summary=made.summary,
        description=made.description,
        runbook=made.runbook,
    )


@pytest.mark.parametrize(
    "alert, tenant, value, why",
    [
        ("Nothing", "", 1, "no alert Nothing"),
        ("Absent", "", 1, "no alert Absent"),
        ("Dead", "acme", 1, "leave the tenant out"),
        ("Strict", "", 0.4, "between 0.5 and 2 s"),
        ("Strict", "acme", 2.1, "between 0.5 and 2 s"),
        ("Strict", "", math.nan, "between"),
        ("Strict", "", math.inf, "between"),
    ],
)
def test_what_cannot_be_set_says_why_and_changes_nothing(alert: str, tenant: str, value: float, why: str) -> None:
    thresholds = Thresholds((*RULES, strict()))
    before = thresholds.samples()
    assert why in (thresholds.set(alert, tenant, value) or "")
    assert thresholds.samples() == before


def test_overrides_are_bounded() -> None:
    thresholds = Thresholds(RULES)
    for number in range(OVERRIDES_MAX):
        assert thresholds.set("Lag", f"t{number}", 20) is None
    assert "unset" in (thresholds.set("Lag", "one-more", 20) or "")
    assert thresholds.set("Lag", "t0", 30) is None
