"""What is written for Prometheus, Alertmanager and people: fresh, readable as YAML, and taken by their own tools."""

import json
import shutil
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from alerts import __main__ as program
from alerts import alertmanager, plain_yaml, prometheus, promtool, runbooks
from alerts.catalogue import ALL, BY_NAME
from alerts.series.case import Case, at
from alerts.series.catalogue import ALL as CASES
from processors.alerting.rule import Rule, Threshold

ROOT: Final = program.ROOT
each_rule = pytest.mark.parametrize("rule", ALL, ids=[rule.name for rule in ALL])
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
needs_amtool = pytest.mark.skipif(shutil.which("amtool") is None, reason="amtool is not installed")

scalars = st.text(max_size=30) | st.integers(-(10**6), 10**6) | st.booleans()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)


@given(st.dictionaries(st.text(min_size=1, max_size=8), values, max_size=4))
def test_what_is_dumped_is_read_as_it_was(value: dict[str, Any]) -> None:
    assert (yaml.safe_load(plain_yaml.dump(value, head="Anything.")) or {}) == value


def test_what_is_written_is_fresh() -> None:
    assert not program.stale(ROOT)


def test_what_is_not_fresh_is_found(tmp_path: Path) -> None:
    program.write(tmp_path, prometheus.RUNBOOKS)
    assert not program.stale(tmp_path)
    (tmp_path / program.RULES).write_text("groups: []\n")
    (tmp_path / program.ALERTMANAGER).unlink()
    assert len(program.stale(tmp_path)) == 2


def test_it_is_written_the_same_each_time() -> None:
    assert prometheus.rules_file() == prometheus.rules_file()
    assert alertmanager.config() == alertmanager.config()


@each_rule
def test_a_rule_is_written_with_all_that_it_has(rule: Rule) -> None:
    groups = yaml.safe_load(prometheus.rules_file("https://example.org/"))["groups"]
    (found,) = (each for group in groups for each in group["rules"] if each.get("alert") == rule.name)
    assert found["labels"] == {"severity": rule.severity}
    assert found["annotations"]["runbook_url"] == f"https://example.org/{rule.runbook}"
    assert found.get("for", "0s") == f"{rule.for_seconds}s"
    assert found.get("keep_firing_for", "0s") == f"{rule.keep_seconds}s"
    assert ("threshold" in found["annotations"]) == (rule.threshold is not None)


def test_a_cooldown_is_a_way_of_its_own() -> None:
    routes = yaml.safe_load(alertmanager.config())["route"]["routes"]
    found = {each["matchers"][0]: each["group_interval"] for each in routes if "group_interval" in each}
    for rule in ALL:
        if rule.cooldown_seconds:
            assert found[f'alertname="{rule.name}"'] == f"{rule.cooldown_seconds}s"


@needs_promtool
def test_prometheus_takes_rules_and_configuration() -> None:
    for what, path in (("rules", program.RULES), ("config", program.PROMETHEUS)):
        ran = promtool.run("promtool", "check", what, str(ROOT / path))
        assert ran.passed, ran.said


@needs_amtool
def test_alertmanager_takes_its_configuration() -> None:
    ran = promtool.run("amtool", "check-config", str(ROOT / program.ALERTMANAGER))
    assert ran.passed, ran.said


@needs_promtool
def test_prometheus_raises_what_it_must_and_nothing_else(tmp_path: Path) -> None:
    ran = promtool.test_rules(CASES, tmp_path)
    assert ran.passed, ran.said


@needs_promtool
@pytest.mark.parametrize(
    "moments", [(at(0, "41", topic="signals.in"),), (at(0),), (at(0, "40", topic="commands"),)], ids=str
)
def test_prometheus_finds_what_is_wrong_in_a_test(moments: tuple[Any, ...], tmp_path: Path) -> None:
    case = Case("LagVeryHigh", "planted", {'hopline_lag_seconds{topic="signals.in"}': "400+0x2"}, moments)
    assert not promtool.test_rules([case], tmp_path).passed


def test_each_alert_has_its_runbook() -> None:
    assert not list(runbooks.problems(ROOT))


def test_a_runbook_that_lacks_something_is_found(tmp_path: Path) -> None:
    folder = tmp_path / runbooks.FOLDER
    folder.mkdir(parents=True)
    whole = "**Means:** late.\n\n1. Look.\n\n**Over when** it is not.\n"
    (folder / "lag.md").write_text(f"# Lag\n\n## LagHigh\n{whole}\n## HopStalled\n{whole.replace('1. ', '')}")
    found = list(runbooks.problems(tmp_path))
    assert not [each for each in found if each.startswith("LagHigh:")]
    assert [each for each in found if each.startswith("HopStalled:")] == ["HopStalled: its runbook lacks 1."]
    assert [each for each in found if each.startswith("LagVeryHigh:")]


def test_the_index_names_each_alert_once() -> None:
    text = runbooks.index()
    assert all(text.count(f"| [{name}](") == 1 for name in BY_NAME)


@pytest.mark.parametrize(
    "value, unit, said",
    [
        (0.5, "percentunit", "50 % (0.5)"),
        (1e6, "short", "1,000,000"),
        (14.4, "short", "14.4"),
        (0.1, "reqps", "0.1 a second"),
        (172_800, "s", "172,800 s"),
        (2e9, "bytes", "2 GB"),
        (0, "bytes", "0 bytes"),
    ],
)
def test_the_index_has_thresholds_as_people_read_them(value: float, unit: str, said: str) -> None:
    assert runbooks.in_words(Threshold(value, unit)) == said


def test_a_unit_that_has_no_words_yet_is_refused() -> None:
    with pytest.raises(ValueError, match="percent"):
        runbooks.in_words(Threshold(1, "percent"))


def test_the_command_says_what_it_found(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        program, "tools", lambda _: [promtool.Ran("promtool check", found=False, passed=False, said="no")]
    )
    assert program.main(["check", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["rules"] == len(ALL)
    assert said["rules_never_fired"] == 0
    assert said["missing"] == ["no"]
    monkeypatch.setattr(program, "stale", lambda _: ["old"])
    assert program.main(["check"]) == 1
    assert "old" in capsys.readouterr().out
