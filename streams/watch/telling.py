"""Who is told of alerts: channels, and whoever listens to the console's events."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final, Protocol

import msgspec

from streams.watch.words import State, ToldChange, change_of, of_tenant, plain, state_of

log = logging.getLogger(__name__)

LISTENERS_MAX: Final = 200
WAITING_MAX: Final = 200
"""Changes that wait for one listener; the oldest make room, and it is told how many it missed."""
HISTORY_MAX: Final = 5_000
"""Changes that are kept in memory; `hopline alerts history` reads older ones from the topic."""
_encode: Final = msgspec.json.Encoder().encode


class Notifier(Protocol):
    """Somebody who tells people."""

    def told(self, change: ToldChange) -> None:
        """Take a change over. Never waits; what takes time is done elsewhere."""


class Teller(Notifier, Protocol):
    """All who tell people, for as long as this watch is in charge. What it keeps is written down with the changes."""

    def start(self) -> None:
        """Begin to tell, in the background."""

    async def close(self) -> None:
        """Tell no more."""

    def pack(self) -> bytes:
        """Return what was told and is still to be told."""

    def unpack(self, packed: bytes) -> None:
        """Go on from there."""


class FullError(Exception):
    """As many listen as may."""


class Telling:
    """Hands each change to notifiers that keep nothing; the failure of one is nobody else's. See `Teller`."""

    def __init__(self, notifiers: Iterable[Notifier] = ()) -> None:
        self._notifiers = tuple(notifiers)

    def told(self, change: ToldChange) -> None:
        """See `Notifier.told`."""
        for notifier in self._notifiers:
            try:
                notifier.told(change)
            except Exception:  # boundary: a notifier's bug must not keep others from being told
                log.exception("%s could not be told of %s", type(notifier).__name__, change.alert)

    def start(self) -> None:
        """See `Teller.start`."""

    async def close(self) -> None:
        """See `Teller.close`."""

    def pack(self) -> bytes:
        """See `Teller.pack`."""
        return b""

    def unpack(self, packed: bytes) -> None:
        """See `Teller.unpack`."""


class Listener:
    """One who listens to changes as they are written."""

    def __init__(self, only: str) -> None:
        self._only = only
        self._waiting: deque[ToldChange] = deque()
        self._missed = 0
        self._wake = asyncio.Event()
        self._over = False

    def offer(self, change: ToldChange) -> None:
        """Put a change behind what waits, if it may be shown."""
        if not of_tenant(change.labels, self._only):
            return
        if len(self._waiting) >= WAITING_MAX:
            self._waiting.popleft()
            self._missed += 1
        self._waiting.append(change)
        self._wake.set()

    def end(self) -> None:
        """Let it go."""
        self._over = True
        self._wake.set()

    async def events(self, beat_seconds: float) -> AsyncIterator[tuple[str, bytes]]:
        """Yield kinds and JSON objects; an empty kind is a sign of life."""
        while not self._over:
            try:
                async with asyncio.timeout(beat_seconds):
                    await self._wake.wait()
            except TimeoutError:
                yield "", b""
                continue
            self._wake.clear()
            if self._missed:
                missed, self._missed = self._missed, 0
                yield "missed", _encode({"missed": missed})
            while self._waiting:
                yield "alert", _encode(plain(self._waiting.popleft()))


class Changes:
    """The newest changes as the topic has them, and who listens to those that come: a `View` of the topic `alerts`.

    Also a watch that stands by has them: whoever listens to it hears the same.
    """

    def __init__(self) -> None:
        self._known: deque[ToldChange] = deque(maxlen=HISTORY_MAX)
        self._next: deque[ToldChange] = deque(maxlen=HISTORY_MAX)
        self._reading = False
        self._complete_once = False
        self._newest = -1
        self._listeners: set[Listener] = set()
        self.newest_state: State | None = None

    def join(self, only: str) -> Listener:
        """Let somebody listen, from now on. Raises `FullError`."""
        if len(self._listeners) >= LISTENERS_MAX:
            raise FullError(f"{LISTENERS_MAX} listen already, which is the limit.")
        listener = Listener(only)
        self._listeners.add(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        """Forget somebody."""
        self._listeners.discard(listener)

    def close(self) -> None:
        """Let everybody go."""
        for listener in self._listeners:
            listener.end()

    def history(self, *, limit: int, since_ms: int, only: str) -> list[ToldChange]:
        """Return the newest changes, the newest first."""
        found: list[ToldChange] = []
        for change in reversed(self._known):
            if change.at_ms < since_ms or len(found) >= limit:
                break
            if of_tenant(change.labels, only):
                found.append(change)
        return found

    def begin(self) -> None:
        """See `View.begin`."""
        self._next = deque(maxlen=HISTORY_MAX)
        self._reading = True

    def take(self, record: Any) -> None:
        """See `View.take`."""
        state = state_of(record.key, record.value)
        if state is not None:
            self.newest_state = state
            return
        change = change_of(record.value)
        if change is None:
            return
        (self._next if self._reading else self._known).append(change)
        if change.number > self._newest and self._complete_once:
            # Also one that was written while this was away; those from before its time nobody listens for.
            for listener in self._listeners:
                listener.offer(change)
        self._newest = max(self._newest, change.number)

    def complete(self) -> None:
        """See `View.complete`."""
        self._known, self._reading, self._complete_once = self._next, False, True
        self._newest = max((change.number for change in self._known), default=-1)
