"""The class cache is made once, whole or not at all, and only for a Java that can have one."""

from pathlib import Path

import pytest

from streams.broker.warm import JAVA_MAJOR, class_cache, make, options


@pytest.fixture
def java(tmp_path: Path) -> Path:
    home = tmp_path / "java"
    (home / "bin").mkdir(parents=True)
    (home / "release").write_text(f'JAVA_VERSION="{JAVA_MAJOR}.0.2"\n')
    return home / "bin" / "java"


def test_it_is_made_once_and_then_used(tmp_path: Path, java: Path) -> None:
    runs: list[list[str]] = []

    def start_and_stop(data_dir: Path, given: list[str]) -> None:
        assert data_dir.is_dir()
        runs.append(given)
        Path(given[0].partition("=")[2]).write_bytes(b"classes")

    assert options(tmp_path, java) == []
    assert make(tmp_path, java, start_and_stop)
    assert not make(tmp_path, java, start_and_stop)
    assert len(runs) == 1
    made = class_cache(tmp_path, java)
    assert made is not None
    assert made.read_bytes() == b"classes"
    assert options(tmp_path, java)[0] == f"-XX:AOTCache={made}"
    assert not list(tmp_path.glob("*.new"))


def test_a_jvm_that_writes_none_leaves_none(tmp_path: Path, java: Path) -> None:
    assert not make(tmp_path, java, lambda _data_dir, _options: None)
    assert options(tmp_path, java) == []


def test_another_build_of_java_has_another(tmp_path: Path, java: Path) -> None:
    before = class_cache(tmp_path, java)
    (java.parent.parent / "release").write_text(f'JAVA_VERSION="{JAVA_MAJOR}.0.3"\n')
    assert class_cache(tmp_path, java) != before


@pytest.mark.parametrize("release", ['JAVA_VERSION="17.0.15"', "nothing", None], ids=["older", "unknown", "missing"])
def test_a_java_that_can_have_none_runs_without(tmp_path: Path, java: Path, release: str | None) -> None:
    path = java.parent.parent / "release"
    path.unlink()
    if release is not None:
        path.write_text(release)
    assert class_cache(tmp_path, java) is None
    assert options(tmp_path, java) == []
    assert not make(tmp_path, java, lambda _data_dir, _options: None)
