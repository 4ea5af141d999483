"""The dashboards keep the rules, and each rule finds what is planted against it."""

import copy
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alerts import slo as alert_slo
from dashboards import check, lint, parsing, slo
from dashboards.__main__ import FOLDER, main, stale, write
from dashboards.catalogue import ALL, HOP_SECTIONS, PAGE
from dashboards.grafana import files
from dashboards.row import Dashboard, Panel, Query, Section, Shape, Variable
from processors import HOPS
from processors.telemetry import promql
from tests.architecture.tree import ROOT
from tests.dashboards.prometheus import NEEDS, PROMTOOL

GOOD = Panel(
    "Signals",
    "How many there are.",
    (
        Query(
            'sum by (outcome) (rate(hopline_signals_total{job=~"$job",instance=~"$instance"}[$__rate_interval]))',
            "{{outcome}}",
        ),
    ),
    "recps",
)
KNOWN = {"job", "instance", "tenant"}


def test_the_dashboards_keep_all_rules() -> None:
    assert check.findings() == []


def test_what_is_committed_is_what_the_code_makes() -> None:
    assert stale(FOLDER) == [], "run `python -m dashboards write`"


def test_the_same_text_comes_out_each_time() -> None:
    assert files() == files()


def test_each_hop_has_a_dashboard_of_its_own() -> None:
    assert set(HOP_SECTIONS) == set(HOPS), "dashboards/HOP.py, and a line in HOP_SECTIONS of dashboards/catalogue.py"
    assert {f"hop-{hop}" for hop in HOPS} <= {dashboard.slug for dashboard in ALL}


def test_each_runbook_that_a_panel_names_is_there() -> None:
    named = {panel.runbook.partition("#")[0] for dashboard in ALL for panel in dashboard.panels if panel.runbook}
    assert named
    assert not [name for name in named if not (ROOT / "docs" / "runbooks" / name).is_file()]


def test_what_the_page_shows_has_names_that_fit_into_addresses() -> None:
    assert all(chart.id == chart.id.lower() and " " not in chart.id for chart in PAGE)
    assert lint.CHARTS_MIN <= len(PAGE) <= lint.CHARTS_MAX


def test_the_built_in_engine_reads_every_query_of_the_page() -> None:
    asked = [expr for chart in PAGE for query in chart.panel.queries for expr in parsing.filled(query.expr)]
    assert [promql.parse(expr) for expr in asked]


def test_the_good_panel_is_spared() -> None:
    assert list(lint.of_panel(GOOD, KNOWN)) == []


@pytest.mark.parametrize(
    "expr",
    [
        "rate(hopline_signals_total[5m])",
        'rate(hopline_signals_total{job=~"$job"}[5m])',
        'sum(rate(hopline_lag_records{job=~"$job",instance=~"$instance"}[5m]))',
        'sum(rate(hopline_nothing_total{job=~"$job",instance=~"$instance"}[5m]))',
        'sum(rate(hopline_signals_total{job=~"$job",instance=~"$instance",color="red"}[5m]))',
        'sum(rate(hopline_signals_total{job=~"$job",instance=~"$instance",hop=~"$hop"}[5m]))',
        'sum(rate(hopline_signals_total{job=~"$job",instance=~"$instance"}[7m]))',
        'histogram_quantile(0.5, sum(hopline_hop_duration_seconds_bucket{job=~"$job",instance=~"$instance"}))',
        'sum(hopline_hop_duration_seconds{job=~"$job",instance=~"$instance"})',
        'sum(hopline_lag_records_bucket{job=~"$job",instance=~"$instance"})',
    ],
)
def test_each_wrong_query_is_found(expr: str) -> None:
    assert list(lint.of_expr(expr, "", KNOWN))


def test_a_legend_that_shows_what_is_not_kept_is_found() -> None:
    assert list(lint.of_expr(GOOD.queries[0].expr, "{{tenant}}", KNOWN))


@pytest.mark.parametrize(
    "changed",
    [
        {"title": ""},
        {"description": ""},
        {"description": "no sentence"},
        {"queries": ()},
        {"unit": "signals"},
        {"width": 25},
        {"exemplars": True},
        {"on_page": True, "shape": Shape.HEAT},
        {"on_page": True, "queries": (Query(f"topk(3, {GOOD.queries[0].expr})"),)},
        {"on_page": True, "queries": (Query(f"{GOOD.queries[0].expr} > 1"),)},
    ],
)
def test_each_wrong_panel_is_found(changed: dict[str, Any]) -> None:
    assert list(lint.of_panel(dataclasses.replace(GOOD, **changed), KNOWN))


def dashboard(slug: str = "a", *panels: Panel, variables: tuple[Variable, ...] = ()) -> Dashboard:
    return Dashboard(slug, slug, "What it shows.", (Section("All", panels or (GOOD,)),), variables)


@pytest.mark.parametrize(
    "wrong",
    [
        (dashboard(), dashboard()),
        (dashboard("a" * 33),),
        (dashboard("A b"),),
        (dashboard("a", GOOD, GOOD),),
        (dashboard("a", variables=(Variable("tenant", "Tenant", "hopline_signals_total{}"),)),),
    ],
)
def test_each_wrong_dashboard_is_found(wrong: tuple[Dashboard, ...]) -> None:
    assert list(lint.of_all(wrong))


def _wider(content: dict[str, Any]) -> None:
    content["panels"][1]["gridPos"]["x"] = 20


def _over_another(content: dict[str, Any]) -> None:
    content["panels"][2]["gridPos"] = content["panels"][1]["gridPos"]


def _editable(content: dict[str, Any]) -> None:
    content["editable"] = True


def _fixed_source(content: dict[str, Any]) -> None:
    content["panels"][1]["targets"][0]["datasource"]["uid"] = "prometheus-1"


def _fixed_variable(content: dict[str, Any]) -> None:
    content["templating"]["list"][1]["datasource"]["uid"] = "prometheus-1"


def _one_only(content: dict[str, Any]) -> None:
    content["templating"]["list"][1]["multi"] = False


def _no_instance(content: dict[str, Any]) -> None:
    content["templating"]["list"] = [v for v in content["templating"]["list"] if v["name"] != "instance"]


def _no_unit(content: dict[str, Any]) -> None:
    del content["panels"][1]["fieldConfig"]["defaults"]["unit"]


def _no_question(content: dict[str, Any]) -> None:
    content["panels"][1]["targets"] = []


@pytest.mark.parametrize(
    "plant",
    [
        _wider,
        _over_another,
        _editable,
        _fixed_source,
        _fixed_variable,
        _one_only,
        _no_instance,
        _no_unit,
        _no_question,
    ],
)
def test_what_is_wrong_in_the_json_is_found(plant: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(files()["hopline-overview.json"])
    assert list(lint.of_grafana(content)) == []
    planted = copy.deepcopy(content)
    plant(planted)
    assert list(lint.of_grafana(planted))


@pytest.mark.skipif(PROMTOOL is None, reason=NEEDS)
def test_prometheus_parser_takes_every_query_whatever_is_chosen() -> None:
    assert parsing.of_queries() == []


@pytest.mark.skipif(PROMTOOL is None, reason=NEEDS)
def test_a_query_that_is_no_promql_is_found() -> None:
    assert parsing.of_promtool(["sum by (a (up)"])


def test_the_alerts_burn_the_same_budget_as_the_charts() -> None:
    narrowing = 'job=~"$job",instance=~"$instance"'
    for window in (*slo.SHORT_WINDOWS, *slo.LONG_WINDOWS):
        ours = slo.burn(window).replace(f"{{{narrowing}}}", "").replace(f"{narrowing},", "")
        assert _plain(ours) == _plain(alert_slo.burn(window))


def _plain(expr: str) -> str:
    return expr.replace(" ", "")


def test_writing_leaves_nothing_stale_behind(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text("{}", encoding="utf-8")
    assert len(write(tmp_path)) == len(ALL) + 1
    assert stale(tmp_path) == []
    assert write(tmp_path) == []


def test_a_stale_file_is_said_with_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path)
    (tmp_path / "hopline-gateway.json").write_text("{}", encoding="utf-8")
    assert main(["check", "--folder", str(tmp_path)]) == 1
    assert "hopline-gateway.json; run `python -m dashboards write`" in capsys.readouterr().err
    assert main(["write", "--folder", str(tmp_path)]) == 0
    assert main(["check", "--folder", str(tmp_path)]) == 0
