"""Queries over days, answered by promtool from four days of series: nobody waits that long for a live run."""

import json
import subprocess
from pathlib import Path
from typing import Final

import pytest

from dashboards.filling import fill
from dashboards.parsing import queries
from processors.telemetry import catalogue as metrics
from tests.dashboards.prometheus import NEEDS, PROMTOOL

pytestmark = pytest.mark.skipif(PROMTOOL is None, reason=NEEDS)

SECONDS_MAX: Final = 60
LONG: Final = ("[1d]", "[3d]")
PROCESS: Final = 'job="worker",instance="worker-0"'
SERIES: Final = {
    f'{metrics.HOP_INPUT.name}{{{PROCESS},hop="ingest"}}': "0+6000x1152",
    # Of 6,000 records of five minutes three fail by our fault; those of a sender do not count.
    f'{metrics.DEAD_LETTERS.name}{{{PROCESS},hop="ingest",reason="bug"}}': "0+3x1152",
    f'{metrics.DEAD_LETTERS.name}{{{PROCESS},hop="ingest",reason="not_json"}}': "0+500x1152",
}
WANTED: Final = {
    ("Error budget left", "left"): 0.5,
    ("How fast it burns over days", "1d"): 0.5,
    ("How fast it burns over days", "3d"): 0.5,
    ("Ended well", "1d"): 0.9995,
}


def long_ones() -> dict[tuple[str, str], str]:
    """Return the queries over days by panel and legend."""
    return {
        (panel.title, query.legend): fill(query.expr, rate_seconds=60)
        for _, panel, query in queries()
        if any(window in query.expr for window in LONG)
    }


def compared(folder: Path, wanted: dict[tuple[str, str], float]) -> "subprocess.CompletedProcess[str]":
    """Have promtool compare."""
    (folder / "none.yml").write_text('{"groups": []}', encoding="utf-8")
    expected = [
        {
            "expr": f"round({expr}, 0.000001)",
            "eval_time": "4d",
            "exp_samples": [{"labels": "{}", "value": wanted[where]}],
        }
        for where, expr in long_ones().items()
    ]
    series = [{"series": name, "values": values} for name, values in SERIES.items()]
    test = {"interval": "5m", "input_series": series, "promql_expr_test": expected}
    path = folder / "test.yml"
    path.write_text(json.dumps({"rule_files": ["none.yml"], "tests": [test]}), encoding="utf-8")
    command = [PROMTOOL or "promtool", "test", "rules", str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)


def test_each_query_over_days_is_worked_out_here() -> None:
    assert set(long_ones()) == set(WANTED)


def test_queries_over_days_give_what_the_series_say(tmp_path: Path) -> None:
    run = compared(tmp_path, WANTED)
    assert run.returncode == 0, run.stdout + run.stderr


def test_another_answer_would_be_noticed(tmp_path: Path) -> None:
    assert compared(tmp_path, dict.fromkeys(WANTED, 0.25)).returncode != 0
