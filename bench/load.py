"""The load: signals that a seed determines, so that every peer gets the same bytes."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from processors.vocabulary.partition import lane_of

SOURCES: Final = 16
REPEAT_WITHIN: Final = 10_000
"""A repeated signal of the same run lies at most so many fresh ones back."""
_TIME: Final = b"2026-01-01T00:00:00.000Z"
_PADDING: Final = b"Half past nine and nothing moves but the belt. "


@dataclass(frozen=True, slots=True)
class Work:
    """What a peer is fed with in each round."""

    signals: int
    known: int
    """Ids that are in the peer's state before its first round."""
    tenants: int = 1_000
    signal_bytes: int = 1_000
    duplicate_percent: int = 10
    lanes: int = 8
    seed: int = 1
    traced_percent: int | None = None
    """Of the signals, those whose traceparent says that they are sampled; None: none carries one."""


class Fed(NamedTuple):
    """One record of an input topic."""

    lane: int
    key: bytes
    value: bytes
    fresh: str | None
    """The signal's id if it must come out, None if it is a duplicate."""


def tenant_name(number: int) -> str:
    """Return the name of a tenant of the load."""
    return f"tenant-{number:06d}"


def known_id(number: int) -> str:
    """Return an id that a peer's state holds before it is timed."""
    return f"known-{number:010d}"


def known_tenant(work: Work, number: int) -> str:
    """Return whose id that is."""
    return tenant_name(number % work.tenants)


def source_of(number: int) -> str:
    """Return the source of the signal with this number."""
    return f"/bench/line/{number % SOURCES}"


def event(tenant: str, id_: str, number: int, signal_bytes: int, more: bytes = b"") -> bytes:
    """Return a structured CloudEvent of exactly so many bytes (or of its least size, where that is more)."""
    head = (
        b'{"specversion":"1.0","id":"%b","source":"%b","type":"bench.line.reading.taken","subject":"belt/%d",%b'
        b'"time":"%b","datacontenttype":"application/json","tenantid":"%b","priority":"normal",'
        b'"data":{"sequence":%d,"speed":%d.25,"load":{"left":%d,"right":%d},"tags":["belt","night"],"note":"'
    ) % (
        id_.encode(),
        source_of(number).encode(),
        number % 97,
        more,
        _TIME,
        tenant.encode(),
        number,
        number % 41,
        number % 1_009,
        number % 1_013,
    )
    return head + _padding(signal_bytes - len(head) - 3) + b'"}}'


def _padding(length: int) -> bytes:
    if length <= 0:
        return b""
    return (_PADDING * (length // len(_PADDING) + 1))[:length]


def signals(work: Work, run: str) -> Iterator[Fed]:
    """Yield a round's records: nine in ten are fresh; of the others half repeat this round, half what was known."""
    draw = random.Random(f"{work.seed}/{run}")  # noqa: S311 - a load is to be repeatable, not secret
    owners: list[int] = []
    for _ in range(work.signals):
        if owners and draw.randrange(100) < work.duplicate_percent:
            yield _duplicate(work, run, draw, owners)
            continue
        number = len(owners)
        owners.append(draw.randrange(work.tenants))
        yield _fed(work, tenant_name(owners[number]), f"{run}-{number:010d}", number, fresh=True)


def known(work: Work) -> Iterator[Fed]:
    """Yield the signals whose ids a peer is to know, as small as they can be."""
    for number in range(work.known):
        tenant = known_tenant(work, number)
        key = tenant.encode()
        yield Fed(lane_of(key, work.lanes), key, event(tenant, known_id(number), number, 0), known_id(number))


def _duplicate(work: Work, run: str, draw: random.Random, owners: list[int]) -> Fed:
    if work.known and draw.randrange(2):
        number = draw.randrange(work.known)
        return _fed(work, known_tenant(work, number), known_id(number), number, fresh=False)
    number = draw.randrange(max(0, len(owners) - REPEAT_WITHIN), len(owners))
    return _fed(work, tenant_name(owners[number]), f"{run}-{number:010d}", number, fresh=False)


def _fed(work: Work, tenant: str, id_: str, number: int, *, fresh: bool) -> Fed:
    key = tenant.encode()
    value = event(tenant, id_, number, work.signal_bytes, _trace(work, number))
    return Fed(lane_of(key, work.lanes), key, value, id_ if fresh else None)


def _trace(work: Work, number: int) -> bytes:
    """Return the attribute that carries a trace: one in so many says that it is sampled."""
    if work.traced_percent is None:
        return b""
    flag = 1 if number % 100 < work.traced_percent else 0
    return b'"traceparent":"00-%032x-%016x-%02x",' % (number + 1, number + 1, flag)
