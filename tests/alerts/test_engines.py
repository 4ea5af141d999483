"""Both engines raise the same: at each step of each test's series, not only at the moments that somebody wrote down."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from alerts.catalogue import ALL, BY_NAME
from alerts.series.case import At, Case, Raised
from alerts.series.catalogue import ALL as CASES
from processors.alerting.judge import Judge
from processors.alerting.rule import Rule
from tests.alerts import engines
from tests.alerts.notation import selector, values

each_case = pytest.mark.parametrize("case", CASES, ids=[f"{case.rule}: {case.title}" for case in CASES])
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
_WHOLE: Final = "a series that both engines know"


def expected(case: Case) -> dict[int, tuple[Raised, ...]]:
    """Return what the case says, with the rule's default threshold where it says none."""
    rule = BY_NAME[case.rule]
    default = f"{rule.threshold.default:.6g}" if rule.threshold else ""
    return {at.seconds: tuple(_whole(each, default) for each in at.raised) for at in case.moments}


def _whole(raised: Raised, default: str) -> Raised:
    return replace(raised, threshold=raised.threshold or default)


@each_case
def test_the_built_in_engine_raises_what_it_must(case: Case) -> None:
    found = {at.seconds: at.raised for at in engines.plain_verdicts(case)}
    assert {seconds: found[seconds] for seconds in expected(case)} == expected(case)


@each_case
def test_so_it_does_over_what_processes_tell(case: Case) -> None:
    """The watch's own store in between: samples, silence, and what it keeps of them."""
    found = {at.seconds: at.raised for at in engines.stored_verdicts(case)}
    assert {seconds: found[seconds] for seconds in expected(case)} == expected(case)


@needs_promtool
def test_prometheus_raises_the_same_at_each_step(tmp_path: Path) -> None:
    disagreed, moments, said = engines.prometheus_disagrees(CASES, tmp_path)
    assert moments > 1_000
    assert not disagreed, said


@needs_promtool
def test_a_disagreement_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = next(case for case in CASES if case.rule == "LagVeryHigh")
    late = [replace(at, raised=()) for at in engines.plain_verdicts(case)]
    monkeypatch.setattr(engines, "plain_verdicts", lambda _: late)
    disagreed, _, _ = engines.prometheus_disagrees([case], tmp_path)
    assert set(disagreed) == {"LagVeryHigh"}


@pytest.mark.parametrize("rule", ALL, ids=[rule.name for rule in ALL])
def test_the_built_in_engine_reads_it(rule: Rule) -> None:
    judge = Judge([rule])
    engines_rule = Case(rule.name, _WHOLE, {}, (At(0),))
    assert not judge.failures
    assert engines.plain_verdicts(engines_rule)


def test_series_are_read_as_promtool_reads_them() -> None:
    assert values("0+10x2 5 _x2 _ 1-0.5x1") == [0.0, 10.0, 20.0, 5.0, None, None, None, 1.0, 0.5]
    assert selector('a{b="c",d="e"}') == ("a", {"b": "c", "d": "e"})
    assert selector("up") == ("up", {})
