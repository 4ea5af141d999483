"""The tests of the rules as `promtool test rules` takes them, and the tools that check what is written."""

import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from alerts import plain_yaml, prometheus
from alerts.catalogue import BY_NAME, GROUP_OF, RECORDINGS
from alerts.series.case import At, Case, Raised, of
from processors.alerting.rule import Rule
from processors.telemetry import catalogue as metrics

SECONDS_MAX: Final = 300
"""For one run of a tool. All rules take a few."""
_LABEL: Final = re.compile(r"\{\{ \$labels\.(\w+) \}\}")
_VALUE: Final = prometheus.VALUE
_HEAD: Final = "Tests of the rules: written from the series in alerts/series/."


def threshold_series(case: Case) -> dict[str, str]:
    """Return the thresholds of a test: its rule's default unless it says otherwise, tenants' own, others' if asked."""
    found = {}
    last = case.checks
    names = BY_NAME if case.all_thresholds else (case.rule,)
    for name in names:
        rule = BY_NAME[name]
        if rule.threshold is not None:
            found[_threshold_name(name)] = f"{rule.threshold.default:g}+0x{last}"
    for tenant, notation in case.thresholds.items():
        found[_threshold_name(case.rule, tenant)] = notation
    return {name: notation for name, notation in found.items() if name not in case.series}


def _threshold_name(alert: str, tenant: str = "") -> str:
    return of(metrics.ALERT_THRESHOLD, alert=alert, **({"tenant": tenant} if tenant else {}))


def expected(rule: Rule, raised: Raised, runbooks: str = prometheus.RUNBOOKS) -> dict[str, plain_yaml.Value]:
    """Return an alert as Prometheus must have made it of a rule."""
    description = _LABEL.sub(lambda found: raised.labels.get(found[1], ""), rule.description)
    annotations: dict[str, plain_yaml.Value] = {
        "summary": rule.summary,
        "description": _VALUE.sub(lambda _: raised.value, description),
        "runbook_url": runbooks + rule.runbook,
    }
    if rule.threshold is not None:
        annotations["threshold"] = raised.threshold or f"{rule.threshold.default:.6g}"
    labels: dict[str, plain_yaml.Value] = {"severity": rule.severity.value, **raised.labels}
    return {"exp_labels": labels, "exp_annotations": annotations}


def test_group(case: Case) -> dict[str, plain_yaml.Value]:
    """Return one test."""
    rule = BY_NAME[case.rule]

    def moment(at: At) -> dict[str, plain_yaml.Value]:
        alerts = [expected(rule, raised) for raised in at.raised]
        return {"eval_time": f"{at.seconds}s", "alertname": case.rule, "exp_alerts": alerts}

    series = {**threshold_series(case), **case.series}
    return {
        "name": f"{case.rule}: {case.title}",
        "interval": f"{case.every_seconds}s",
        "input_series": [{"series": name, "values": notation} for name, notation in series.items()],
        "alert_rule_test": [moment(at) for at in case.moments],
    }


def write_tests(cases: Iterable[Case], folder: Path) -> list[Path]:
    """Write the tests, and beside them only those rules that each file is about: promtool works out all it is given."""
    sorted_out: defaultdict[tuple[str, int], list[Case]] = defaultdict(list)
    for case in cases:
        sorted_out[GROUP_OF[case.rule], case.every_seconds].append(case)
    found = []
    for (group, every_seconds), several in sorted_out.items():
        stem = f"{group}-{every_seconds}s"
        names = dict.fromkeys(case.rule for case in several)
        rules: list[plain_yaml.Value] = []
        if group == "slo":
            rules += [{"record": each.name, "expr": each.expr} for each in RECORDINGS]
        rules += [prometheus.alert(BY_NAME[name]) for name in names]
        groups: list[plain_yaml.Value] = [{"name": group, "rules": rules}]
        (folder / f"{stem}.rules.yml").write_text(plain_yaml.dump({"groups": groups}, head=_HEAD), encoding="utf-8")
        tests: dict[str, plain_yaml.Value] = {
            "rule_files": [f"{stem}.rules.yml"],
            "evaluation_interval": f"{every_seconds}s",
            "tests": [test_group(case) for case in several],
        }
        path = folder / f"{stem}.tests.yml"
        path.write_text(plain_yaml.dump(tests, head=_HEAD), encoding="utf-8")
        found.append(path)
    return found


@dataclass(frozen=True, slots=True)
class Ran:
    """What a tool said. `found` is false where it is not installed: then it has said nothing."""

    tool: str
    found: bool
    passed: bool
    said: str = ""


def run(tool: str, *arguments: str, within: Path | None = None) -> Ran:
    """Run a tool of Prometheus or Alertmanager."""
    program = shutil.which(tool)
    title = f"{tool} {' '.join(arguments[:2])}"
    if program is None:
        return Ran(title, found=False, passed=False, said=f"{tool} is not installed")
    try:
        done = subprocess.run(  # noqa: S603  # a program of Debian's, with files that were written here
            [program, *arguments], cwd=within, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
        )
    except subprocess.TimeoutExpired:
        return Ran(title, found=True, passed=False, said=f"it took more than {SECONDS_MAX} s")
    return Ran(title, found=True, passed=done.returncode == 0, said=(done.stdout + done.stderr).strip())


def test_rules(cases: Sequence[Case], folder: Path) -> Ran:
    """Give Prometheus all series, and compare what it raises."""
    paths = write_tests(cases, folder)
    return run("promtool", "test", "rules", *(path.name for path in paths), within=folder)
