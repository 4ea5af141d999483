"""The compose file holds together: what it names is there, nothing is open that need not be, no secret stands in it."""

import re
from typing import Any, Final

import pytest
import yaml

from streams.broker.jars import KAFKA_VERSION
from streams.settings import PREFIX, Settings, load
from tests.architecture.tree import ROOT, files
from tests.deploy.composed import VARIABLE, content, environment, examples, mounts, of_this_machine, services, text
from tests.shared_kafka import container_environment

OURS: Final = ("worker", "gateway", "history", "watch", "cli")
SERVERS: Final = ("worker", "gateway", "history", "watch")
WITHOUT_A_SHELL: Final = {"otel", "tempo"}
"""Nothing in these images could look after their health."""
WITHOUT_A_SERVER: Final = {"cli"}
WRITES_TO_ITS_OWN_FILES: Final = {"kafka"}
"""Its start script writes the configuration beside the program."""
SECRET_NAME: Final = re.compile(r"PASSWORD|SECRET|TOKEN|_KEY", re.IGNORECASE)
ALL: Final = sorted(yaml.safe_load(text())["services"])


@pytest.mark.parametrize("name", ALL)
def test_each_image_is_of_one_version(name: str) -> None:
    image = services()[name]["image"]
    assert re.fullmatch(r"[a-z/-]+:v?\d+\.\d+\.\d+|hopline:local", image), image
    assert ("build" in services()[name]) is (image == "hopline:local")


@pytest.mark.parametrize("name", ALL)
def test_what_is_published_is_published_on_loopback(name: str) -> None:
    for port in services()[name].get("ports", ()):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port), port


def test_only_what_asks_who_it_is_or_shows_only_is_published() -> None:
    published = {name for name in services() if services()[name].get("ports")}
    assert published == {"gateway", "grafana", "prometheus"}


@pytest.mark.parametrize("name", ALL)
def test_no_container_may_do_more_than_it_must(name: str) -> None:
    service = services()[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "pid", "ipc", "devices"} & set(service)
    assert service.get("read_only", False) is (name not in WRITES_TO_ITS_OWN_FILES)
    # Ours says so in its Dockerfile.
    assert name in OURS or service["user"] not in {"root", "0", 0}


@pytest.mark.parametrize("name", ALL)
def test_each_container_is_bounded(name: str) -> None:
    service = services()[name]
    limits = service["deploy"]["resources"]["limits"]
    assert set(limits) == {"cpus", "memory", "pids"}
    assert re.fullmatch(r"\d+[mg]", limits["memory"])
    assert service["logging"]["options"]["max-size"]


@pytest.mark.parametrize("name", sorted(set(ALL) - WITHOUT_A_SHELL - WITHOUT_A_SERVER))
def test_each_server_says_whether_it_is_well(name: str) -> None:
    check = services()[name]["healthcheck"]
    assert check["test"][0] == "CMD"
    assert {"interval", "timeout", "retries"} <= set(check)


@pytest.mark.parametrize("name", ALL)
def test_who_is_waited_for_is_there_and_can_be_waited_for(name: str) -> None:
    for other, how in services()[name].get("depends_on", {}).items():
        assert other in services()
        assert how["condition"] in {"service_healthy", "service_started"}
        assert how["condition"] == "service_started" or "healthcheck" in services()[other]


@pytest.mark.parametrize("name", ALL)
def test_each_mount_is_there_and_our_files_are_only_read(name: str) -> None:
    for source, target, mode in mounts(name):
        path = of_this_machine(source)
        assert target.startswith("/")
        if path is None:
            assert source in content()["volumes"]
        else:
            assert path.exists(), f"{name}: {source} is not there"
            assert mode == "ro"


def test_what_is_declared_is_used_and_the_other_way_round() -> None:
    for kind in ("volumes", "networks", "secrets"):
        used: set[str] = set()
        for name, service in services().items():
            named = [source for source, _, _ in mounts(name)] if kind == "volumes" else service.get(kind, [])
            used |= {each for each in named if not each.startswith(("./", "/"))}
        assert used == set(content()[kind]), kind


def test_every_variable_is_explained_and_has_the_default_that_is_said() -> None:
    named = dict(VARIABLE.findall(text()))
    assert named == examples()


def test_no_secret_stands_in_the_file() -> None:
    for name in services():
        for variable, value in environment(name).items():
            if SECRET_NAME.search(variable):
                assert variable.endswith(("_FILE", "__FILE"))
                assert value.removeprefix("/run/secrets/") in services()[name]["secrets"]


def test_secrets_are_files_that_git_leaves_alone() -> None:
    for secret in content()["secrets"].values():
        assert secret["file"].startswith("./deploy/secrets/")
    kept = {name for name in files() if name.startswith("deploy/secrets/")}
    assert kept == {"deploy/secrets/.gitignore", "deploy/secrets/README.md", "deploy/secrets/alertmanager/.gitignore"}


def test_alertmanager_sees_its_own_secrets_only() -> None:
    assert [source for source, _, _ in mounts("alertmanager") if "secrets" in source] == [
        "./deploy/secrets/alertmanager"
    ]


def test_the_page_shows_how_the_watch_gets_its_channels() -> None:
    page = (ROOT / "docs" / "compose.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (service,) = yaml.safe_load(shown)["services"].values()
    assert set(yaml.safe_load(shown)["services"]) == {"watch"}
    (mount,) = service["volumes"]
    source, target, mode = mount.split(":")
    assert (source, mode) == ("./deploy/secrets/channels", "ro")
    assert target not in {known for _, known, _ in mounts("watch")}
    # Git leaves the folder alone, and the watch, which has a way out, is told where the file is.
    assert load(service["environment"]).settings.channels_file == f"{target}/channels.toml"
    assert "edge" in services()["watch"]["networks"]
    assert "edge" not in services()["cli"]["networks"]


@pytest.mark.parametrize("name", OURS)
def test_each_setting_of_ours_is_one(name: str) -> None:
    given = {key: value for key, value in environment(name).items() if key.startswith(PREFIX)}
    settings = load(given).settings
    assert {key.removeprefix(PREFIX).lower() for key in given} <= set(Settings.model_fields)
    assert settings.kafka == "kafka:9092"
    assert settings.secret_key_file == "/run/secrets/secret_key"  # noqa: S105  # where it stands


def test_kafka_is_set_up_as_the_embedded_one_is() -> None:
    from streams.broker.config import BrokerSettings  # noqa: PLC0415  # only here

    embedded = container_environment(BrokerSettings(ROOT), 9092)
    # Where it listens and is reached differs in a container.
    places = {"KAFKA_LISTENERS", "KAFKA_ADVERTISED_LISTENERS", "KAFKA_CONTROLLER_QUORUM_VOTERS"}
    ours = environment("kafka")
    assert {name: value for name, value in embedded.items() if name not in places} == {
        name: value for name, value in ours.items() if name not in {*places, "KAFKA_HEAP_OPTS"}
    }
    assert services()["kafka"]["image"] == f"apache/kafka:{KAFKA_VERSION}"


def test_whoever_looks_after_ours_asks_the_port_that_it_listens_on() -> None:
    defaults = Settings()
    ports = {
        "worker": defaults.web_port,
        "gateway": defaults.gateway_port,
        "history": defaults.history_port,
        "watch": defaults.watch_port,
    }
    for name, port in ports.items():
        assert f"127.0.0.1:{port}/" in services()[name]["healthcheck"]["test"][-1]
    assert environment("gateway")["HOPLINE_WATCH_URL"] == f"http://watch:{ports['watch']}"
    assert services()["gateway"]["ports"][0].endswith(f":{ports['gateway']}")


def _networks(name: str) -> set[str]:
    return set(services()[name].get("networks", ()))


def test_who_speaks_with_whom_shares_a_network() -> None:
    assert content()["networks"]["inside"] == {"internal": True}
    pairs: list[tuple[str, Any]] = [("prometheus", SERVERS), ("otel", ("tempo", *SERVERS))]
    pairs += [("grafana", ("prometheus", "tempo")), ("kafka", OURS), ("gateway", ("watch",))]
    for one, others in pairs:
        for other in others:
            assert _networks(one) & _networks(other), f"{one} and {other}"


def test_what_asks_for_no_key_is_not_on_a_network_that_leads_outside_but_for_the_watch() -> None:
    assert {name for name in OURS if "edge" in _networks(name)} == {"gateway", "watch"}
    assert "ports" not in services()["watch"]
