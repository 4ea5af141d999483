"""The judge and Prometheus over the same made-up series: the same alerts at each moment, in the same words.

What ours says becomes a test of rules for `promtool`, which then has Prometheus' own code say whether it is so.
"""

import json
import random
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from processors.alerting.judge import Judge
from processors.alerting.rule import Rule
from processors.alerting.states import State
from processors.alerting.thresholds import Thresholds
from processors.telemetry.promql import STALE, Matcher, Recorded
from processors.telemetry.promql.series import NAME
from tests.dashboards.prometheus import NEEDS, PROMTOOL
from tests.processors.alerting.judging import rule
from tests.simulation.mutation import Bug

STEP_SECONDS: Final = 15
MOMENTS: Final = 60
CASES: Final = 20
DESCRIPTION: Final = (
    "{{ $labels.topic }} {{ $value }} {{ $value | humanize }} {{ $value | humanizeDuration }} "
    '{{ humanizePercentage $value }} {{ $value | humanize1024 }} {{ printf "%.3f" $value }}'
)
SIGNALS: Final = (
    "lag",
    "max by (topic) (lag)",
    "avg_over_time(lag[1m])",
    "rate(lag[2m])",
    "sum by (topic) (lag) / 3",
    "lag > 5",
    "absent(lag)",
    "histogram_quantile(0.5, lag)",
)

pytestmark = [pytest.mark.skipif(PROMTOOL is None, reason=NEEDS), pytest.mark.slow, pytest.mark.timeout(300)]


@dataclass(slots=True)
class Table:
    """Values by topic and moment; None where there is none, a mark where the series ends."""

    values: dict[str, list[float | None]]

    def select(self, name: str, matchers: tuple[Matcher, ...], from_ms: int, to_ms: int) -> Iterator[Recorded]:
        assert not matchers
        assert from_ms <= to_ms
        for topic, values in sorted(self.values.items()):
            points = [(index * STEP_SECONDS * 1_000, value) for index, value in enumerate(values) if value is not None]
            if name == "lag":
                yield Recorded({NAME: name, "topic": topic}, [at for at, _ in points], [value for _, value in points])

    def written(self) -> list[dict[str, str]]:
        """Return it in promtool's notation."""
        return [
            {
                "series": f'lag{{topic="{topic}"}}',
                "values": " ".join("_" if one is None else "stale" if one is STALE else repr(one) for one in values),
            }
            for topic, values in self.values.items()
        ]


def table(rolled: random.Random) -> Table:
    values: dict[str, list[float | None]] = {}
    for topic in ("a", "b", "c"):
        level, row = 0.0, []
        for _ in range(MOMENTS):
            if rolled.random() < 0.3:
                level = rolled.choice((0.0, 5.0, 12.5, 1e6, 0.004, -3.0, 12.0))
            odd = rolled.random()
            row.append(None if odd < 0.05 else STALE if odd < 0.08 else level)
        values[topic] = row
    return Table(values)


def case(seed: int) -> tuple[Rule, Table]:
    rolled = random.Random(seed)
    made = rule(
        f"Case{seed}",
        signal=rolled.choice(SIGNALS),
        default=rolled.choice((0.0, 4.0, 10.0)),
        description=DESCRIPTION,
        for_seconds=rolled.choice((0, 15, 40, 120)),
        keep_seconds=rolled.choice((0, 15, 40, 120)),
    )
    return made, table(rolled)


def expected(made: Rule, source: Table) -> list[dict[str, Any]]:
    """Return what fires at each moment, as ours has it."""
    judge, thresholds = Judge([made]), Thresholds([made])
    found: list[dict[str, Any]] = []
    for index in range(MOMENTS + 10):
        judge.check(source, thresholds, index * STEP_SECONDS * 1_000)
        firing = [alert for alert in judge.active() if alert.state is State.FIRING]
        assert not judge.failures
        found.append(
            {
                "eval_time": f"{index * STEP_SECONDS}s",
                "alertname": made.name,
                "exp_alerts": [
                    {
                        "exp_labels": {**alert.labels, "severity": alert.severity.value},
                        "exp_annotations": {"description": alert.description},
                    }
                    for alert in firing
                ],
            }
        )
    return found


def verdict(folder: Path, seeds: range) -> tuple[bool, str]:
    """Let promtool say whether it is so."""
    rules, tests = [], []
    fired = 0
    for seed in seeds:
        made, source = case(seed)
        assert made.threshold is not None
        one = {
            "alert": made.name,
            "expr": f"({made.signal}) > {made.threshold.default}",
            "for": f"{made.for_seconds}s",
            **({"keep_firing_for": f"{made.keep_seconds}s"} if made.keep_seconds else {}),
            "labels": {"severity": made.severity.value},
            "annotations": {"description": made.words},
        }
        rules.append(
            one if made.keep_seconds else {key: value for key, value in one.items() if key != "keep_firing_for"}
        )
        moments = expected(made, source)
        fired += sum(len(moment["exp_alerts"]) for moment in moments)
        tests.append({"interval": f"{STEP_SECONDS}s", "input_series": source.written(), "alert_rule_test": moments})
    assert fired > len(seeds)
    # JSON is YAML, too, and written in a moment.
    (folder / "rules.yml").write_text(json.dumps({"groups": [{"name": "all", "rules": rules}]}), encoding="utf-8")
    written = {"rule_files": ["rules.yml"], "evaluation_interval": f"{STEP_SECONDS}s", "tests": tests}
    (folder / "tests.yml").write_text(json.dumps(written), encoding="utf-8")
    done = subprocess.run(
        [PROMTOOL or "promtool", "test", "rules", "tests.yml"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode == 0, done.stdout + done.stderr


def test_the_same_alerts_in_the_same_words(tmp_path: Path) -> None:
    same, said = verdict(tmp_path, range(CASES))
    assert same, said[-3_000:]


BUGS: Final = (
    Bug(
        "pending not reset",
        "What does not hold at one check begins anew.",
        "processors.alerting.judge:Judge._over",
        {"if standing.firing and rule.keep_seconds:": "if rule.keep_seconds or not standing.firing:"},
    ),
    Bug(
        "raised a moment late",
        "What has held for just long enough is raised.",
        "processors.alerting.judge:_holds",
        {"standing.active_ms >= rule": "standing.active_ms > rule"},
    ),
    Bug(
        "kept a moment long",
        "What has been over for just long enough is cleared.",
        "processors.alerting.judge:Judge._over",
        {"standing.over_ms < rule": "standing.over_ms <= rule"},
    ),
)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_is_found(bug: Bug, tmp_path: Path) -> None:
    with bug.planted():
        same, said = verdict(tmp_path, range(CASES))
    assert not same
    assert "FAILED" in said
