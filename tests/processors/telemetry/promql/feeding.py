"""What processes tell, made up from a seed; and the same as plain series, point by point: the oracle of the store."""

import math
import random
import struct
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from processors.telemetry.promql import STALE, Labels, Matcher, Recorded
from processors.telemetry.promql.series import NAME
from processors.telemetry.samples import VERSION, WHOLE_EVERY, Point, Sample
from processors.telemetry.samples import Labels as Pairs
from processors.telemetry.series import UP

START_MS: Final = 1_700_000_000_000
STEP_MS: Final = 15_000
SILENT_MS: Final = 40_000
BOUNDS: Final = ("0.1", "0.5", "1", "2.5", "+Inf")
HOPS: Final = ("ingest", "directives", "skills")
CHUNK: Final = 60_000
PROMETHEUS_STALE: Final = bytes.fromhex("020000000000f07f")

Key = tuple[tuple[str, str], ...]
Named = tuple[str, Pairs]


@dataclass(slots=True)
class Process:
    """One that tells: what its metrics are now."""

    job: str
    name: str
    random: random.Random
    values: dict[Named, float] = field(default_factory=dict)
    told: int = 0

    def begin(self) -> None:
        """Start anew: counters at nothing."""
        self.values = {}
        self.told = 0
        for hop in HOPS[: self.random.randint(1, len(HOPS))]:
            for outcome in ("ok", "dead"):
                self.values["signals_total", (("hop", hop), ("outcome", outcome))] = 0.0
            for bound in BOUNDS:
                self.values["wait_seconds_bucket", (("hop", hop), ("le", bound))] = 0.0
            self.values["wait_seconds_sum", (("hop", hop),)] = 0.0
            self.values["wait_seconds_count", (("hop", hop),)] = 0.0
            self.values["lag", (("hop", hop), ("lane", str(self.random.randint(0, 3))))] = 1.0
        self.values["odd", ()] = 0.0
        self.values["build", (("version", "1"),)] = 1.0

    def work(self) -> set[Named]:
        """Do something. Returns what has changed."""
        rolled, before = self.random, dict(self.values)
        for (name, labels), value in before.items():
            if name == "signals_total" and rolled.random() < 0.6:
                self.values[name, labels] = value + rolled.randint(0, 20) if rolled.random() < 0.97 else 0.0
            elif name == "lag" and rolled.random() < 0.5:
                self.values[name, labels] = round(rolled.uniform(-5, 50), 3)
            elif name == "odd" and rolled.random() < 0.3:
                odd = [math.nan, math.inf, -math.inf, 0.0, -0.0, 1e300, 1e-300, rolled.uniform(-1, 1)]
                self.values[name, labels] = rolled.choice(odd)
        for hop in HOPS:
            if ("wait_seconds_count", (("hop", hop),)) in before and rolled.random() < 0.7:
                self._observe(hop, [rolled.expovariate(1.0) for _ in range(rolled.randint(1, 8))])
        if rolled.random() < 0.05:
            gone = rolled.choice(sorted(self.values))
            del self.values[gone]
        if rolled.random() < 0.05:
            self.values["signals_total", (("hop", rolled.choice(HOPS)), ("outcome", "late"))] = 3.0
        return {key for key, value in self.values.items() if key not in before or not _same(before[key], value)}

    def _observe(self, hop: str, seconds: list[float]) -> None:
        for each in seconds:
            for bound in BOUNDS:
                key = ("wait_seconds_bucket", (("hop", hop), ("le", bound)))
                if key in self.values and each <= float(bound):
                    self.values[key] += 1
            for name, more in (("wait_seconds_sum", each), ("wait_seconds_count", 1.0)):
                if (name, (("hop", hop),)) in self.values:
                    self.values[name, (("hop", hop),)] += more


def _same(old: float, new: float) -> bool:
    return old == new or (math.isnan(old) and math.isnan(new))


class Plain:
    """The oracle: each series with a point for each moment of its process, and the marks of its ends."""

    def __init__(self) -> None:
        self.series: dict[Key, tuple[list[int], list[float]]] = {}
        self._now: dict[str, dict[Key, float]] = {}
        self._told_ms: dict[str, int] = {}

    def take(self, sample: Sample) -> None:
        """The plainest reading of what a sample means."""
        process = f"{sample.job}/{sample.instance}"
        now = self._now.setdefault(process, {})
        last_ms = self._told_ms.get(process)
        if last_ms is not None and sample.at_ms - last_ms > SILENT_MS:
            for key in now:
                self._add(key, last_ms + SILENT_MS, STALE)
            self._add(_key(sample, UP, ()), last_ms + SILENT_MS, 0.0)
        told = {_key(sample, point.name, point.labels): point.value for point in sample.points}
        if sample.whole:
            for key in [key for key in now if key not in told]:
                del now[key]
                if last_ms is None or sample.at_ms - last_ms <= SILENT_MS:
                    self._add(key, sample.at_ms, STALE)
        now |= told
        for key, value in now.items():
            self._add(key, sample.at_ms, value)
        self._add(_key(sample, UP, ()), sample.at_ms, 1.0)
        self._told_ms[process] = sample.at_ms
        if sample.leaving:
            for key in [*now, _key(sample, UP, ())]:
                self._add(key, sample.at_ms + 1, STALE)
            del self._now[process], self._told_ms[process]

    def _add(self, key: Key, at_ms: int, value: float) -> None:
        times, values = self.series.setdefault(key, ([], []))
        times.append(at_ms)
        values.append(value)

    def select(self, name: str, matchers: tuple[Matcher, ...], from_ms: int, to_ms: int) -> list[Recorded]:
        """It is a source, too: without an index, without a cache."""
        assert from_ms <= to_ms
        return [
            Recorded(labels, times, values)
            for key, (times, values) in sorted(self.series.items(), key=lambda item: item[0])
            if (labels := dict(key))
            and (not name or labels[NAME] == name)
            and all(matcher.matches(labels.get(matcher.label, "")) for matcher in matchers)
        ]


def _key(sample: Sample, name: str, labels: Pairs) -> Key:
    named: Labels = {NAME: name, **dict(labels), "job": sample.job, "instance": sample.instance}
    return tuple(sorted(named.items()))


def told(seed: int, moments: int) -> Iterator[Sample]:
    """Yield what three processes tell in turn: with jitter, silences, restarts, and processes that leave."""
    rolled = random.Random(seed)
    processes = [Process("worker", f"w{number}", random.Random(rolled.random())) for number in range(2)]
    processes.append(Process("gateway", "g0", random.Random(rolled.random())))
    away = dict.fromkeys(range(len(processes)), 0)
    for process in processes:
        process.begin()
    for moment in range(moments):
        for number, process in enumerate(processes):
            if away[number]:
                away[number] -= 1
                continue
            at_ms = START_MS + moment * STEP_MS + number * 1_000 + rolled.randint(0, 400)
            changed = process.work()
            whole = process.told % WHOLE_EVERY == 0
            gone = rolled.random()
            points = tuple(Point(*key, process.values[key]) for key in process.values if whole or key in changed)
            yield Sample(VERSION, process.job, process.name, at_ms, whole, leaving=gone < 0.01, points=points)
            process.told += 1
            if gone < 0.03:
                away[number] = rolled.randint(1, 30)
                if gone < 0.02:
                    process.begin()


# ---- Prometheus' own way in: remote write, written by hand, for the end of a series has no other
def _varint(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def written(plain: Plain) -> bytes:
    """Return all series as a request of remote write."""
    request = bytearray()
    for key, (times, values) in plain.series.items():
        series = bytearray()
        for label, text in key:
            series += _field(1, _field(1, label.encode()) + _field(2, text.encode()))
        for time_ms, value in zip(times, values, strict=True):
            packed = struct.pack("<d", value)
            if packed == struct.pack("<d", STALE):
                packed = PROMETHEUS_STALE
            series += _field(2, b"\x09" + packed + b"\x10" + _varint(time_ms))
        request += _field(1, bytes(series))
    return bytes(request)


def pushed(url: str, plain: Plain) -> None:
    """Give all series to a Prometheus, in Snappy's format without any compression."""
    raw = written(plain)
    body = bytearray(_varint(len(raw)))
    for begin in range(0, len(raw), CHUNK):
        piece = raw[begin : begin + CHUNK]
        body += b"\xf4" + (len(piece) - 1).to_bytes(2, "little") + piece
    request = urllib.request.Request(  # noqa: S310  # loopback
        f"{url}/api/v1/write",
        data=bytes(body),
        headers={
            "Content-Encoding": "snappy",
            "Content-Type": "application/x-protobuf",
            "X-Prometheus-Remote-Write-Version": "0.1.0",
        },
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        assert answer.status == 204
