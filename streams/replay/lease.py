"""Who works on a replay: one process at a time, as the topic `replays` has it.

Theory of operation. Who wants a replay writes a claim of its own and reads back to behind it. It has lost to whoever
holds the replay, and to each claim that stands before its own; so of two that come at once the log's first one wins.
Who has it says so every `BEAT_SECONDS`, and is taken for gone when nothing was heard for `LEASE_MS`. This spares people
two processes at half the rate; what keeps two that were both sure from doing anything twice is the door.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from streams.clock import wall_ms
from streams.replay.store import ReplayStore

LEASE_MS: Final = 15_000
BEAT_SECONDS: Final = 3.0
LOOK_SECONDS: Final = 0.5
_CLAIM: Final = "/claim/"


class HeldError(Exception):
    """Another process works on the replay; the message says which."""


class Claim(msgspec.Struct, frozen=True):
    """What a process says of itself."""

    process: str
    at_ms: int
    holds: bool = False


@dataclass(frozen=True, slots=True)
class Stands:
    """A claim, and where it stands in the log."""

    claim: Claim
    offset: int


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Claim).decode


def _lives(claim: Claim, now_ms: int) -> bool:
    # Who waits for a silent one to be gone says nothing meanwhile.
    return now_ms - claim.at_ms < (LEASE_MS if claim.holds else 2 * LEASE_MS)


def holder(claims: Mapping[str, Stands], now_ms: int) -> Claim | None:
    """Return who holds a replay; None if nobody who lives does."""
    alive = (each.claim for each in claims.values() if each.claim.holds and _lives(each.claim, now_ms))
    return max(alive, key=lambda claim: claim.at_ms, default=None)


def rival(claims: Mapping[str, Stands], mine: str, now_ms: int) -> str:
    """Return which claim the one called `mine` has lost to; nothing if it has won."""
    own = claims[mine]
    for name, other in claims.items():
        before = other.claim.holds or other.offset < own.offset
        if name != mine and before and _lives(other.claim, now_ms):
            return name
    return ""


async def claims_of(store: ReplayStore, replay: str) -> dict[str, Stands]:
    """Return all claims of a replay, by their keys."""
    found = await store.under(replay + _CLAIM)
    return {key: Stands(_decode(each.value), each.offset) for key, each in found.items()}


async def held_by(store: ReplayStore, replay: str) -> str:
    """Return which process works on a replay; nothing if none does."""
    found = holder(await claims_of(store, replay), wall_ms())
    return found.process if found is not None else ""


@asynccontextmanager
async def held(store: ReplayStore, producer: AIOKafkaProducer, replay: str) -> AsyncIterator[None]:
    """Hold a replay, and give it back in the end.

    One that was held by a process that died is taken when that was silent for long enough. Raises `HeldError`.
    """
    process = f"process {os.getpid()} on {socket.gethostname()}"
    # Process ids come again: what a claim is called must not.
    mine = f"{replay}{_CLAIM}{os.getpid()}-{os.urandom(8).hex()}"

    async def say(*, holds: bool) -> None:
        await store.put(producer, mine, _encode(Claim(process, wall_ms(), holds)))

    async def beat() -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            # Kafka may be away for a while: whether the work can go on shows in the work.
            with suppress(KafkaError):
                await say(holds=True)

    await say(holds=False)
    try:
        await _win(store, replay, mine)
        await say(holds=True)
        beating = asyncio.create_task(beat())
        try:
            yield
        finally:
            beating.cancel()
            with suppress(asyncio.CancelledError):
                await beating
    finally:
        # Kafka may be why this ends; then the claim runs out by itself.
        await store.forget(producer, [mine])


async def _win(store: ReplayStore, replay: str, mine: str) -> None:
    """Wait until those that this has lost to are gone; refuse to if one of them is heard of."""
    heard: dict[str, Claim] = {}
    while True:
        claims = await claims_of(store, replay)
        other = rival(claims, mine, wall_ms())
        if not other:
            return
        said = claims[other].claim
        if heard.setdefault(other, said) != said:
            raise HeldError(f"{said.process} works on the replay {replay}")
        await asyncio.sleep(LOOK_SECONDS)
