"""One Kafka for a whole test run, also when pytest-xdist spreads it over several processes.

`HOPLINE_KAFKA=host:port` uses a cluster that is there. `HOPLINE_TEST_KAFKA=testcontainers` uses Docker where it is.
Otherwise the embedded one is started by the process that first needs it, and ended by it when no other uses it.
"""

import fcntl
import os
import shutil
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from streams.broker import probe
from streams.broker.config import BrokerSettings, Ports, choose_ports, server_properties
from streams.broker.embedded import EmbeddedKafka
from streams.broker.jars import KAFKA_VERSION

HEAP_MEGABYTES: Final = 384
USERS_SECONDS_MAX: Final = 1_200
"""How long the process that started Kafka waits for the others to finish their tests."""
LOOK_SECONDS: Final = 0.2
CONTAINER_SECONDS_MAX: Final = 120


@contextmanager
def kafka_for_tests(folder: Path) -> Iterator[str]:
    """Yield the address of the Kafka to test against. Processes that give the same folder share it."""
    given = os.environ.get("HOPLINE_KAFKA")
    if given:
        yield given
    elif os.environ.get("HOPLINE_TEST_KAFKA") == "testcontainers" and _has_docker():
        with _container(folder) as address:
            yield address
    else:
        with _shared(folder) as address:
            yield address


@contextmanager
def _shared(folder: Path) -> Iterator[str]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "users.lock").open("w") as users:
        with _held(folder):
            address, ours = _join(folder)
            fcntl.flock(users, fcntl.LOCK_SH)
        try:
            yield address
        finally:
            fcntl.flock(users, fcntl.LOCK_UN)
            if ours is not None:
                _leave_last(folder, ours)


def _join(folder: Path) -> tuple[str, EmbeddedKafka | None]:
    word = folder / "address"
    if word.is_file():
        address = word.read_text(encoding="ascii")
        host, port = address.split(":")
        if probe.ask(host, int(port), 5) is not None:
            return address, None
    kafka = EmbeddedKafka(BrokerSettings(folder / "data", heap_megabytes=HEAP_MEGABYTES))
    address = kafka.start()
    word.write_text(address, encoding="ascii")
    return address, kafka


def _leave_last(folder: Path, kafka: EmbeddedKafka) -> None:
    """Stop what we started once nobody else uses it; who comes after that starts one of their own."""
    deadline = time.monotonic() + USERS_SECONDS_MAX
    pause = threading.Event()
    with (folder / "users.lock").open("w") as users:
        while True:
            with _held(folder):
                try:
                    fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if time.monotonic() < deadline:
                        pause.wait(LOOK_SECONDS)
                        continue
                (folder / "address").unlink(missing_ok=True)
                kafka.stop()
                shutil.rmtree(folder / "data", ignore_errors=True)
                return


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    with (folder / "start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _has_docker() -> bool:
    import docker  # noqa: PLC0415  # slow, and only wanted when asked for
    from docker.errors import DockerException  # noqa: PLC0415

    try:
        docker.from_env(timeout=10).ping()
    except DockerException as error:
        warnings.warn(f"Docker does not answer ({error}); testing on the embedded Kafka", stacklevel=2)
        return False
    return True


@contextmanager
def _container(folder: Path) -> Iterator[str]:
    """Run Kafka's own image with the embedded broker's configuration."""
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415  # slow, and only wanted when asked for

    folder.mkdir(parents=True, exist_ok=True)
    settings = BrokerSettings(folder)
    port = choose_ports(settings).broker
    container = DockerContainer(f"apache/kafka:{KAFKA_VERSION}").with_bind_ports(port, port)
    for name, value in container_environment(settings, port).items():
        container.with_env(name, value)
    with container:
        deadline = time.monotonic() + CONTAINER_SECONDS_MAX
        pause = threading.Event()
        while probe.ask("127.0.0.1", port, 2) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"Kafka's container did not answer: {container.get_logs()!r}")
            pause.wait(LOOK_SECONDS)
        yield f"127.0.0.1:{port}"


def container_environment(settings: BrokerSettings, port: int) -> dict[str, str]:
    """Return the embedded broker's configuration as the image takes it."""
    lines = server_properties(settings, Ports(port, port + 1)).splitlines()
    properties = dict(line.split("=", 1) for line in lines)
    properties["listeners"] = f"PLAINTEXT://0.0.0.0:{port},CONTROLLER://127.0.0.1:{port + 1}"
    properties["log.dirs"] = "/var/lib/kafka/data"
    return {f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in properties.items()}
