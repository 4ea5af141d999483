"""The live table: each hop's rate, lag and latency, from what the workers and the gateway show at `/metrics`."""

import asyncio
import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TextIO

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from processors import HOPS
from processors.step import Outcome
from processors.telemetry import catalogue
from processors.telemetry.catalogue import Kind, Metric
from streams.cli.output import table

REQUEST_SECONDS_MAX: Final = 2.0
EXPOSITION_BYTES_MAX: Final = 4 * 1_048_576
_HEAD: Final = ("HOP", "IN/S", "HANDLED/S", "DUPLICATES/S", "BAD/S", "WAITING", "LAG", "P50 MS", "P99 MS", "IN ALL")
_ABOVE_ALL: Final = float("inf")

Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Reading:
    """All processes' metrics at one moment: counters and gauges added up, buckets not yet."""

    at_seconds: float
    reached: int = 0
    values: dict[tuple[str, Labels], float] = field(default_factory=dict)

    def add(self, exposition: str) -> None:
        """Take in what one process shows."""
        self.reached += 1
        for family in text_string_to_metric_families(exposition):
            for sample in family.samples:
                at = (sample.name, tuple(sorted(sample.labels.items())))
                self.values[at] = self.values.get(at, 0.0) + sample.value

    def total(self, metric: Metric, **labels: str) -> float:
        """Return the sum over all children that have these labels."""
        name = f"{metric.name}_count" if metric.kind is Kind.HISTOGRAM else metric.name
        wanted = set(labels.items())
        return sum(value for (found, has), value in self.values.items() if found == name and wanted <= set(has))

    def buckets(self, metric: Metric, **labels: str) -> dict[float, float]:
        """Return a histogram's counts by upper bound, added up from below as Prometheus has them."""
        wanted = set(labels.items())
        found: dict[float, float] = {}
        for (name, has), value in self.values.items():
            if name == f"{metric.name}_bucket" and wanted <= set(has):
                bound = float(dict(has)["le"])
                found[bound] = found.get(bound, 0.0) + value
        return found


def quantile(before: Mapping[float, float], after: Mapping[float, float], share: float) -> float | None:
    """Return a quantile of what came between two readings, as Prometheus works it out; None if nothing came."""
    grown = [(bound, max(0.0, count - before.get(bound, 0.0))) for bound, count in sorted(after.items())]
    if not grown or not grown[-1][1]:
        return None
    rank = share * grown[-1][1]
    low_bound = low_count = 0.0
    for bound, count in grown:
        if count >= rank:
            if bound == _ABOVE_ALL:
                return low_bound
            inside = count - low_count
            return low_bound + (bound - low_bound) * ((rank - low_count) / inside if inside else 1.0)
        low_bound, low_count = bound, count
    return low_bound


def rows(before: Reading, after: Reading) -> list[Sequence[object]]:
    """Return the table's rows: the gateway's, then each hop's in flow order."""
    seconds = max(after.at_seconds - before.at_seconds, 1e-3)

    def rate(metric: Metric, **labels: str) -> str:
        grown = after.total(metric, **labels) - before.total(metric, **labels)
        # A process that was started anew counts from 0 again.
        return f"{max(0.0, grown) / seconds:.0f}"

    def latency(metric: Metric, share: float, **labels: str) -> str:
        found = quantile(before.buckets(metric, **labels), after.buckets(metric, **labels), share)
        return "–" if found is None else f"{found * 1_000:.1f}"

    events, requests = catalogue.GATEWAY_EVENTS, catalogue.GATEWAY_DURATION
    gateway = (
        "gateway",
        rate(events),
        rate(events, result="accepted"),
        "–",
        rate(events, result="refused"),
        f"{after.total(catalogue.GATEWAY_INFLIGHT):.0f}",
        "–",
        latency(requests, 0.5),
        latency(requests, 0.99),
        f"{after.total(events):.0f}",
    )
    signals = catalogue.SIGNALS
    hops = [
        (
            hop,
            rate(catalogue.HOP_INPUT, hop=hop),
            rate(signals, hop=hop, outcome=Outcome.HANDLED.value),
            rate(signals, hop=hop, outcome=Outcome.DUPLICATE.value),
            rate(signals, hop=hop, outcome=Outcome.DEAD.value),
            f"{after.total(catalogue.INFLIGHT, hop=hop):.0f}",
            f"{after.total(catalogue.LAG_RECORDS):.0f}",
            latency(catalogue.END_TO_END, 0.5, flow=hop),
            latency(catalogue.END_TO_END, 0.99, flow=hop),
            f"{after.total(catalogue.HOP_INPUT, hop=hop):.0f}",
        )
        for hop in HOPS
    ]
    return [gateway, *hops]


async def read(http: aiohttp.ClientSession, urls: Iterable[str]) -> Reading:
    """Ask all processes at once; one that does not answer is left out."""
    reading = Reading(time.monotonic())

    async def ask(url: str) -> None:
        try:
            async with http.get(f"{url}/metrics") as answer:
                content = await answer.content.read(EXPOSITION_BYTES_MAX)
            reading.add(content.decode())
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return

    await asyncio.gather(*(ask(url) for url in urls))
    return reading


class Screen:
    """Prints lines, and on a terminal keeps a table below them."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self.is_terminal = self._stream.isatty()
        self._shown: list[str] = []

    def tell(self, text: str) -> None:
        """Print a line above the table."""
        self._clear()
        self._stream.write(f"{text}\n")
        self._draw()

    def show(self, lines: Sequence[str]) -> None:
        """Put other lines into the table's place."""
        self._clear()
        # A line that the terminal breaks in two would take two to clear.
        width = shutil.get_terminal_size().columns - 1
        self._shown = [line[:width] for line in lines]
        self._draw()

    def leave(self) -> None:
        """Let the table stand where it is; what follows comes below it."""
        self._shown = []

    def _clear(self) -> None:
        if self._shown and self.is_terminal:
            self._stream.write(f"\x1b[{len(self._shown)}A\x1b[J")

    def _draw(self) -> None:
        if self.is_terminal:
            self._stream.write("".join(f"{line}\n" for line in self._shown))
        self._stream.flush()


TERMINAL_SECONDS: Final = 1.0
PLAIN_SECONDS: Final = 5.0


async def show_for_ever(screen: Screen, urls: Sequence[str]) -> None:
    """Keep the table fresh: each second on a terminal, and else a line for each hop every few seconds."""
    timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS_MAX)
    pause_seconds = TERMINAL_SECONDS if screen.is_terminal else PLAIN_SECONDS
    async with aiohttp.ClientSession(timeout=timeout) as http:
        before = await read(http, urls)
        while True:
            await asyncio.sleep(pause_seconds)
            after = await read(http, urls)
            found = rows(before, after)
            if screen.is_terminal:
                missing = len(urls) - after.reached
                note = [f"{missing} of {len(urls)} processes do not answer"] if missing else []
                screen.show(["", *table(_HEAD, found), *note])
            else:
                for row in found:
                    named = zip(_HEAD[1:], row[1:], strict=True)
                    screen.tell(f"{row[0]}: " + ", ".join(f"{head.lower()} {cell}" for head, cell in named))
            before = after
