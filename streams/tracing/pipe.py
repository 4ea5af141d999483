"""One exporter in a thread of its own, behind a bounded queue: one that is away or slow costs counted losses only."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from prometheus_client import Counter

log = logging.getLogger(__name__)

QUEUE_MAX: Final = 4_096
"""Spans that wait for one exporter."""
EXPORT_MAX: Final = 256
"""Spans handed over at once."""
LINGER_SECONDS: Final = 0.3
"""How long spans are gathered before they are handed over."""
CLOSE_SECONDS_MAX: Final = 3.0

Item = TypeVar("Item")


class Pipe:
    """Takes spans, and never waits."""

    def __init__(
        self,
        where: str,
        exporter: SpanExporter,
        convert: Callable[[Item], ReadableSpan],
        *,
        sent: Counter,
        lost: Counter,
    ) -> None:
        self._where = where
        self._exporter = exporter
        self._convert: Callable[..., ReadableSpan] = convert
        self._sent = sent
        self._lost = lost
        self._queue: deque[object] = deque()
        self._some = threading.Event()
        self._closing = threading.Event()
        self._deadline = 0.0
        self._away = False
        self._thread = threading.Thread(target=self._run, name=f"spans to {where}", daemon=True)
        self._thread.start()

    def offer(self, items: Sequence[object]) -> None:
        """Take as many as there is room for; count the rest."""
        room = max(0, QUEUE_MAX - len(self._queue))
        if room < len(items):
            self._lost.inc(len(items) - room)
        self._queue.extend(items[:room])
        self._some.set()

    def close(self) -> None:
        """Send what is left, within a bound; what is not sent by then is lost."""
        self._deadline = time.monotonic() + CLOSE_SECONDS_MAX
        self._closing.set()
        self._some.set()
        self._thread.join(CLOSE_SECONDS_MAX + LINGER_SECONDS)
        self._lost.inc(len(self._queue))

    def _run(self) -> None:
        while True:
            self._some.wait()  # forever: the thread is a daemon, and `close` wakes it
            self._closing.wait(LINGER_SECONDS)
            self._some.clear()
            while self._queue and not (self._deadline and time.monotonic() > self._deadline):
                self._send([self._queue.popleft() for _ in range(min(EXPORT_MAX, len(self._queue)))])
            if self._closing.is_set():
                self._exporter.shutdown()
                return

    def _send(self, items: list[object]) -> None:
        why = ""
        try:
            if self._exporter.export([self._convert(item) for item in items]) is not SpanExportResult.SUCCESS:
                why = "it does not take them"
        except Exception as error:  # boundary: an exporter may raise anything, and must not end this thread
            why = f"{type(error).__name__}: {error}"
        if why:
            self._lost.inc(len(items))
        else:
            self._sent.inc(len(items))
        if why and not self._away:
            log.warning("spans cannot be sent to %s (%s); they are lost until it is back", self._where, why)
        elif self._away and not why:
            log.info("spans are sent to %s again", self._where)
        self._away = bool(why)
