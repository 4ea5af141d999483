"""The secret behind keys and seals: one for each purpose, made once, and never weak or readable by others."""

from pathlib import Path
from threading import Thread

import pytest
from pydantic import SecretStr

from streams.secret import DERIVED_BYTES, FILE, derived, environment, is_given
from streams.settings import Settings, SettingsError

STRONG = "x" * 40


def test_each_purpose_has_bytes_of_its_own_and_the_same_each_time(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    first = derived(settings, "seal")
    assert len(first) == DERIVED_BYTES
    assert derived(settings, "seal") == first != derived(settings, "requester")


def test_the_embedded_kafkas_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    found: list[bytes] = []
    folder = tmp_path / "new"
    threads = [Thread(target=lambda: found.append(derived(Settings(data_dir=folder), "seal"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(found) == len(threads)
    assert len(set(found)) == 1
    assert (folder / FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in folder.iterdir()] == [FILE]


def test_another_process_is_told_of_the_embedded_kafkas_only(tmp_path: Path) -> None:
    own = Settings(data_dir=tmp_path)
    (path,) = environment(own).values()
    child = Settings(kafka="127.0.0.1:9092", secret_key_file=path)
    assert derived(child, "seal") == derived(own, "seal")
    assert environment(child) == environment(Settings(secret_key=SecretStr(STRONG))) == {}


def test_one_that_others_can_read_is_refused_with_what_to_do(tmp_path: Path) -> None:
    derived(Settings(data_dir=tmp_path), "seal")
    (tmp_path / FILE).chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        derived(Settings(data_dir=tmp_path), "seal")


def test_a_cluster_of_ones_own_needs_one_and_is_told_how_to_make_it(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, kafka="broker:9092")
    assert not is_given(settings)
    with pytest.raises(SettingsError, match=r"openssl rand .*HOPLINE_SECRET_KEY"):
        derived(settings, "seal")
    assert not list(tmp_path.iterdir())


def test_a_file_gives_the_same_as_the_setting(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(STRONG + "\n")
    by_file = Settings(data_dir=tmp_path, kafka="broker:9092", secret_key_file=str(file))
    by_value = Settings(data_dir=tmp_path, kafka="broker:9092", secret_key=SecretStr(STRONG))
    assert is_given(by_file)
    assert is_given(by_value)
    assert derived(by_file, "seal") == derived(by_value, "seal")


@pytest.mark.parametrize("given", ["short", "s" * 31])
def test_a_weak_one_is_refused_and_not_repeated(tmp_path: Path, given: str) -> None:
    with pytest.raises(SettingsError, match="at least 32") as caught:
        derived(Settings(data_dir=tmp_path, secret_key=SecretStr(given)), "seal")
    assert given not in str(caught.value)


def test_two_are_one_too_many_and_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="both set"):
        derived(Settings(data_dir=tmp_path, secret_key=SecretStr(STRONG), secret_key_file=str(tmp_path)), "seal")
    with pytest.raises(SettingsError, match="nowhere"):
        derived(Settings(data_dir=tmp_path, secret_key_file=str(tmp_path / "nowhere")), "seal")
