"""Takes spans, completes what only the shell knows, and hands them to each exporter that the settings name."""

import logging
import math
import secrets
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import SpanExporter

from processors.lane import Commit
from processors.step import STACK_CHARACTERS_MAX
from processors.telemetry import catalogue, spans
from processors.telemetry.trace import Kind, Span, Why, context
from processors.vocabulary.ids import digest
from streams.lanes.ports import Took
from streams.metrics import Metrics
from streams.settings import Settings, SettingsError
from streams.tracing.exporters import TIMEOUT_SECONDS, FileExporter, ZipkinExporter
from streams.tracing.pipe import Pipe
from streams.tracing.readable import readable, resource_of

LINKS_MAX: Final = 64
"""Of one span about a batch."""
MADE: Final = "made"
SENT: Final = "sent"
LOST: Final = "lost"
"""An exporter was away, or too slow."""
DROPPED: Final = "dropped"
"""More than one batch may make."""


class Tracer:
    """Sends spans. One for a process; nothing of it waits, and nothing of it raises into the work."""

    def __init__(
        self,
        exporters: Sequence[tuple[str, SpanExporter]],
        metrics: Metrics,
        *,
        job: str,
        instance: str,
        group: str,
        slow_ms: float = math.inf,
    ) -> None:
        self._slow_ms = slow_ms
        count = metrics.counter(catalogue.SPANS)
        self._made, self._dropped = count.of(MADE), count.of(DROPPED)
        self._group = group
        convert = partial(readable, resource=resource_of(job, instance), group=group)
        self._pipes = [
            Pipe(where, exporter, convert, sent=count.of(SENT), lost=count.of(LOST)) for where, exporter in exporters
        ]

    def take(self, found: Sequence[Span], *, dropped: int = 0) -> None:
        """Send spans that have their ends."""
        if dropped:
            self._dropped.inc(dropped)
        if found:
            self._made.inc(len(found))
            for pipe in self._pipes:
                pipe.offer(found)

    def committed(self, lane: int, commit: Commit, took: Took, ended_ms: float) -> None:
        """Send the spans of a commit, and those of its batch if it holds any or took long."""
        slow = took.stepped_ms + took.committed_ms > self._slow_ms
        if not commit.spans and not slow:
            if commit.spans_dropped:
                self.take((), dropped=commit.spans_dropped)
            return
        found = [span if span.ended_ms else replace(span, ended_ms=ended_ms) for span in commit.spans]
        committing_ms = ended_ms - took.committed_ms
        fetched_ms = committing_ms - took.stepped_ms
        times = {"poll": (fetched_ms - took.polled_ms, fetched_ms), "commit": (committing_ms, ended_ms)}
        found += self._batch(lane, commit, times, slow=slow)
        self.take(found, dropped=commit.spans_dropped)

    def _batch(
        self, lane: int, commit: Commit, times: Mapping[str, tuple[float, float]], *, slow: bool
    ) -> Iterator[Span]:
        """Yield what tells of a batch as a whole: it belongs to no signal's trace, and links to each."""
        by_topic: dict[str, list[str]] = {}
        for span in commit.spans:
            if span.kind is Kind.CONSUMER:
                by_topic.setdefault(span.topic, []).append(context(span.trace_id, span.span_id).decode())
        # Of the commit's own place and time, so that the same commit has the same ids whoever tells of it.
        place = (b"%d" % lane, b"%d" % commit.position.sequence, b"%d" % commit.position.now_ms)
        cause = (self._group.encode(), *place)
        for topic, links in by_topic.items() or (("", []),):
            before = ""
            for operation, (began_ms, ended_ms) in times.items():
                span_id = digest(operation.encode(), topic.encode(), *cause)[:8].hex()
                yield Span(
                    trace_id=digest(b"batch", *cause).hex(),
                    parent_id=before,
                    span_id=span_id,
                    topic=topic,
                    partition=lane,
                    offset=-1,
                    tenant="",
                    signal_id="",
                    began_ms=began_ms,
                    kind=Kind.CLIENT,
                    operation=operation,
                    name="" if topic else f"{operation} lane {lane}",
                    why=Why.SLOW if slow else Why.SAMPLED,
                    links=tuple(links[:LINKS_MAX]),
                    more=(("messaging.batch.message_count", commit.records),),
                    ended_ms=ended_ms,
                )
                before = span_id

    def raised(self, lane: int, error: BaseException, *, hop: str = "", at_ms: float) -> None:
        """Send a span of a batch on which a hop raised; its records are met singly after it."""
        stack = "".join(traceback.format_exception(error))[-STACK_CHARACTERS_MAX:]
        self.take((
            Span(
                trace_id=secrets.token_hex(16),
                parent_id="",
                span_id=secrets.token_hex(8),
                topic="",
                partition=lane,
                offset=-1,
                tenant="",
                signal_id="",
                began_ms=at_ms,
                kind=Kind.INTERNAL,
                name=f"step {hop}".strip(),
                why=Why.RAISED,
                error=type(error).__name__,
                events=(spans.raised(stack, at_ms),),
                more=(("hopline.lane", lane), (spans.HOP, hop)),
                ended_ms=at_ms,
            ),
        ))  # fmt: skip

    def close(self) -> None:
        """Send what is left, within a bound."""
        for pipe in self._pipes:
            pipe.close()


def tracer_of(settings: Settings, metrics: Metrics, *, job: str, instance: str) -> Tracer | None:
    """Return what the settings ask for; None if spans go nowhere. Raises `SettingsError`."""
    found: list[tuple[str, SpanExporter]] = []
    if settings.trace_file:
        found.append((settings.trace_file, FileExporter(Path(settings.trace_file))))
    if settings.trace_otlp_url:
        where = _place("trace_otlp_url", settings.trace_otlp_url)
        # What it says of each attempt says the pipe once.
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
        found.append((where, OTLPSpanExporter(settings.trace_otlp_url, timeout=TIMEOUT_SECONDS)))
    if settings.trace_zipkin_url:
        where = _place("trace_zipkin_url", settings.trace_zipkin_url)
        found.append((where, ZipkinExporter(settings.trace_zipkin_url)))
    group = f"{settings.topic_prefix}{settings.application}"
    if not found:
        return None
    slow_ms = settings.slow_seconds * 1_000
    return Tracer(found, metrics, job=job, instance=instance, group=group, slow_ms=slow_ms)


def _place(name: str, url: str) -> str:
    """Return where an address leads, without what may be secret in it."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SettingsError(f"{name} is no address; write such as http://127.0.0.1:9411/api/v2/spans")
    return f"{parts.hostname}:{port}" if port else parts.hostname
