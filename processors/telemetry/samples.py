"""A process's metrics at one moment, as the topic `metrics` has them: what has changed, and now and then all of it."""

from typing import Final

import msgspec

VERSION: Final = 1
WHOLE_EVERY: Final = 15
"""Each so many samples all values are told: who comes later, or has missed one, knows all after these."""
SERIES_MAX: Final = 2_000
"""Of one process. An exposition of more would hold up its work; what is above is counted as dropped."""

Labels = tuple[tuple[str, str], ...]
"""Names and values, sorted by name. The metric's own name is not among them."""


class Point(msgspec.Struct, frozen=True, array_like=True):
    """One series' value. Histograms come as Prometheus shows them: `_bucket` with `le`, `_sum`, `_count`."""

    name: str
    labels: Labels
    value: float


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """What one process tells at one moment."""

    v: int
    job: str
    """`worker`, `gateway`, `history` or `watch`."""
    instance: str
    """Which of them, such as `worker-0@host`."""
    at_ms: int
    whole: bool
    """Whether all series are in here; else those that are not are as they were."""
    leaving: bool
    """The process ends as it should: it is not to be missed."""
    points: tuple[Point, ...]


class UnreadableSampleError(Exception):
    """It is no sample that this version reads."""


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Sample).decode


def pack(sample: Sample) -> bytes:
    """Return the record's value."""
    return _encode(sample)


def unpack(packed: bytes) -> Sample:
    """Read what `pack` wrote. Raises `UnreadableSampleError`."""
    try:
        sample = _decode(packed)
    except msgspec.DecodeError as error:
        raise UnreadableSampleError(str(error)) from error
    if sample.v > VERSION:
        raise UnreadableSampleError(f"format {sample.v}; this version reads up to {VERSION}: upgrade it")
    return sample
