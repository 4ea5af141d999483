"""When each key was last used: noted in memory on a request's way, written in the background once a minute."""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from processors.telemetry.event import told
from processors.telemetry.events import USER_KEY_USED
from processors.vocabulary import topics
from processors.vocabulary.access import named
from streams.clock import wall_ms
from streams.gateway.intake import Entry
from streams.tasks import ended
from streams.telemetry import Silence, Tells

log = logging.getLogger(__name__)

WRITE_SECONDS: Final = 60.0
WRITTEN_TOGETHER_MAX: Final = 500


class Use(msgspec.Struct, frozen=True):
    """What the topic `key-use` holds of a key."""

    at_ms: int


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Use).decode


def read(packed: bytes) -> Use:
    """Read a use. Raises `msgspec.DecodeError` for what is none."""
    return _decode(packed)


class Writes(Protocol):
    """The part of the outlet that is used here."""

    @property
    def away(self) -> str:
        """Why nothing can be written now; empty if it can."""

    async def send(self, entries: Sequence[Entry]) -> Sequence[object]:
        """Write."""


class Uses:
    """Uses since the last writing, at most one a key."""

    def __init__(self) -> None:
        self._noted: dict[bytes, int] = {}
        self._task: asyncio.Task[None] | None = None
        self._outlet: Writes | None = None
        self.tells: Tells = Silence()

    def note(self, name: bytes, now_ms: int) -> None:
        """Note that a key was used. Only keys that are known are noted, so their number is bounded."""
        self._noted[name] = now_ms

    def start(self, outlet: Writes) -> None:
        """Begin to write in the background."""
        self._outlet = outlet
        self._task = asyncio.create_task(self._run(outlet))

    async def close(self) -> None:
        """Write what is noted, within the outlet's time, and stop."""
        if self._task is None or self._outlet is None:
            return
        await ended(self._task)
        await self._write(self._outlet)

    async def _run(self, outlet: Writes) -> None:
        due = time.monotonic() + WRITE_SECONDS
        while True:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due = time.monotonic() + WRITE_SECONDS
            await self._write(outlet)

    async def _write(self, outlet: Writes) -> None:
        """Write what is noted. What fails is written with the next use: nothing but this list depends on it."""
        noted, self._noted = self._noted, {}
        if noted:
            count = {"count": len(noted)}
            self.tells.sample(USER_KEY_USED, lambda: told(USER_KEY_USED, wall_ms(), count))
        entries = [_entry(name, at_ms) for name, at_ms in noted.items()]
        try:
            for at in range(0, len(entries), WRITTEN_TOGETHER_MAX):
                if outlet.away:
                    return
                await outlet.send(entries[at : at + WRITTEN_TOGETHER_MAX])
        except Exception as error:  # boundary: a list for people must not cost anybody a request
            log.warning("when keys were last used could not be written: %s", type(error).__name__)


def _entry(name: bytes, at_ms: int) -> Entry:
    tenant, _ = named(name)
    return Entry("", tenant, "", _encode(Use(at_ms)), [], topics.KEY_USE, name)
