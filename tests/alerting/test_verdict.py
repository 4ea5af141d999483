"""What a run says is right, and wrong figures are found wrong."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from alerts.catalogue import ALL, BY_NAME
from tests.alerting.faults import ALONE, QUICK, TOGETHER
from tests.alerting.receiver import BUILT_IN, PROMETHEUS, Heard, Receiver, told_apart
from tests.alerting.servers import FAST
from tests.alerting.sight import Sight, _microseconds
from tests.alerting.stand import Stand
from tests.alerting.verdict import Told, Verdict, is_live, live_rules

FAULTS = (*TOGETHER, *ALONE)
GOOD = Told("FailureRate", PROMETHEUS, alert_seconds=1.0, fault_seconds=20.0, cleared_seconds=40.0)


def good() -> Verdict:
    return Verdict(
        told=[GOOD, replace(GOOD, engine=BUILT_IN)],
        wanted={("FailureRate", PROMETHEUS), ("FailureRate", BUILT_IN)},
        threshold_seconds={"LagHigh to 10": 1.2},
        quick=True,
    )


def test_a_good_run_is_good() -> None:
    assert good().ok
    assert good().figures()["rules_never_fired"] == 0


@pytest.mark.parametrize(
    "change",
    [
        {"told": []},
        {"told": [GOOD]},
        {"told": [GOOD, replace(GOOD, engine=BUILT_IN, alert_seconds=10.1)]},
        {"told": [GOOD, replace(GOOD, engine=BUILT_IN, cleared_seconds=None)]},
        {"threshold_seconds": {"LagHigh to 10": 5.1}},
        {"failure_rate_seconds": {PROMETHEUS: 60.1}},
        {"disagreed_live": ["LagHigh {}"]},
        {"disagreed_series": ["LagHigh"]},
        {"series_never_fired": ["LagHigh"]},
        {"failure": "Kafka did not start"},
    ],
)
def test_each_fault_of_a_run_is_seen(change: dict[str, Any]) -> None:
    assert not replace(good(), **change).ok


def test_a_whole_run_must_raise_all_that_can_be_raised_within_minutes() -> None:
    whole = replace(good(), quick=False, failure_rate_seconds={PROMETHEUS: 20.0, BUILT_IN: 20.0})
    assert not whole.ok
    assert "LagHigh (no fault)" in whole.never_fired


def test_there_is_a_fault_for_each_rule_that_can_be_raised_live() -> None:
    raised = {alert for fault in FAULTS for alert in fault.raises}
    assert set(live_rules()) - raised == {"Watchdog"}
    assert all(is_live(BY_NAME[alert]) for alert in raised)


def test_no_two_faults_raise_one_alert() -> None:
    raised = [alert for fault in FAULTS for alert in fault.raises]
    assert len(raised) == len(set(raised))


def test_quick_runs_have_faults_that_there_are() -> None:
    assert {fault.name for fault in TOGETHER} >= QUICK


def test_the_engines_are_compared_by_labels_that_both_give() -> None:
    assert told_apart({"job": "worker", "instance": "a:1", "severity": "critical", "topic": "t", "lane": ""}) == (
        ("topic", "t"),
    )


def test_what_came_first_counts() -> None:
    receiver = Receiver()
    receiver.heard += [Heard(PROMETHEUS, "LagHigh", (), raised=True, at_seconds=moment) for moment in (5.0, 9.0, 7.0)]
    assert receiver.first(PROMETHEUS, "LagHigh", raised=True, since_seconds=6.0) == 7.0
    assert receiver.first(PROMETHEUS, "LagHigh", raised=False, since_seconds=6.0) is None
    assert receiver.first(BUILT_IN, "LagHigh", raised=True, since_seconds=6.0) is None


def test_times_of_go_are_read() -> None:
    assert _microseconds("2026-11-21T10:00:00.123456789Z") == "2026-11-21T10:00:00.123456+00:00"
    assert _microseconds("2026-11-21T10:00:00Z") == "2026-11-21T10:00:00+00:00"


def test_a_disagreement_is_what_only_one_engine_says(tmp_path: Path) -> None:
    sight = Sight(Stand(tmp_path, FAST))
    both, one = ("Watchdog", ()), ("LagHigh", (("topic", "t"),))
    sight.raised = {PROMETHEUS: frozenset({both, one}), BUILT_IN: frozenset({both})}
    assert sight.disagree(frozenset()) == {one}
    assert sight.disagree(frozenset({"LagHigh"})) == frozenset()
    assert sight.unwanted() == ["LagHigh"]


def test_live_and_other_rules_are_all_rules() -> None:
    assert {rule.name for rule in ALL if not is_live(rule)} | set(live_rules()) == set(BY_NAME)


def test_a_condition_that_began_again_counts_from_then(tmp_path: Path) -> None:
    sight = Sight(Stand(tmp_path, FAST))
    sight.began = {(PROMETHEUS, "EventLoopLate"): {100.0, 160.0}, (BUILT_IN, "EventLoopLate"): {98.0, 158.0, 300.0}}
    assert sight.condition_seconds(PROMETHEUS, "EventLoopLate", 221.0) == 158.0
    assert sight.condition_seconds(PROMETHEUS, "EventLoopLate", 161.0) == 98.0
    assert sight.condition_seconds(PROMETHEUS, "LagHigh", 161.0) is None


def test_that_a_process_is_down_each_engine_sees_for_itself(tmp_path: Path) -> None:
    sight = Sight(Stand(tmp_path, FAST))
    sight.began = {(PROMETHEUS, "WorkerDown"): {100.0}, (BUILT_IN, "WorkerDown"): {110.0}}
    assert sight.condition_seconds(BUILT_IN, "WorkerDown", 171.0) == 110.0
