"""Give each peer its known ids: in its own changelog's format, so that it restores them by its own means, untimed."""

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Final, TypeAlias

from bench import kafka as broker
from bench.load import Work, known_id, known_tenant, source_of
from processors.vocabulary.partition import lane_of

SEGMENT_IDS: Final = 1_000
QUIX_FAMILY: Final = ("__column_family__", b"default")

Preload: TypeAlias = Callable[[str, str, str, str, Work], Awaitable[None]]
"""Takes the broker, the peer's name, the changelog of its task, its input topic, and the work."""


def _known(work: Work) -> Iterator[tuple[int, str, str]]:
    """Yield lane, tenant and what dedupe knows an event by within its tenant."""
    for number in range(work.known):
        tenant = known_tenant(work, number)
        yield lane_of(tenant.encode(), work.lanes), tenant, f"{source_of(number)} {known_id(number)}"


async def nothing(_kafka: str, _name: str, _changelog: str, _source: str, _work: Work) -> None:
    """The ceiling knows nothing."""


async def by_hand(kafka: str, _name: str, changelog: str, _source: str, work: Work) -> None:
    """Segments of many ids, as `bench.peers.by_hand` writes them for each transaction."""
    await broker.make_topics(kafka, [changelog], work.lanes, compacted=True)
    await broker.fill(kafka, changelog, _segments(work))


def _segments(work: Work) -> Iterator[broker.Keyed]:
    held: dict[int, list[str]] = {lane: [] for lane in range(work.lanes)}
    for lane, tenant, seen in _known(work):
        ids = held[lane]
        ids.append(f"{tenant} {seen}")
        if len(ids) >= SEGMENT_IDS:
            yield _segment(lane, ids)
            held[lane] = []
    for lane, ids in held.items():
        if ids:
            yield _segment(lane, ids)


def _segment(lane: int, ids: list[str]) -> broker.Keyed:
    return lane, b"ids " + ids[0].encode(), "\n".join(ids).encode()


async def bare_faust(kafka: str, name: str, _changelog: str, _source: str, work: Work) -> None:
    """Only its changelogs' topics: it can fail on one that it made a moment ago. Its peer module does the rest."""
    await broker.make_topics(
        kafka, [f"{name}-{table}-changelog" for table in ("seen", "counts")], work.lanes, compacted=True
    )


async def quix(kafka: str, name: str, _changelog: str, source: str, work: Work) -> None:
    """One record for each key, under the prefix of the message key, with its column family."""
    changelog = f"changelog__{name}--{source}--default"
    await broker.make_topics(kafka, [changelog], work.lanes, compacted=True)
    records = ((lane, tenant.encode() + b"|" + json.dumps(seen).encode(), b"1") for lane, tenant, seen in _known(work))
    await broker.fill(kafka, changelog, records, headers=[QUIX_FAMILY])


PRELOAD: Final[Mapping[str, Preload]] = {
    "ceiling": nothing,
    "by_hand": by_hand,
    "bare_faust": bare_faust,
    "quix": quix,
}
