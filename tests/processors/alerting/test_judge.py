"""The judge: what an alert says, thresholds, what cannot be judged, bounds, and what a restart finds."""

import dataclasses

import pytest

from processors.alerting.judge import ALERTS_MAX, Judge, UnreadableStateError
from processors.alerting.rule import Compare, Severity
from processors.alerting.states import State, alert_id
from processors.alerting.thresholds import Thresholds
from processors.telemetry.promql import Expr, Selector, Source, Value, instant
from tests.processors.alerting.judging import Now, rule

T0 = 1_000_000


def test_an_alert_says_what_is_wrong() -> None:
    lag = rule(description="{{ $labels.topic }} waits for {{ $value | humanizeDuration }}.")
    (change,) = Judge([lag]).check(Now(T0, {("lag", "a"): 75.5}), Thresholds([lag]), T0)
    assert (change.before, change.after, change.told, change.at_ms) == (State.CLEARED, State.FIRING, True, T0)
    alert = change.alert
    assert alert.id == alert_id("Lag", {"topic": "a"})
    assert (alert.alert, alert.severity, alert.state, alert.labels) == (
        "Lag",
        Severity.WARNING,
        State.FIRING,
        {"topic": "a"},
    )
    assert (alert.value, alert.threshold, alert.since_ms) == (75.5, 10, T0)
    assert (alert.summary, alert.description, alert.runbook) == ("Too much.", "a waits for 1m 15s.", "lag.md")


@pytest.mark.parametrize(
    "compare, raised",
    [(Compare.ABOVE, {"c"}), (Compare.AT_LEAST, {"b", "c"}), (Compare.BELOW, {"a"})],
)
def test_comparisons(compare: Compare, raised: set[str]) -> None:
    lag = rule(compare=compare)
    source = Now(T0, {("lag", "a"): 9.0, ("lag", "b"): 10.0, ("lag", "c"): 11.0, ("lag", "d"): float("nan")})
    changes = Judge([lag]).check(source, Thresholds([lag]), T0)
    assert {change.alert.labels["topic"] for change in changes} == raised


def test_without_a_threshold_each_series_is_an_alert() -> None:
    absent = rule(signal="absent(lag)", default=None, description="nothing")
    judge, source = Judge([absent]), Now(T0, {})
    (change,) = judge.check(source, Thresholds([absent]), T0)
    assert (change.alert.threshold, change.alert.labels, change.alert.description) == (None, {}, "nothing")
    source.values["lag", "a"] = 0.0
    (change,) = judge.check(source, Thresholds([absent]), T0)
    assert (change.before, change.after, change.told) == (State.FIRING, State.CLEARED, True)


def test_a_scalar_is_a_signal_without_labels() -> None:
    late = rule(signal="time()", default=500)
    (change,) = Judge([late]).check(Now(T0), Thresholds([late]), T0)
    assert (change.alert.value, change.alert.labels) == (1_000, {})


def test_a_tenants_own_threshold_and_that_of_all_others() -> None:
    lag = rule(per_tenant=True)
    thresholds, judge = Thresholds([lag]), Judge([lag])
    source = Now(T0, {("lag", tenant): 15.0 for tenant in ("acme", "beta")}, label="tenant")
    assert thresholds.set("Lag", "acme", 100) is None
    (change,) = judge.check(source, thresholds, T0)
    assert (change.alert.labels, change.alert.threshold) == ({"tenant": "beta"}, 10)
    assert thresholds.set("Lag", "", 20) is None
    assert thresholds.unset("Lag", "acme")
    (change,) = judge.check(source, thresholds, T0 + 1)
    assert (change.alert.labels, change.after) == ({"tenant": "beta"}, State.CLEARED)
    assert thresholds.unset("Lag")
    assert {one.alert.threshold for one in judge.check(source, thresholds, T0 + 2)} == {10}


def test_a_rule_that_cannot_be_judged_is_reported_and_stops_no_other() -> None:
    rules = [
        rule("Unreadable", signal="rate(lag)"),
        rule("Untold", description="{{ nonsense }}"),
        rule("Alike", signal='label_replace(lag, "topic", "x", "", "")'),
        rule("Own", signal='label_replace(lag, "__name__", "$1", "topic", "(.*)")'),
        rule("Matrix", signal="lag[5m]"),
        rule("Good"),
    ]
    source = Now(T0, {("lag", "a"): 15.0, ("lag", "b"): 15.0})
    judge = Judge(rules)
    changes = judge.check(source, Thresholds(rules), T0)
    assert {change.alert.alert for change in changes} == {"Good", "Own"}
    assert set(judge.failures) == {"Unreadable", "Untold", "Alike", "Matrix"}
    assert "range is missing" in judge.failures["Unreadable"]


def test_a_bug_in_one_rule_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = [rule("Bad", signal="other"), rule("Good")]
    source = Now(T0, {("lag", "a"): 15.0})

    def planted(expr: Expr, source: Source, at_ms: int) -> Value:
        if isinstance(expr, Selector) and expr.name == "other":
            raise ZeroDivisionError("planted")
        return instant(expr, source, at_ms)

    monkeypatch.setattr("processors.alerting.judge.instant", planted)
    judge = Judge(rules)
    assert [change.alert.alert for change in judge.check(source, Thresholds(rules), T0)] == ["Good"]
    assert judge.failures == {"Bad": "ZeroDivisionError: planted"}


def test_labels_of_a_rule_are_not_those_of_its_series() -> None:
    lag = rule(signal='label_replace(label_replace(lag, "severity", "x", "", ""), "alertname", "y", "", "")')
    (change,) = Judge([lag]).check(Now(T0, {("lag", "a"): 15.0}), Thresholds([lag]), T0)
    assert change.alert.labels == {"topic": "a"}


def test_alerts_of_a_rule_are_bounded_and_those_above_are_counted() -> None:
    lag = rule()
    judge, source = Judge([lag]), Now(T0, {("lag", f"t{number}"): 15.0 for number in range(ALERTS_MAX + 7)})
    assert len(judge.check(source, Thresholds([lag]), T0)) == ALERTS_MAX
    assert judge.overflow == {"Lag": 7}
    # The first ones go, and make room.
    for number in range(5):
        source.values["lag", f"t{number}"] = 0.0
    changes = judge.check(source, Thresholds([lag]), T0 + 1)
    assert sorted(change.after for change in changes) == [State.CLEARED] * 5 + [State.FIRING] * 5
    assert judge.overflow == {"Lag": 2}


def test_a_restart_neither_forgets_nor_raises_anew() -> None:
    rules = [rule("Slow", for_seconds=60), rule("Quick", cooldown_seconds=600)]
    source, thresholds, judge = Now(T0, {("lag", "a"): 15.0}), Thresholds(rules), Judge(rules)
    judge.check(source, thresholds, T0)
    before = judge.active()
    again = Judge(rules)
    again.unpack(judge.pack())
    assert again.active() == before
    source.at_ms = T0 + 60_000
    (change,) = again.check(source, thresholds, T0 + 60_000)
    assert (change.alert.alert, change.after, change.alert.since_ms) == ("Slow", State.FIRING, T0)


def test_alerts_of_a_rule_that_is_no_longer_there_are_cleared_and_told() -> None:
    old, source = rule("Old"), Now(T0, {("lag", "a"): 15.0})
    judge = Judge([old])
    judge.check(source, Thresholds([old]), T0)
    again = Judge([])
    again.unpack(judge.pack())
    (change,) = again.check(source, Thresholds([]), T0 + 1)
    assert (change.alert.alert, change.alert.summary, change.after, change.told) == (
        "Old",
        "Too much.",
        State.CLEARED,
        True,
    )
    assert again.check(source, Thresholds([]), T0 + 2) == []


def test_a_rule_that_has_become_unreadable_keeps_its_alerts() -> None:
    good, source = rule(), Now(T0, {("lag", "a"): 15.0})
    judge = Judge([good])
    judge.check(source, Thresholds([good]), T0)
    bad = dataclasses.replace(good, signal="lag(")
    again = Judge([bad])
    again.unpack(judge.pack())
    assert again.check(source, Thresholds([bad]), T0 + 1) == []
    assert [alert.alert for alert in again.active()] == ["Lag"]


def test_the_rules_own_words_are_the_newest() -> None:
    lag, source = rule(), Now(T0, {("lag", "a"): 15.0})
    judge = Judge([lag])
    judge.check(source, Thresholds([lag]), T0)
    newer = dataclasses.replace(lag, severity=Severity.CRITICAL, summary="Far too much.")
    again = Judge([newer])
    again.unpack(judge.pack())
    again.check(source, Thresholds([newer]), T0 + 1)
    assert [(alert.severity, alert.summary) for alert in again.active()] == [(Severity.CRITICAL, "Far too much.")]


def test_tellings_are_forgotten_when_their_cooldown_is_over() -> None:
    lag = rule(cooldown_seconds=10)
    source, judge = Now(T0), Judge([lag])
    for second in range(60):
        source.at_ms = T0 + second * 1_000
        source.values = {("lag", f"t{second}"): 15.0}
        judge.check(source, Thresholds([lag]), source.at_ms)
    assert len(judge.pack()) < 2_000


@pytest.mark.parametrize("packed", [b"", b"\xc1", b"\x82\xa1v\x02\xa5rules\x80"])
def test_what_this_version_cannot_read_is_refused(packed: bytes) -> None:
    with pytest.raises(UnreadableStateError):
        Judge([]).unpack(packed)
