"""The projector against a real Kafka: everything once whatever kills it, the same when built anew, and in words."""

import asyncio
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import RecordsToDelete
from aiokafka.structs import TopicPartition

from processors.directives.audit import Told, extend
from processors.directives.record import Directive, Head, Status
from processors.vocabulary import headers as names
from processors.vocabulary import topics
from processors.vocabulary.record import PlainRecord
from streams.admin import admin_client
from streams.history.filters import Filter
from streams.history.projector import Source
from streams.history.reading import History, content_sum
from streams.history.rebuild import LossError, rebuild
from streams.history.rows import row_of, sum_of
from streams.history.sqlite import SqliteHome
from streams.history.store import HistoryError, Home
from streams.settings import KafkaSettings
from streams.topics import TopicNames
from tests.integration.pipeline import Pipeline, until
from tests.streams.history.made import free_port, signal_record

SECONDS: Final = 60.0
LANES: Final = 2
NOW_MS: Final = int(time.time() * 1_000) - 60_000
"""Of today: Kafka removes what is older than a topic's retention, and a rebuild refuses to lose that."""


class Place:
    """Topics of a test, what was written to them, and the processes on them."""

    def __init__(self, kafka: str, unique: str, folder: Path, history: str) -> None:
        self.pipeline = Pipeline(kafka, f"{unique}.", folder, lanes=LANES)
        self.written: list[tuple[str, PlainRecord]] = []
        self.processes: list[subprocess.Popen[bytes]] = []
        self.port = free_port()
        self._folder = folder
        self._settings = {
            "KAFKA": kafka,
            "TOPIC_PREFIX": f"{unique}.",
            "DATA_DIR": str(folder),
            "LANES": str(LANES),
            "HISTORY": history,
            "HISTORY_PORT": str(self.port),
            "HISTORY_DAYS": "3650",
        }

    def source(self) -> Source:
        """Return what is read."""
        keep_ms = 3_650 * 86_400_000
        return Source(KafkaSettings(self.pipeline.kafka), TopicNames(self.pipeline.prefix), LANES, keep_ms)

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start a projector; with arguments one that dies."""
        module = "tests.streams.history.faulty_projector" if arguments else "streams.history"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HOPLINE_")}
        with (self._folder / f"history-{len(self.processes)}.log").open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                env={**kept, **{f"HOPLINE_{name}": value for name, value in self._settings.items()}},
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self.processes.append(process)
        return process

    def said(self) -> str:
        """Return what the last one has said."""
        return (self._folder / f"history-{len(self.processes) - 1}.log").read_text()[-4_000:]

    async def send(self, count: int, *, abort: bool = False) -> None:
        """Write signals, dead letters and lines of the audit in one transaction."""
        first = len(self.written)
        producer = AIOKafkaProducer(
            bootstrap_servers=self.pipeline.kafka, transactional_id=f"{self.pipeline.prefix}{first}{abort}"
        )
        await producer.start()
        await producer.begin_transaction()
        sent = []
        for number in range(first, first + count):
            topic, record = made(number)
            headers = list(record.headers)
            physical = self.pipeline.physical(topic)
            options: dict[str, Any] = {"key": record.key, "headers": headers, "timestamp_ms": record.timestamp}
            sent.append(
                (topic, record, await producer.send(physical, record.value, partition=number % LANES, **options))
            )
        for topic, record, future in sent:
            at = await future
            bare = PlainRecord(
                topic, at.partition, at.offset, record.timestamp, record.key, record.value, record.headers
            )
            if not abort:
                self.written.append((topic, bare))
        await (producer.abort_transaction() if abort else producer.commit_transaction())
        await producer.stop()

    @property
    def expected(self) -> dict[str, str | int]:
        """What history must have: each record once."""
        count, total = sum_of(row_of(topic, record) for topic, record in self.written)
        return {"rows": count, "sum": f"{total:032x}"}

    async def all_in(self, home: Home) -> None:
        """Wait until as many rows are in as there must be, or more."""

        def are_in() -> bool:
            try:
                return int(content_sum(home, SECONDS)["rows"]) >= len(self.written)
            except HistoryError:
                return False

        await until(are_in, self.said)

    async def stop(self, process: "subprocess.Popen[bytes]") -> int:
        """Ask a projector to stop; return its exit code."""
        process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(process.wait, SECONDS)


def made(number: int) -> tuple[str, PlainRecord]:
    """Return the record with this number: mostly signals."""
    record = signal_record(number, tenant=f"tenant-{number % 5}", at_ms=NOW_MS + number)
    if number % 7 == 3:
        headers = (*record.headers[:1], (names.DEAD_REASON, b"bug"), (names.DEAD_HOP, b"ingest"))
        return topics.DEAD_LETTERS, PlainRecord("", 0, 0, record.timestamp, record.key, record.value, headers)
    if number % 11 == 5:
        line = extend(Head(), "acme", DIRECTIVE, number, Told(None, {}))
        return topics.AUDIT, PlainRecord("", 0, 0, record.timestamp, b"acme", line)
    return topics.SIGNALS, record


DIRECTIVE: Final = Directive("k", "hopline.tenant.set", "1", "1", "me", b"", b"", 0, 0, 0, Status.SUCCEEDED)


@contextmanager
def placed(kafka: str, unique: str, folder: Path, history: str = "history") -> Iterator[Place]:
    """Yield topics and projectors that are ended whatever happens."""
    place = Place(kafka, unique, folder, history)
    try:
        yield place
    finally:
        for process in place.processes:
            if process.poll() is None:
                process.kill()
            process.wait(SECONDS)


@pytest.mark.kafka
@pytest.mark.parametrize("moment", ["before", "after"])
async def test_what_a_kill_interrupts_is_written_once_and_is_the_same_when_built_anew(
    kafka: str, unique: str, tmp_path: Path, moment: str
) -> None:
    home = SqliteHome(tmp_path / "history")
    with placed(kafka, unique, tmp_path) as place:
        await place.pipeline.prepare()
        await place.send(300)
        await place.send(50, abort=True)
        dying = place.start(moment, "1")
        assert await asyncio.to_thread(dying.wait, SECONDS) == -signal.SIGKILL, place.said()
        await place.send(200)
        dying = place.start(moment, "2" if moment == "after" else "1")
        await place.all_in(home) if moment == "after" else None
        await place.send(200)
        assert await asyncio.to_thread(dying.wait, SECONDS) == -signal.SIGKILL, place.said()
        last = place.start()
        await place.all_in(home)
        assert content_sum(home, SECONDS) == place.expected
        # Beside a projector that runs, which goes on with the new one.
        before = home.current()
        _, rows = await rebuild(place.source(), home, lambda _: None)
        assert rows == len(place.written)
        assert home.current() != before
        assert content_sum(home, SECONDS) == place.expected
        await place.send(100)
        await place.all_in(home)
        assert content_sum(home, SECONDS) == place.expected
        assert await place.stop(last) == 0


@pytest.mark.kafka
async def test_a_projector_that_writes_offsets_ahead_of_their_rows_is_found(
    kafka: str, unique: str, tmp_path: Path
) -> None:
    home = SqliteHome(tmp_path / "history")
    with placed(kafka, unique, tmp_path) as place:
        await place.pipeline.prepare()
        await place.send(60)
        dying = place.start("planted", "1")
        assert await asyncio.to_thread(dying.wait, SECONDS) == -signal.SIGKILL, place.said()
        place.start()
        lost = len(place.written)
        await place.send(40)
        await until(lambda: int(content_sum(home, SECONDS)["rows"]) >= 40, place.said)
        assert int(content_sum(home, SECONDS)["rows"]) == len(place.written) - lost
        assert content_sum(home, SECONDS) != place.expected


@pytest.mark.kafka
async def test_a_projector_on_postgres_does_the_same(
    kafka: str, unique: str, tmp_path: Path, postgres_url: str
) -> None:
    from streams.history.postgres import PostgresHome  # noqa: PLC0415  only where there is one

    home = PostgresHome(postgres_url)
    home.publish(home.fresh())
    with placed(kafka, unique, tmp_path, postgres_url) as place:
        await place.pipeline.prepare()
        await place.send(200)
        dying = place.start("after", "1")
        assert await asyncio.to_thread(dying.wait, SECONDS) == -signal.SIGKILL, place.said()
        await place.send(100)
        running = place.start()
        await place.all_in(home)
        assert content_sum(home, SECONDS) == place.expected
        await rebuild(place.source(), home, lambda _: None)
        assert content_sum(home, SECONDS) == place.expected
        await place.send(50)
        await place.all_in(home)
        assert content_sum(home, SECONDS) == place.expected
        assert "postgresql://" not in place.said()
        assert await place.stop(running) == 0


@pytest.mark.kafka
async def test_it_says_how_far_it_is_and_who_writes_already(kafka: str, unique: str, tmp_path: Path) -> None:
    home = SqliteHome(tmp_path / "history")
    history = History(home, seconds_max=SECONDS)
    with placed(kafka, unique, tmp_path) as place:
        await place.pipeline.prepare()
        await place.send(30)
        place.start()
        await place.all_in(home)

        def page(path: str) -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{place.port}{path}", timeout=SECONDS) as answer:
                return str(answer.read().decode())

        await until(lambda: "hopline_history_rows_total 30.0" in page("/metrics"), place.said)
        await until(lambda: "hopline_history_progress_ratio 1.0" in page("/metrics"), place.said)
        assert page("/readyz") == "ready\n"
        found = await history.search("tenant-1", Filter(text="number"))
        assert {row.tenant for row in found.rows} == {"tenant-1"}
        assert found.behind_seconds < SECONDS
        place._settings["HISTORY_PORT"] = "0"
        second = place.start()
        await until(lambda: "does so already" in place.said(), place.said)
        assert second.poll() is None
        history.close()


@pytest.mark.kafka
async def test_a_rebuild_does_not_lose_what_the_topics_hold_no_longer_unless_it_is_told_to(
    kafka: str, unique: str, tmp_path: Path
) -> None:
    home = SqliteHome(tmp_path / "history")
    with placed(kafka, unique, tmp_path) as place:
        await place.pipeline.prepare()
        await place.send(40)
        await rebuild(place.source(), home, lambda _: None)
        before = home.current()
        async with admin_client(KafkaSettings(kafka)) as admin:
            first = TopicPartition(place.pipeline.physical(topics.SIGNALS), 0)
            await admin.delete_records({first: RecordsToDelete(5)})
        gone = [each for each in place.written if each[0] == topics.SIGNALS and each[1].partition == 0][:5]
        with pytest.raises(LossError, match="5 rows"):
            await rebuild(place.source(), home, lambda _: None)
        assert home.current() == before
        assert content_sum(home, SECONDS) == place.expected
        await rebuild(place.source(), home, lambda _: None, lose=True)
        place.written = [each for each in place.written if each not in gone]
        assert content_sum(home, SECONDS) == place.expected


@pytest.mark.kafka
async def test_the_history_of_another_cluster_is_not_gone_on_with(kafka: str, unique: str, tmp_path: Path) -> None:
    home = SqliteHome(tmp_path / "history")
    with placed(kafka, unique, tmp_path) as place:
        await place.pipeline.prepare()
        await place.send(10)
        await rebuild(place.source(), home, lambda _: None)
        writer = home.writer(home.current() or "")
        writer.write([], {(topics.SIGNALS, 0): 10_000}, complete_ms=0, share=1.0)
        writer.close()
        place.start()
        await until(lambda: "hopline history rebuild" in place.said(), place.said)
        assert place.processes[0].poll() is None


async def test_without_kafka_it_says_so_and_goes_on_trying(unique: str, tmp_path: Path) -> None:
    with placed(f"127.0.0.1:{free_port()}", unique, tmp_path) as place:
        process = place.start()
        await until(lambda: "Kafka" in place.said(), place.said)
        assert process.poll() is None
        assert await place.stop(process) == 0
