"""Spans on their way out: what each exporter gets, and that one that is away costs counted losses and nothing else."""

import asyncio
import json
import logging
import time
from pathlib import Path
from typing import Any, Final

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from processors.lane import Commit
from processors.position import Position
from processors.telemetry import catalogue
from processors.telemetry.trace import Span, Why
from streams.lanes.ports import Took
from streams.metrics import Metrics
from streams.settings import Settings, SettingsError
from streams.tracing import Tracer, pipe, tracer_of
from streams.tracing.exporters import line
from streams.tracing.readable import readable, resource_of
from tests.streams.tracing.made import AT_MS, Exporter, failed, server, span, until

HANDLED: Final = Took(stepped_ms=4, committed_ms=3, hops_ms={}, polled_ms=2)


def tracer(metrics: Metrics, *exporters: Exporter, slow_ms: float = 1e9) -> Tracer:
    named = [(f"exporter {number}", exporter) for number, exporter in enumerate(exporters)]
    return Tracer(named, metrics, job="worker", instance="here:1", group="hopline", slow_ms=slow_ms)


def counted(metrics: Metrics, result: str) -> float:
    return sum(
        value
        for name, labels, value in metrics.points()
        if name == catalogue.SPANS.name and dict(labels)["result"] == result
    )


def commit(*spans: Any, dropped: int = 0, sequence: int = 7) -> Commit:
    return Commit(
        position=Position(sequence=sequence, now_ms=AT_MS),
        outputs={},
        changes={},
        journal=b"",
        tally={},
        handled_ms=(),
        due_ms=None,
        records=20,
        spans=spans,
        spans_dropped=dropped,
    )


@pytest.mark.parametrize("made", [span(), span(parent_id="", links=()), failed()], ids=lambda one: one.kind)
def test_a_line_of_the_file_is_what_opentelemetry_would_write(made: Span) -> None:
    found = readable(made, resource_of("worker", "here:1"), "hopline")
    assert json.loads(json.dumps(line(found))) == json.loads(found.to_json(indent=None))


async def test_what_is_taken_is_sent_to_each_and_counted() -> None:
    metrics, one, other = Metrics(), Exporter(), Exporter()
    made = tracer(metrics, one, other)
    made.take([span(1), failed()], dropped=3)
    await until(lambda: len(one.taken) == len(other.taken) == 2)
    made.close()
    assert (one.ended, other.ended) == (True, True)
    assert [counted(metrics, result) for result in ("made", "sent", "lost", "dropped")] == [2, 4, 0, 3]
    told = one.taken[0]
    assert told.name == "process signals.in"
    assert (told.start_time, told.end_time) == (AT_MS * 1_000_000, (AT_MS + 5) * 1_000_000)
    attributes = dict(told.attributes or {})
    assert attributes["messaging.system"] == "kafka"
    assert attributes["messaging.operation.type"] == "process"
    assert attributes["messaging.destination.partition.id"] == "3"
    assert attributes["messaging.kafka.offset"] == 14
    assert attributes["messaging.consumer.group.name"] == "hopline"
    assert [link.context.span_id for link in told.links] == [int("b" * 16, 16)]
    assert dict(told.resource.attributes)["service.name"] == "hopline-worker"


@pytest.mark.parametrize("how", ["fails", "raises"])
async def test_one_that_is_away_loses_its_own_says_so_once_and_comes_back(
    how: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipe, "LINGER_SECONDS", 0.01)
    caplog.set_level(logging.INFO)
    metrics, away, there = Metrics(), Exporter(), Exporter()
    setattr(away, how, True)
    made = tracer(metrics, away, there)
    for number in range(3):
        made.take([span(number)])
        await until(lambda number=number: counted(metrics, "lost") == number + 1)  # type: ignore[misc]
    await until(lambda: len(there.taken) == 3)
    setattr(away, how, False)
    made.take([span(9)])
    await until(lambda: len(away.taken) == 1)
    made.close()
    said = [record.getMessage() for record in caplog.records if "spans" in record.getMessage()]
    assert len(said) == 2
    assert "spans cannot be sent to exporter 0" in said[0]
    assert said[1] == "spans are sent to exporter 0 again"


async def test_one_that_is_stuck_holds_up_nobody_and_its_queue_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipe, "LINGER_SECONDS", 0.01)
    monkeypatch.setattr(pipe, "QUEUE_MAX", 10)
    monkeypatch.setattr(pipe, "EXPORT_MAX", 1)
    monkeypatch.setattr(pipe, "CLOSE_SECONDS_MAX", 0.2)
    metrics, stuck, there = Metrics(), Exporter(), Exporter()
    stuck.lets.clear()
    made = tracer(metrics, stuck, there)
    made.take([span(0)])
    await until(lambda: len(there.taken) == 1)
    began = time.monotonic()
    for number in range(1, 31):
        made.take([span(number)])
        await until(lambda number=number: len(there.taken) == number + 1)  # type: ignore[misc]
    assert counted(metrics, "lost") >= 20
    made.close()
    assert time.monotonic() - began < 25
    assert counted(metrics, "made") == 31
    # What was in its hands is neither sent nor lost yet.
    assert counted(metrics, "lost") + counted(metrics, "sent") == 2 * 31 - 1
    stuck.lets.set()


async def test_a_batch_with_sampled_signals_has_a_poll_and_a_commit_that_link_to_them() -> None:
    metrics, exporter = Metrics(), Exporter()
    made = tracer(metrics, exporter)
    for _ in range(2):
        made.committed(1, commit(span(1, ended_ms=0), span(2, ended_ms=0)), HANDLED, AT_MS + 100)
    made.committed(1, commit(), HANDLED, AT_MS + 200)
    made.close()
    first, second, poll, done = exporter.taken[:4]
    assert [one.name for one in exporter.taken[:4]] == [
        "process signals.in",
        "process signals.in",
        "poll signals.in",
        "commit signals.in",
    ]
    assert len(exporter.taken) == 8, "nothing for a batch without"
    assert first.end_time == second.end_time == (AT_MS + 100) * 1_000_000
    ids = {one.context.span_id for one in (first, second)}
    assert {link.context.span_id for link in poll.links} == {link.context.span_id for link in done.links} == ids
    assert poll.context.trace_id == done.context.trace_id != first.context.trace_id
    assert done.parent is not None
    assert done.parent.span_id == poll.context.span_id
    times = [(one.start_time or 0, one.end_time or 0) for one in (poll, done)]
    assert [(a // 1_000_000 - AT_MS, b // 1_000_000 - AT_MS) for a, b in times] == [(91, 93), (97, 100)]
    again = exporter.taken[4:]
    assert [one.context for one in again] == [one.context for one in exporter.taken[:4]], (
        "the same commit, the same ids"
    )


async def test_a_batch_that_took_long_has_them_without_any_signal() -> None:
    metrics, exporter = Metrics(), Exporter()
    made = tracer(metrics, exporter, slow_ms=6)
    made.committed(1, commit(dropped=5), HANDLED, AT_MS)
    made.close()
    assert [one.name for one in exporter.taken] == ["poll lane 1", "commit lane 1"]
    assert {dict(one.attributes or {})["hopline.why"] for one in exporter.taken} == {Why.SLOW.value}
    assert counted(metrics, "dropped") == 5


async def test_what_a_hop_raised_is_told_with_its_stack() -> None:
    metrics, exporter = Metrics(), Exporter()
    made = tracer(metrics, exporter)
    with pytest.raises(ValueError, match="x") as raising:
        int("x")
    made.raised(2, raising.value, hop="ingest", at_ms=AT_MS)
    made.close()
    (told,) = exporter.taken
    raised = dict(told.events[0].attributes or {})
    assert (told.name, told.status.description) == ("step ingest", "ValueError")
    assert (raised["exception.type"], raised["exception.message"]) == (
        "ValueError",
        "invalid literal for int() with base 10: 'x'",
    )
    assert "test_tracer.py" in str(raised["exception.stacktrace"])


def settings(**given: Any) -> Settings:
    return Settings(kafka="127.0.0.1:1", **given)


def test_without_a_place_to_go_there_is_no_tracer() -> None:
    assert tracer_of(settings(), Metrics(), job="worker", instance="here:1") is None


@pytest.mark.parametrize("url", ["zipkin:9411", "ftp://host/spans", "http://", "http://host:port/x", "http://[::1"])
@pytest.mark.parametrize("name", ["trace_zipkin_url", "trace_otlp_url"])
def test_an_address_that_is_none_is_refused_by_name(name: str, url: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is no address"):
        tracer_of(settings(**{name: url}), Metrics(), job="worker", instance="here:1")


async def test_all_three_at_once(tmp_path: Path) -> None:
    metrics, file = Metrics(), tmp_path / "spans"
    with server("/v1/traces") as otlp, server("/api/v2/spans") as zipkin:
        otlp.status = 200
        made = tracer_of(
            settings(trace_file=str(file), trace_otlp_url=otlp.url, trace_zipkin_url=zipkin.url),
            metrics,
            job="gateway",
            instance="here:1",
        )
        assert made is not None
        made.take([span(1), failed()])
        await until(lambda: counted(metrics, "sent") == 6)
        await asyncio.to_thread(made.close)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["name"] for line in lines] == ["process signals.in", "process signals.in"]
    assert lines[1]["events"][0]["attributes"]["exception.type"] == "WrongError"
    request = ExportTraceServiceRequest.FromString(otlp.bodies[0])
    (told, _) = request.resource_spans[0].scope_spans[0].spans
    assert told.trace_id.hex() == "a" * 32
    assert told.links[0].span_id.hex() == "b" * 16
    first, second = json.loads(zipkin.bodies[0])
    assert first["traceId"] == "a" * 32
    assert (first["parentId"], first["id"], first["kind"]) == ("b" * 16, f"{1:016x}", "CONSUMER")
    assert (first["timestamp"], first["duration"]) == (AT_MS * 1_000, 5_000)
    assert first["localEndpoint"] == {"serviceName": "hopline-gateway"}
    assert first["annotations"] == [{"timestamp": (AT_MS + 2) * 1_000, "value": "stepped"}]
    assert (second["tags"]["error"], "kind" in second, "parentId" in second) == ("bug", False, False)
    assert second["annotations"][0]["value"] == "exception: WrongError: no"


async def test_a_zipkin_that_refuses_and_a_place_where_nobody_is_lose_spans_and_nothing_else() -> None:
    metrics = Metrics()
    with server("/api/v2/spans") as zipkin:
        zipkin.status = 500
        made = tracer_of(
            settings(trace_zipkin_url=zipkin.url, trace_otlp_url="http://127.0.0.1:1/v1/traces"),
            metrics,
            job="gateway",
            instance="here:1",
        )
        assert made is not None
        made.take([span(1)])
        await until(lambda: counted(metrics, "lost") == 2)
        await asyncio.to_thread(made.close)
    assert counted(metrics, "sent") == 0
    assert len(zipkin.bodies) == 1
