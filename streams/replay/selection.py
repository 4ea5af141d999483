"""What is replayed: from which topic, which range of it, and which of the signals there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from processors.vocabulary import envelope, topics
from processors.vocabulary import headers as names
from processors.vocabulary.partition import lane_of
from processors.vocabulary.pattern import Pattern, parse_pattern
from processors.vocabulary.reasons import Problem, Rejected
from processors.vocabulary.record import Record
from processors.vocabulary.signal import Signal, attributes
from processors.vocabulary.timestamps import rfc3339

SOURCES: Final = (topics.SIGNALS, topics.SIGNALS_IN)
OPEN: Final = -1
"""As the end of a range: as far as the topic goes."""


class Selection(msgspec.Struct, frozen=True):
    """What somebody wants to replay. What is not named does not matter."""

    topic: str = topics.SIGNALS
    tenants: tuple[str, ...] = ()
    pattern: str = ""
    since_ms: int = 0
    until_ms: int = 0
    """The first moment that is not in it; 0 is now."""
    offsets: Mapping[int, tuple[int, int]] = {}
    """Lane → first offset, and the first one behind (or `OPEN`)."""
    correlation: str = ""

    def words(self) -> str:
        """Return the selection in words, for the audit."""
        parts = [f"from {self.topic}"]
        parts += [f"tenant {', '.join(self.tenants)}"] if self.tenants else []
        parts += [f"type {self.pattern}"] if self.pattern else []
        parts += [f"since {rfc3339(self.since_ms)}"] if self.since_ms else []
        parts += [f"until {rfc3339(self.until_ms)}"] if self.until_ms else []
        for lane, (first, behind) in sorted(self.offsets.items()):
            parts.append(f"lane {lane} offsets {first} to {'the end' if behind == OPEN else behind - 1}")
        parts += [f"correlation {self.correlation}"] if self.correlation else []
        return "; ".join(parts)

    def lanes(self, lanes: int) -> list[int]:
        """Return the lanes that can hold any of it."""
        found = set(self.offsets) if self.offsets else set(range(lanes))
        if self.tenants:
            found &= {lane_of(tenant.encode(), lanes) for tenant in self.tenants}
        return sorted(found)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A record that is not replayed, and why: `other` was not asked for."""

    why: str


OTHER: Final = Skipped("other")
_UNREADABLE: Final = Skipped("unreadable")
_MOVED: Final = Skipped("moved")
_TOLD: Final = Skipped("told")


class Chooser:
    """Tells what of a topic is to be replayed."""

    def __init__(self, selection: Selection, lanes: int) -> None:
        self._wanted = selection
        self._tenants = frozenset(selection.tenants)
        self._lanes = lanes
        self._pattern = pattern_of(selection.pattern)
        self._types: dict[str, bool] = {}

    def choose(self, record: Record) -> Signal | Skipped:
        """Return the signal that a record is, or why it is left out."""
        wanted = self._wanted
        if record.timestamp < wanted.since_ms or (wanted.until_ms and record.timestamp >= wanted.until_ms):
            return OTHER
        if wanted.topic == topics.SIGNALS and any(name == names.BY for name, _ in record.headers):
            return _TOLD
        signal = envelope.decode(record)
        if isinstance(signal, Rejected):
            return _UNREADABLE
        if (self._tenants and signal.tenant not in self._tenants) or not self._is_of_type(signal.type):
            return OTHER
        if wanted.topic == topics.SIGNALS_IN and lane_of(signal.tenant.encode(), self._lanes) != record.partition:
            # It was put into its own lane, and stands there as well.
            return _MOVED
        if wanted.correlation and wanted.correlation not in {signal.id, attributes(signal).get("correlationid")}:
            return OTHER
        return signal

    def _is_of_type(self, kind: str) -> bool:
        if self._pattern is None:
            return True
        known = self._types.get(kind)
        if known is None:
            if len(self._types) >= _TYPES_REMEMBERED_MAX:
                self._types.clear()
            known = self._types[kind] = self._pattern.explain(kind) is not None
        return known


_TYPES_REMEMBERED_MAX: Final = 4_096


class PatternError(ValueError):
    """A text that is no pattern; the message says why."""


def pattern_of(text: str) -> Pattern | None:
    """Return the pattern, None for no text. Raises `PatternError`."""
    if not text:
        return None
    found = parse_pattern(text)
    if isinstance(found, Problem):
        message = f"the pattern {text!r} {found.message}"
        raise PatternError(message)
    return found
