"""Bare Faust: an agent and two tables, exactly_once: as it comes, or tuned for throughput."""

import sys
from pathlib import Path
from typing import Any, Final

import faust
import orjson
import uvloop

from bench.load import Work, known_id, known_tenant, source_of
from bench.peers.work import Report, Task, decode, enrich, seen_as, task

SESSION_SECONDS: Final = 30.0
COMMIT_SECONDS_DEFAULT: Final = 2.8
COMMIT_SECONDS_TUNED: Final = 1.0
TUNED: Final[dict[str, Any]] = {
    "broker_commit_interval": COMMIT_SECONDS_TUNED,
    "producer_linger": 0.05,
    "producer_max_batch_size": 256 * 1_024,
    "consumer_max_fetch_size": 4 * 1_048_576,
    "stream_wait_empty": False,
}
"""What its settings page offers for throughput, as far as it helped; its defaults are tuned for latency."""


def build(wanted: Task, report: Report) -> faust.App:
    """Return the app."""
    data = Path(wanted.data_dir)
    app = faust.App(
        wanted.name,
        broker=f"kafka://{wanted.kafka}",
        processing_guarantee="exactly_once",
        store="memory://",
        datadir=str(data),
        topic_partitions=wanted.lanes,
        topic_replication_factor=1,
        topic_disable_leader=True,
        table_standby_replicas=0,
        broker_session_timeout=SESSION_SECONDS,
        consumer_auto_offset_reset="earliest",
        value_serializer="raw",
        web_enabled=False,
        worker_redirect_stdouts=False,
        **(TUNED if wanted.tuned else {}),
    )
    source = app.topic(wanted.source, key_type=bytes, value_type=bytes, value_serializer="raw", key_serializer="raw")
    sink = app.topic(wanted.sink, key_type=bytes, value_type=bytes, value_serializer="raw", key_serializer="raw")
    seen = app.Table("seen", partitions=wanted.lanes)
    counts = app.Table("counts", partitions=wanted.lanes, default=int)

    @seen.on_recover
    async def know() -> None:
        # In exactly_once mode Faust asks for the changelog's last stable offset before it has fetched anything,
        # learns none, and restores nothing: so the harness's ids are put where its restoring would have put them.
        work = Work(signals=0, known=wanted.known, tenants=wanted.tenants, lanes=wanted.lanes)
        for number in range(work.known):
            seen.data[f"{known_tenant(work, number)} {source_of(number)} {known_id(number)}"] = 1

    @app.agent(source)
    async def lane(stream: Any) -> None:
        async for found in stream.events():
            report.consumed()
            event = decode(found.value)
            if event is None:
                continue
            tenant = event["tenantid"]
            known = f"{tenant} {seen_as(event)}"
            if known in seen:
                continue
            seen[known] = 1
            counts[tenant] += 1
            _ = await sink.send(key=found.key, value=orjson.dumps(enrich(event)))
            report.stepped()

    return app


def main() -> None:
    """Run a worker until told to stop, then say what it did."""
    uvloop.install()
    wanted = task()
    report = Report(
        notes={"outputs": "Faust sends them outside of its transactions, unless it also consumes their topic"}
    )
    app = build(wanted, report)
    sys.argv = ["faust"]
    # Not WARNING: Faust then shows a spinner that is fed by debug logs of every send, a seventh of its time.
    worker = faust.Worker(app, loglevel="INFO", redirect_stdouts=False)
    try:
        worker.execute_from_commandline()
    finally:
        report.print(
            f"{COMMIT_SECONDS_TUNED if wanted.tuned else COMMIT_SECONDS_DEFAULT} s",
            "faust-streaming",
            "aiokafka",
            "uvloop",
        )


if __name__ == "__main__":
    main()
