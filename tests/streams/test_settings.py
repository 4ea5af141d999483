"""Settings come from defaults, the file and the environment, and a wrong one is named with its source."""

from pathlib import Path

import pytest

from processors.ingest import Over
from streams.settings import Settings, SettingsError, load


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_without_anything_the_defaults_hold() -> None:
    found = load({})
    assert found.settings == Settings()
    assert set(found.sources.values()) == {"default"}
    assert found.sources.keys() == Settings.model_fields.keys()


def test_the_environment_goes_before_the_file_and_the_file_before_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "hopline.toml").write_text('lanes = 16\ngateway_port = 9000\ntenant_over = "refuse"\n')
    found = load({"HOPLINE_LANES": "32"})
    assert found.settings.lanes == 32
    assert found.settings.gateway_port == 9000
    assert found.settings.tenant_over is Over.REFUSE
    assert found.sources["lanes"] == "HOPLINE_LANES"
    assert found.sources["gateway_port"] == "hopline.toml"
    assert found.sources["web_port"] == "default"


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="not there"):
        load({"HOPLINE_CONFIG": str(tmp_path / "none.toml")})
    (tmp_path / "mine.toml").write_text("lanes = 3\n")
    assert load({"HOPLINE_CONFIG": str(tmp_path / "mine.toml")}).settings.lanes == 3


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "hopline.toml").write_text("lanes: 16\n")
    with pytest.raises(SettingsError, match=r"hopline\.toml"):
        load({})


def test_every_wrong_setting_is_named_with_its_source(tmp_path: Path) -> None:
    (tmp_path / "hopline.toml").write_text("lines = 16\nlanes = 0\n")
    with pytest.raises(SettingsError) as caught:
        load({"HOPLINE_GATEWAY_PORT": "high"})
    said = str(caught.value)
    assert "lines: no such setting" in said
    assert "lanes (from hopline.toml)" in said
    assert "gateway_port (from HOPLINE_GATEWAY_PORT)" in said


def test_a_secret_is_neither_printed_nor_repeated_in_an_error() -> None:
    settings = load({"HOPLINE_KAFKA_PASSWORD": "hunter2"}).settings
    assert "hunter2" not in repr(settings)
    assert settings.cluster("a:1").password.get_secret_value() == "hunter2"
    with pytest.raises(SettingsError) as caught:
        load({"HOPLINE_KAFKA_PASSWORD": "hunter2", "HOPLINE_LANES": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_sasl_goes_to_the_client() -> None:
    settings = Settings(
        kafka="k:9092", kafka_security="SASL_PLAINTEXT", kafka_mechanism="SCRAM-SHA-256", kafka_username="u"
    )
    options = settings.cluster().client_options()
    assert options["bootstrap_servers"] == "k:9092"
    assert options["sasl_mechanism"] == "SCRAM-SHA-256"
    assert options["sasl_plain_username"] == "u"


def test_plain_text_needs_no_more_than_the_address() -> None:
    options = Settings(kafka="k:9092").cluster().client_options()
    assert options == {"bootstrap_servers": "k:9092", "security_protocol": "PLAINTEXT"}


def test_each_slot_has_a_port_of_its_own() -> None:
    assert Settings(web_port=7000, slot=3).worker_port == 7003
    assert Settings(web_port=0, slot=3).worker_port == 0


def test_the_dedupe_window_reaches_the_hop_in_milliseconds() -> None:
    assert Settings(dedupe_window_seconds=1.5).ingest().policy.dedupe_window_ms == 1_500
