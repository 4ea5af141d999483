"""Hand what happens on to those who listen: by tenant, type and topic; who cannot follow misses, and is told how much.

No I/O and no waiting in here: whoever listens is woken by a function of its own.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from processors.vocabulary.pattern import Pattern, Trie

QUEUE_EVENTS_MAX: Final = 1_000
QUEUE_BYTES_MAX: Final = 1_048_576
LISTENERS_MAX: Final = 200
LISTENERS_OF_CALLER_MAX: Final = 20
ALL_TENANTS: Final = ""
_encode: Final = msgspec.json.Encoder().encode


class FullError(Exception):
    """As many listen as may; its text says who has too many."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody listens to."""

    caller: str
    tenant: str
    """`ALL_TENANTS` for those who may see all."""
    pattern: Pattern
    topics: frozenset[str]


@dataclass(slots=True, eq=False)
class Listener:
    """One who listens: what waits for it, and what it has missed."""

    wanted: Wanted
    wake: Callable[[], None]
    missed: int = 0
    """Meant for it, and thrown away for want of room."""
    skipped: int = 0
    """Never looked at: some of them may have been meant for it."""
    waiting: deque[tuple[str, bytes]] = field(default_factory=deque)
    waiting_bytes: int = 0

    def offer(self, topic: str, text: bytes) -> None:
        """Put one behind what waits. The oldest make room: what happens now counts."""
        self.waiting.append((topic, text))
        self.waiting_bytes += len(text)
        while len(self.waiting) > QUEUE_EVENTS_MAX or (self.waiting_bytes > QUEUE_BYTES_MAX and len(self.waiting) > 1):
            self.waiting_bytes -= len(self.waiting.popleft()[1])
            self.missed += 1
        self.wake()

    def take(self) -> Iterator[tuple[str, bytes]]:
        """Yield what has come, what was missed before it."""
        if self.missed or self.skipped:
            told = {"missed": self.missed, "skipped": self.skipped}
            self.missed = self.skipped = 0
            yield "missed", _encode(told)
        while self.waiting:
            topic, text = self.waiting.popleft()
            self.waiting_bytes -= len(text)
            yield topic, text


class Feed:
    """All who listen."""

    def __init__(self) -> None:
        self._tries: dict[str, Trie[Listener]] = {}
        self._registered: dict[Listener, int] = {}

    def __len__(self) -> int:
        return len(self._registered)

    def join(self, listener: Listener) -> None:
        """Let one listen. Raises `FullError`."""
        if len(self._registered) >= LISTENERS_MAX:
            raise FullError(f"{LISTENERS_MAX} listen already, which is the limit")
        caller = listener.wanted.caller
        if sum(other.wanted.caller == caller for other in self._registered) >= LISTENERS_OF_CALLER_MAX:
            raise FullError(f"{caller} listens {LISTENERS_OF_CALLER_MAX} times already, which is the limit")
        trie = self._tries.setdefault(listener.wanted.tenant, Trie())
        self._registered[listener] = trie.add(listener.wanted.pattern, 0, listener)

    def leave(self, listener: Listener) -> None:
        """Forget one; nothing happens to one that has left."""
        registration = self._registered.pop(listener, None)
        if registration is None:
            return
        trie = self._tries[listener.wanted.tenant]
        trie.remove(registration)
        if not len(trie):
            del self._tries[listener.wanted.tenant]

    def give(self, topic: str, tenant: str, type_: str, show: Callable[[], Mapping[str, Any]]) -> None:
        """Hand a record on. It is put into words once, and only if somebody wants it."""
        text: bytes | None = None
        for whose in (tenant, ALL_TENANTS) if tenant != ALL_TENANTS else (ALL_TENANTS,):
            trie = self._tries.get(whose)
            if trie is None:
                continue
            for match in trie.match(type_):
                if topic in match.value.wanted.topics:
                    text = text or _encode(show())
                    match.value.offer(topic, text)

    def skip(self, count: int) -> None:
        """Tell everybody that records were not looked at."""
        for listener in self._registered:
            listener.skipped += count
            listener.wake()
