"""Fetch Kafka's jars from their Maven coordinates and check each against its committed SHA-256.

The list `jars.sha256` decides: the classpath holds exactly the files it names, with exactly these contents. Maven's
metadata only says where they are; nothing else that it says is believed.
"""

import fcntl
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, TypeAlias

from streams.broker.errors import BrokerError

if TYPE_CHECKING:
    from jgo.maven import Artifact

KAFKA_VERSION: Final = "4.1.1"
"""Not 4.3.1: after an unclean restart with a transaction open it skips the abort marker ("these partitions are likely
deleted already"), so the next transaction of that producer commits the dead one's records. Seen by `tests.chaos`."""
COORDINATES: Final = (f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}", "org.slf4j:slf4j-simple:1.7.36")
"""Kafka, and a logger: without one it would be silent."""
DOWNLOAD_SECONDS_MAX: Final = 60
"""How long a server may say nothing during a download."""
DOWNLOAD_ATTEMPTS_MAX: Final = 3


AUTHORITIES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # macOS, Alpine
)
"""Where systems keep the authorities that they trust."""

Progress: TypeAlias = Callable[[int, int, str], None]
"""Called with (files done, files in all, name of the file)."""


def no_progress(_done: int, _total: int, _name: str) -> None:
    """Show nothing."""


def default_cache_dir() -> Path:
    """Return the folder for what can be fetched again."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "hopline"


def listed_jars() -> dict[str, str]:
    """Return the committed list: file name to SHA-256."""
    text = files("streams.broker").joinpath("jars.sha256").read_text(encoding="ascii")
    lines = (line.split() for line in text.splitlines() if line and not line.startswith("#"))
    return {name: digest for digest, name in lines}


def ensure_jars(cache_dir: Path | None = None, progress: Progress = no_progress) -> tuple[Path, ...]:
    """Return the classpath; fetch and check what is missing. Safe to call from several processes at once."""
    cache = cache_dir or default_cache_dir()
    expected = listed_jars()
    folder = cache / f"kafka-{KAFKA_VERSION}"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _alone(cache):
            if not folder.is_dir():
                _assemble(cache, folder, expected, progress)
            verify_jars(folder, expected)
    except PermissionError as error:
        raise BrokerError(
            f"Kafka's jars cannot be kept in {cache}: {error}. Set XDG_CACHE_HOME to a folder that you can write to."
        ) from error
    return tuple(folder / name for name in sorted(expected))


def verify_jars(folder: Path, expected: Mapping[str, str]) -> None:
    """Refuse the folder unless it holds exactly the listed jars. Reads them only if sizes or times have changed."""
    present = {entry.name: entry for entry in folder.iterdir()} if folder.is_dir() else {}
    for name in sorted(expected.keys() - present.keys()):
        raise _refused(folder, name, "is missing")
    for name in sorted(present.keys() - expected.keys()):
        raise _refused(folder, name, "is not in jars.sha256")
    marker = folder.with_name(folder.name + ".verified")
    seen = _fingerprint(present, expected)
    if marker.is_file() and marker.read_text(encoding="utf-8") == seen:
        return
    for name, path in sorted(present.items()):
        found = sha256_of(path)
        if found != expected[name]:
            raise _refused(folder, name, f"has SHA-256 {found}, and jars.sha256 says {expected[name]}")
    _write(marker, seen)


def sha256_of(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fetch_jars(cache: Path, expected: Mapping[str, str], progress: Progress) -> dict[str, Path]:
    """Download the listed jars into the Maven cache below `cache`; return where each of them is."""
    with _system_trust():
        try:
            artifacts = _resolve(cache / "maven")
        except (OSError, RuntimeError, ValueError) as error:
            raise _unreachable("the list of Kafka's jars", error) from error
        for name in sorted(artifacts.keys() - expected.keys()):
            raise _refused(cache / "maven", name, "was resolved, but is not in jars.sha256")
        for name in sorted(expected.keys() - artifacts.keys()):
            raise _refused(cache / "maven", name, "was not among the jars that Maven's metadata names")
        found: dict[str, Path] = {}
        for done, (name, artifact) in enumerate(sorted(artifacts.items()), start=1):
            progress(done, len(artifacts), name)
            found[name] = _download(artifact, expected[name])
        return found


@contextmanager
def _system_trust() -> Iterator[None]:
    """Let the HTTP client trust whom the system trusts: behind a company's proxy its own list is not enough.

    It decides who may answer, not what is believed: that is jars.sha256.
    """
    asked = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    candidates = (os.environ.get("SSL_CERT_FILE", ""), *AUTHORITIES)
    bundle = next((path for path in candidates if path and Path(path).is_file()), None)
    if bundle is None or any(os.environ.get(name) for name in asked):
        yield
        return
    os.environ[asked[0]] = bundle
    try:
        yield
    finally:
        del os.environ[asked[0]]


def _resolve(maven_cache: Path) -> dict[str, "Artifact"]:
    # Imported here: it brings an HTTP client along, and is needed once in an installation's life.
    from jgo.maven import MavenContext  # noqa: PLC0415
    from jgo.parse import Coordinate  # noqa: PLC0415

    # Not `jgo.build`: to sort jars from modules it would fetch a whole JDK where no Java is installed.
    context = MavenContext(repo_cache=maven_cache, local_repos=[], timeout=DOWNLOAD_SECONDS_MAX)
    coordinates = [replace(Coordinate.parse(text), scope="compile") for text in COORDINATES]
    wanted = [context.create_dependency(each) for each in coordinates]
    given, transitive = context.resolver.resolve(wanted)
    chosen = [*given, *(each for each in transitive if each.scope in ("compile", "runtime"))]
    return {each.artifact.filename: each.artifact for each in chosen}


def _download(artifact: "Artifact", digest: str) -> Path:
    """Return the jar's path in the Maven cache. What was left there half-written by an earlier run is fetched again."""
    name = artifact.filename
    problem = BrokerError(f"{name} could not be fetched.")
    for _ in range(DOWNLOAD_ATTEMPTS_MAX):
        try:
            path = artifact.resolve()
        except (OSError, RuntimeError) as error:
            problem = _unreachable(name, error)
            continue
        found = sha256_of(path)
        if found == digest:
            return path
        path.unlink()
        problem = BrokerError(
            f"{name} as downloaded is not the file that jars.sha256 lists (SHA-256 {found} instead of {digest}). "
            "Something between here and the Maven repository changes files; do not use it."
        )
    raise problem


def _assemble(cache: Path, folder: Path, expected: Mapping[str, str], progress: Progress) -> None:
    found = fetch_jars(cache, expected, progress)
    # Filled beside its place and then renamed: a folder of this name is complete, whatever interrupts us.
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for name, path in found.items():
        try:
            (partial / name).hardlink_to(path)
        except OSError:
            shutil.copy2(path, partial / name)
    partial.rename(folder)


def _fingerprint(present: Mapping[str, Path], expected: Mapping[str, str]) -> str:
    stats = {name: path.stat() for name, path in present.items()}
    lines = {name: [stat.st_size, stat.st_mtime_ns, expected[name]] for name, stat in stats.items()}
    return json.dumps(lines, sort_keys=True)


def _write(path: Path, text: str) -> None:
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


def _refused(folder: Path, name: str, what: str) -> BrokerError:
    return BrokerError(f"{name} in {folder} {what}. Delete that folder and run `make setup` to fetch the jars again.")


def _unreachable(what: str, error: Exception) -> BrokerError:
    return BrokerError(
        f"Could not fetch {what}: {error}. Check the network (HTTPS_PROXY and REQUESTS_CA_BUNDLE are honoured) and try "
        "again; what is already fetched is kept. Or set HOPLINE_KAFKA=host:port to use a Kafka that is there."
    )


@contextmanager
def _alone(cache: Path) -> Iterator[IO[str]]:
    """Let one process at a time fetch and check; the others wait, at most as long as its downloads take."""
    with (cache / "jars.lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock


def main() -> int:
    """For a new version of Kafka: print what jars.sha256 should hold."""
    with _system_trust():
        for name, artifact in sorted(_resolve(default_cache_dir() / "maven").items()):
            sys.stdout.write(f"{sha256_of(artifact.resolve())}  {name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
