"""The classpath holds exactly the listed jars, or nothing is started."""

import hashlib
import os
from pathlib import Path
from typing import Final

import pytest

from streams.broker import jars
from streams.broker.errors import BrokerError
from streams.broker.jars import KAFKA_VERSION, ensure_jars, listed_jars, verify_jars

CONTENT: Final = {"a.jar": b"first", "b.jar": b"second"}
EXPECTED: Final = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "jars"
    made.mkdir()
    for name, content in CONTENT.items():
        (made / name).write_bytes(content)
    return made


def test_the_committed_list_is_whole() -> None:
    listed = listed_jars()
    assert f"kafka_2.13-{KAFKA_VERSION}.jar" in listed
    assert "slf4j-simple-1.7.36.jar" in listed
    assert all(len(bytes.fromhex(digest)) == 32 for digest in listed.values())


def test_what_is_as_listed_is_accepted_and_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verify_jars(folder, EXPECTED)
    monkeypatch.setattr(jars, "sha256_of", lambda _path: "read again")
    verify_jars(folder, EXPECTED)
    os.utime(folder / "a.jar", ns=(1, 1))
    with pytest.raises(BrokerError, match="read again"):
        verify_jars(folder, EXPECTED)


def test_one_that_differs_is_named(folder: Path) -> None:
    (folder / "b.jar").write_bytes(b"sEcond")
    with pytest.raises(BrokerError, match=r"b\.jar .* has SHA-256 .*`make setup`"):
        verify_jars(folder, EXPECTED)


def test_one_that_is_changed_after_it_was_accepted_is_named(folder: Path) -> None:
    verify_jars(folder, EXPECTED)
    (folder / "a.jar").write_bytes(b"fIrst")
    with pytest.raises(BrokerError, match=r"a\.jar"):
        verify_jars(folder, EXPECTED)


def test_one_that_is_missing_is_named(folder: Path) -> None:
    (folder / "a.jar").unlink()
    with pytest.raises(BrokerError, match=r"a\.jar .* is missing"):
        verify_jars(folder, EXPECTED)


def test_one_that_is_not_listed_is_named(folder: Path) -> None:
    (folder / "c.jar").write_bytes(b"third")
    with pytest.raises(BrokerError, match=r"c\.jar .* is not in jars\.sha256"):
        verify_jars(folder, EXPECTED)


class Artifact:
    """What jgo's is to us: a name, and a path once it has been downloaded. Serves its contents one after the other."""

    def __init__(self, cache: Path, filename: str, *contents: bytes | Exception) -> None:
        self.filename = filename
        self._path = cache / filename
        self._contents = list(contents)

    def resolve(self) -> Path:
        if not self._path.exists():
            content = self._contents.pop(0)
            if isinstance(content, Exception):
                raise content
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_bytes(content)
        return self._path


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Artifact]:
    found = {name: Artifact(tmp_path / "maven", name, content) for name, content in CONTENT.items()}
    monkeypatch.setattr(jars, "_resolve", lambda _cache: found)
    monkeypatch.setattr(jars, "listed_jars", lambda: EXPECTED)
    return found


def test_they_are_fetched_once_with_progress(tmp_path: Path, served: dict[str, Artifact]) -> None:
    seen: list[tuple[int, int, str]] = []
    classpath = ensure_jars(tmp_path, lambda *step: seen.append(step))
    assert [path.name for path in classpath] == ["a.jar", "b.jar"]
    assert [path.read_bytes() for path in classpath] == [b"first", b"second"]
    assert seen == [(1, 2, "a.jar"), (2, 2, "b.jar")]
    served.clear()
    assert ensure_jars(tmp_path, lambda *step: seen.append(step)) == classpath
    assert len(seen) == 2


def test_a_download_that_was_cut_off_is_done_again(tmp_path: Path, served: dict[str, Artifact]) -> None:
    served["a.jar"] = Artifact(tmp_path / "maven", "a.jar", b"fir", ConnectionError("gone"), b"first")
    assert ensure_jars(tmp_path)[0].read_bytes() == b"first"


def test_a_server_that_gives_something_else_is_refused(tmp_path: Path, served: dict[str, Artifact]) -> None:
    served["b.jar"] = Artifact(tmp_path / "maven", "b.jar", b"evil", b"evil", b"evil")
    with pytest.raises(BrokerError, match=r"b\.jar as downloaded is not the file"):
        ensure_jars(tmp_path)
    assert not (tmp_path / f"kafka-{KAFKA_VERSION}").exists()


def test_a_server_that_cannot_be_reached_is_explained(tmp_path: Path, served: dict[str, Artifact]) -> None:
    served["a.jar"] = Artifact(tmp_path / "maven", "a.jar", *[ConnectionError("no route")] * 3)
    with pytest.raises(BrokerError, match=r"Could not fetch a\.jar: no route.*HOPLINE_KAFKA"):
        ensure_jars(tmp_path)


def test_one_more_or_one_less_in_the_metadata_is_refused(tmp_path: Path, served: dict[str, Artifact]) -> None:
    served["c.jar"] = Artifact(tmp_path / "maven", "c.jar", b"third")
    with pytest.raises(BrokerError, match=r"c\.jar .* was resolved, but is not in"):
        ensure_jars(tmp_path)
    del served["c.jar"], served["b.jar"]
    with pytest.raises(BrokerError, match=r"b\.jar .* was not among"):
        ensure_jars(tmp_path)


def test_the_systems_authorities_are_trusted_unless_others_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.touch()
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    with jars._system_trust():
        assert os.environ["REQUESTS_CA_BUNDLE"] == str(bundle)
    assert "REQUESTS_CA_BUNDLE" not in os.environ
    monkeypatch.setenv("CURL_CA_BUNDLE", "mine")
    with jars._system_trust():
        assert "REQUESTS_CA_BUNDLE" not in os.environ
