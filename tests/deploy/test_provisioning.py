"""What Grafana, Prometheus, the collector and Tempo are given fits together, and fits what the compose file mounts."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from dashboards.grafana import RUNBOOKS_AT, files
from streams.settings import Settings
from tests.architecture.tree import ROOT
from tests.dashboards.prometheus import NEEDS, PROMTOOL
from tests.deploy.composed import environment, mounts, services

DEPLOY: Final = ROOT / "deploy"
PROVISIONING: Final = DEPLOY / "grafana" / "provisioning"
SECONDS_MAX: Final = 60
AMTOOL: Final = shutil.which("amtool")


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def sources() -> dict[str, dict[str, Any]]:
    return {each["type"]: each for each in read(PROVISIONING / "datasources" / "hopline.yml")["datasources"]}


def test_each_data_source_is_a_service_and_cannot_be_changed_by_hand() -> None:
    found = sources()
    assert set(found) == {"prometheus", "tempo", "alertmanager"}
    for source in found.values():
        host = source["url"].removeprefix("http://").partition(":")[0]
        assert host in services()
        assert source["editable"] is False
        assert source["uid"].startswith("hopline-")
    assert found["prometheus"]["isDefault"] is True


def test_an_exemplar_leads_to_the_trace_store() -> None:
    prometheus, tempo = sources()["prometheus"], sources()["tempo"]
    (destination,) = prometheus["jsonData"]["exemplarTraceIdDestinations"]
    assert destination["datasourceUid"] == tempo["uid"]
    # The label under which histograms tell the trace.
    assert destination["name"] == "trace_id"
    assert '"trace_id"' in (ROOT / "streams" / "metrics.py").read_text(encoding="utf-8")


def test_grafana_is_told_how_often_prometheus_looks() -> None:
    every = read(DEPLOY / "prometheus" / "prometheus.yml")["global"]["scrape_interval"]
    assert sources()["prometheus"]["jsonData"]["timeInterval"] == every


def test_dashboards_are_read_from_where_they_are_mounted() -> None:
    (provider,) = read(PROVISIONING / "dashboards" / "hopline.yml")["providers"]
    mounted = {target: source for source, target, _ in mounts("grafana")}
    assert mounted[provider["options"]["path"]] == "./dashboards/generated"
    assert provider["allowUiUpdates"] is False
    home = environment("grafana")["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home.removeprefix(f"{provider['options']['path']}/") in files()


def test_links_to_runbooks_lead_to_where_they_are_mounted() -> None:
    mounted = {target: source for source, target, _ in mounts("grafana")}
    assert mounted[f"/usr/share/grafana{RUNBOOKS_AT}"] == "./docs/runbooks"


@pytest.mark.parametrize("name", ["worker", "gateway", "history", "watch"])
def test_prometheus_looks_where_ours_listen(name: str) -> None:
    defaults = Settings()
    first = {
        "worker": defaults.web_port,
        "gateway": defaults.gateway_port,
        "history": defaults.history_port,
        "watch": defaults.watch_port,
    }[name]
    command = services()[name].get("command", [])
    count = int(command[command.index("--processes") + 1]) if "--processes" in command else 1
    (listed,) = read(DEPLOY / "compose" / "targets" / f"{name}.yml")
    assert listed["targets"] == [f"{name}:{first + slot}" for slot in range(count)]


def test_every_job_of_prometheus_has_its_targets_here_too() -> None:
    jobs = {job["job_name"] for job in read(DEPLOY / "prometheus" / "prometheus.yml")["scrape_configs"]}
    assert jobs == {path.stem for path in (DEPLOY / "compose" / "targets").glob("*.yml")}


def test_alertmanager_is_where_prometheus_looks_for_it() -> None:
    (managers,) = read(DEPLOY / "prometheus" / "prometheus.yml")["alerting"]["alertmanagers"]
    assert managers["static_configs"][0]["targets"] == ["127.0.0.1:9093"]
    assert services()["alertmanager"]["network_mode"] == "service:prometheus"


@pytest.mark.skipif(PROMTOOL is None, reason=NEEDS)
def test_promtool_takes_the_configuration_as_it_lies_in_the_container(tmp_path: Path) -> None:
    for source, target, _ in mounts("prometheus"):
        if source.startswith("./"):
            there = tmp_path / target.lstrip("/")
            there.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if (ROOT / source).is_dir() else shutil.copy)(ROOT / source, there)
    config = next(each for each in services()["prometheus"]["command"] if each.startswith("--config.file="))
    path = tmp_path / config.removeprefix("--config.file=").lstrip("/")
    command = [PROMTOOL or "promtool", "check", "config", str(path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "rules found" in run.stdout


def test_spans_find_their_way_to_the_store() -> None:
    collector, tempo = read(DEPLOY / "otel" / "collector.yml"), read(DEPLOY / "tempo" / "tempo.yml")
    port = collector["receivers"]["otlp"]["protocols"]["http"]["endpoint"].rpartition(":")[2]
    assert environment("worker")["HOPLINE_TRACE_OTLP_URL"] == f"http://otel:{port}/v1/traces"
    taken = tempo["distributor"]["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"].rpartition(":")[2]
    assert collector["exporters"]["otlp/tempo"]["endpoint"] == f"tempo:{taken}"
    assert sources()["tempo"]["url"] == f"http://tempo:{tempo['server']['http_listen_port']}"


def test_the_collector_uses_what_it_declares_and_limits_its_memory_first() -> None:
    collector = read(DEPLOY / "otel" / "collector.yml")
    (pipeline,) = collector["service"]["pipelines"].values()
    for kind in ("receivers", "processors", "exporters"):
        assert set(pipeline[kind]) == set(collector[kind])
    assert pipeline["processors"][0] == "memory_limiter"
    given = services()["otel"]["deploy"]["resources"]["limits"]["memory"]
    assert collector["processors"]["memory_limiter"]["limit_mib"] < int(given.removesuffix("m"))


def test_tempo_keeps_its_traces_on_its_volume() -> None:
    trace = read(DEPLOY / "tempo" / "tempo.yml")["storage"]["trace"]
    volume = next(target for source, target, _ in mounts("tempo") if source == "tempo")
    assert trace["wal"]["path"].startswith(f"{volume}/")
    assert trace["local"]["path"].startswith(f"{volume}/")


def test_dashboards_choose_a_data_source_of_the_provisioned_kind() -> None:
    for text in files().values():
        variable = json.loads(text)["templating"]["list"][0]
        assert (variable["type"], variable["query"]) == ("datasource", sources()["prometheus"]["type"])


@pytest.mark.skipif(AMTOOL is None, reason="needs Debian's package prometheus-alertmanager, which brings amtool")
def test_amtool_takes_what_alertmanager_is_given() -> None:
    given = {target: source for source, target, _ in mounts("alertmanager")}["/etc/alertmanager/alertmanager.yml"]
    command = [AMTOOL or "amtool", "check-config", str(ROOT / given)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
