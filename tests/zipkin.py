"""A real Zipkin on loopback, by its Maven coordinates: spans are sent to it, and its own API is asked what it has."""

import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jgo.maven import MavenContext
from jgo.parse import Coordinate

from streams.broker.errors import BrokerError
from streams.broker.jars import DOWNLOAD_SECONDS_MAX, _system_trust, default_cache_dir, sha256_of
from streams.broker.java import find_java, java_environment
from tests.integration.pipeline import free_port

VERSION: Final = "3.6.1"
SHA256: Final = "981b1de6139b4f8f787a909c308028732f9713ae5284353d2a5aa404d1094775"
PORT: Final = 9_411
"""Zipkin's own, for a developer."""
HEAP: Final = "-Xmx192m"
START_SECONDS_MAX: Final = 120.0
REQUEST_SECONDS_MAX: Final = 10.0
STOP_SECONDS_MAX: Final = 20.0
LOOK_SECONDS: Final = 0.2


class NoZipkinError(Exception):
    """It cannot be had here; the message says why."""


def jar() -> Path:
    """Return Zipkin's jar, fetched if it is not there, and checked. Raises `NoZipkinError`."""
    try:
        with _system_trust():
            context = MavenContext(
                repo_cache=default_cache_dir() / "maven", local_repos=[], timeout=DOWNLOAD_SECONDS_MAX
            )
            wanted = Coordinate("io.zipkin", "zipkin-server", VERSION, classifier="slim", packaging="jar")
            path = Path(context.create_dependency(wanted).artifact.resolve())
    except (OSError, RuntimeError, ValueError) as error:
        raise NoZipkinError(f"Zipkin's jar cannot be fetched: {error}") from error
    found = sha256_of(path)
    if found != SHA256:
        path.unlink()
        # No reason to skip: somebody changes files.
        raise ValueError(f"{path.name} has the SHA-256 {found}, not {SHA256}")
    return path


@dataclass(frozen=True, slots=True)
class Zipkin:
    """One that answers."""

    url: str

    @property
    def spans_url(self) -> str:
        """Where spans are sent."""
        return f"{self.url}/api/v2/spans"

    def trace(self, trace_id: str) -> list[dict[str, Any]]:
        """Return the spans of a trace as Zipkin has them; none if it knows nothing of it."""
        try:
            found = json.loads(self._get(f"/api/v2/trace/{trace_id}"))
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return []
            raise
        assert isinstance(found, list)
        return found

    def traces(self, service: str, span: str) -> list[list[dict[str, Any]]]:
        """Return the newest traces that hold a span of a name."""
        asked = urllib.parse.urlencode({"serviceName": service, "spanName": span, "limit": 100})
        found = json.loads(self._get(f"/api/v2/traces?{asked}"))
        assert isinstance(found, list)
        return found

    def services(self) -> list[str]:
        """Return who has sent spans."""
        found = json.loads(self._get("/api/v2/services"))
        assert isinstance(found, list)
        return found

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=REQUEST_SECONDS_MAX) as answer:  # noqa: S310  # loopback
            return bytes(answer.read())


@contextmanager
def zipkin(folder: Path, port: int = 0) -> Iterator[Zipkin]:
    """Run one; port 0 is any. Raises `NoZipkinError` where there is no jar or no Java."""
    path = jar()
    try:
        java = find_java()
    except BrokerError as error:
        raise NoZipkinError(str(error)) from error
    port = port or free_port()
    listen = [
        "--armeria.ports[0].ip=127.0.0.1",
        f"--armeria.ports[0].port={port}",
        "--armeria.ports[0].protocols[0]=http",
    ]
    log = folder / "zipkin.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [java, HEAP, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-jar", path, *listen],
            stdout=out,
            stderr=subprocess.STDOUT,
            env=java_environment(),
        )
    try:
        one = Zipkin(f"http://127.0.0.1:{port}")
        _until_healthy(one, process, log)
        yield one
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS_MAX)


def _until_healthy(one: Zipkin, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while True:
        try:
            one._get("/health")
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                said = log.read_text(errors="replace")[-2_000:]
                raise TimeoutError(f"Zipkin did not start ({error}):\n{said}") from error
            time.sleep(LOOK_SECONDS)
        else:
            return


def main() -> None:
    """Run one for a developer, until Ctrl-C."""
    with tempfile.TemporaryDirectory() as folder, zipkin(Path(folder), PORT) as one, suppress(KeyboardInterrupt):
        sys.stdout.write(f"Zipkin is at {one.url}/zipkin/; HOPLINE_TRACE_ZIPKIN_URL={one.spans_url}\n")
        sys.stdout.flush()
        threading.Event().wait()  # forever: until Ctrl-C


if __name__ == "__main__":
    main()
