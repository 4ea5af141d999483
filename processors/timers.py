"""What waits for its time: a lane's keys in the order of their moments, first come first found."""

from dataclasses import dataclass
from struct import Struct
from typing import Final

from processors.state import LANE, Overlay, value_key
from processors.step import Step

_U64: Final = Struct(">Q")


@dataclass(frozen=True, slots=True)
class Timers:
    """One index of a hop, among what belongs to the lane itself. An entry says when, and for what."""

    prefix: bytes

    @classmethod
    def of(cls, hop: str, name: bytes) -> "Timers":
        """Return the index of this name."""
        return cls(value_key(LANE, hop, name + b"/"))

    def set(self, overlay: Overlay, at_ms: int, what: bytes) -> None:
        """Let something wait for its time."""
        overlay.put(self._key(at_ms, what), b"")

    def clear(self, overlay: Overlay, at_ms: int, what: bytes) -> None:
        """Let it wait no longer."""
        overlay.put(self._key(at_ms, what), None)

    def due(self, overlay: Overlay, now_ms: int, limit: int) -> list[tuple[int, bytes]]:
        """Return what has fallen due, longest overdue first. Mostly that is nothing, and then one entry is read."""
        first_ms = self.first_ms(overlay)
        if first_ms is None or first_ms > now_ms:
            return []
        found = [self._read(key) for key, _ in overlay.scan(self.prefix, limit)]
        return [(at_ms, what) for at_ms, what in found if at_ms <= now_ms]

    def first_ms(self, overlay: Overlay) -> int | None:
        """Return when the next one falls due."""
        first = overlay.scan(self.prefix, 1)
        return self._read(first[0][0])[0] if first else None

    def wake(self, step: Step) -> None:
        """Ask for a tick when the next one falls due."""
        first_ms = self.first_ms(step.overlay)
        if first_ms is not None:
            step.wake_at(first_ms)

    def _key(self, at_ms: int, what: bytes) -> bytes:
        return self.prefix + _U64.pack(at_ms) + what

    def _read(self, key: bytes) -> tuple[int, bytes]:
        at = len(self.prefix)
        (at_ms,) = _U64.unpack_from(key, at)
        return at_ms, key[at + _U64.size :]
