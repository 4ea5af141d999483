"""Read directives and their audit from the topics, from outside: no lane is owned or touched by it."""

from collections.abc import Mapping
from dataclasses import dataclass

from processors.directives import audit
from processors.directives.record import Directive, Head, directive_key, head_key, prefix, unpack, unpack_head
from processors.vocabulary import topics as names
from processors.vocabulary.partition import lane_of
from streams.changelog import Changelog, assign_whole, read_range
from streams.topics import TopicNames


async def directive_of(changelog: Changelog, tenant: str, key: str) -> Directive | None:
    """Return where a directive stands; None if there is none, or it was long ago."""
    wanted = directive_key(tenant, key)
    packed = (await changelog.newest(_lane(changelog, tenant), (wanted,))).get(wanted)
    return None if packed is None else unpack(packed)


async def directives_of(changelog: Changelog, tenant: str) -> list[Directive]:
    """Return a tenant's directives, the newest first. Reads its lane's whole changelog."""
    begin = prefix(tenant)
    found = await changelog.fold(_lane(changelog, tenant), lambda key: key.startswith(begin))
    return sorted(map(unpack, found.values()), key=lambda directive: -directive.requested_ms)


async def lines_of(changelog: Changelog, topics: TopicNames, lane: int) -> Mapping[str, list[bytes]]:
    """Return for each tenant of a lane the lines of its audit, in their order. Reads the topic from its beginning."""
    partition, least, end = await assign_whole(changelog.consumer, topics.physical(names.AUDIT), lane)
    found: dict[str, list[bytes]] = {}
    async for records in read_range(changelog.consumer, partition, least, end):
        for record in records:
            found.setdefault((record.key or b"").decode(), []).append(record.value or b"")
    return found


@dataclass(frozen=True, slots=True)
class Chain:
    """A tenant's audit as it was read, and what is wrong with it."""

    tenant: str
    entries: int
    problems: tuple[str, ...]


async def chains(changelog: Changelog, topics: TopicNames, lane: int) -> list[Chain]:
    """Check the audit of each tenant of a lane, and that it ends where state says."""
    heads = await _heads(changelog, lane)
    # After the heads: what is written meanwhile comes behind them.
    lines = await lines_of(changelog, topics, lane)
    found = []
    for tenant in sorted(heads.keys() | lines.keys()):
        head, own = heads.get(tenant, Head()), lines.get(tenant, [])
        found.append(Chain(tenant, len(own), tuple(audit.broken(own) or _ending(own, head))))
    return found


def _ending(lines: list[bytes], head: Head) -> list[str]:
    """Return what is wrong with where an unbroken chain ends; what came after `head` was read is left out."""
    return audit.broken([line for line in lines if audit.read(line).sequence <= head.sequence], head)


async def _heads(changelog: Changelog, lane: int) -> dict[str, Head]:
    begin, end = head_key("").split(b"\x00", 1)
    found = await changelog.fold(lane, lambda key: key.startswith(begin) and key.endswith(b"\x00" + end))
    return {key[len(begin) : -len(end) - 1].decode(): unpack_head(packed) for key, packed in found.items()}


def _lane(changelog: Changelog, tenant: str) -> int:
    return lane_of(tenant.encode(), changelog.lanes)
