"""Callers who keep sending what cannot be read: ten such requests in a minute, and they must cool off.

The first pause is 30 s, the next 60 s, then 300 s; who behaves for ten minutes begins anew.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

VIOLATIONS_MAX: Final = 10
WINDOW_MS: Final = 60_000
COOL_OFF_MS: Final = (30_000, 60_000, 300_000)
FORGIVEN_MS: Final = 600_000
"""After the end of a pause: then the next one is the shortest again."""
CALLERS_MAX: Final = 10_000
SWEPT: Final = 4


@dataclass(slots=True)
class _Record:
    times_ms: deque[int] = field(default_factory=lambda: deque(maxlen=VIOLATIONS_MAX))
    pauses: int = 0
    until_ms: int = 0


@dataclass(slots=True)
class Conduct:
    """What is known of callers who made mistakes. Give it times that do not fall."""

    callers_max: int = CALLERS_MAX
    _records: dict[str, _Record] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._records)

    def pause_ms(self, caller: str, now_ms: int) -> int:
        """Return how long a caller must still wait; 0 if it may go on."""
        record = self._records.get(caller)
        return 0 if record is None else max(0, record.until_ms - now_ms)

    def violated(self, caller: str, now_ms: int) -> int:
        """Count an invalid request; return how long the pause is that it brings, 0 if none."""
        record = self._record(caller, now_ms)
        if record.until_ms > now_ms:
            # One that was under way when the pause began.
            return 0
        if record.pauses and now_ms >= record.until_ms + FORGIVEN_MS:
            record.pauses = 0
        record.times_ms.append(now_ms)
        if len(record.times_ms) < VIOLATIONS_MAX or now_ms - record.times_ms[0] >= WINDOW_MS:
            return 0
        pause_ms = COOL_OFF_MS[min(record.pauses, len(COOL_OFF_MS) - 1)]
        record.pauses += 1
        record.until_ms = now_ms + pause_ms
        record.times_ms.clear()
        return pause_ms

    def cooling(self, now_ms: int) -> int:
        """Return how many callers must wait."""
        return sum(record.until_ms > now_ms for record in self._records.values())

    def _record(self, caller: str, now_ms: int) -> _Record:
        record = self._records.get(caller)
        if record is None:
            self._sweep(now_ms)
            if len(self._records) >= self.callers_max:
                # No room: the oldest that need not wait is forgotten, else the oldest.
                idle = next((name for name, known in self._records.items() if known.until_ms <= now_ms), None)
                del self._records[idle if idle is not None else next(iter(self._records))]
            record = self._records[caller] = _Record()
        return record

    def _sweep(self, now_ms: int) -> None:
        """Look at the oldest few: forget those of whom nothing is to be remembered, put the others behind."""
        records = self._records
        for _ in range(min(SWEPT, len(records))):
            name = next(iter(records))
            record = records.pop(name)
            if not _forgettable(record, now_ms):
                records[name] = record


def _forgettable(record: _Record, now_ms: int) -> bool:
    quiet = not record.times_ms or now_ms - record.times_ms[-1] >= WINDOW_MS
    return quiet and (not record.pauses or now_ms >= record.until_ms + FORGIVEN_MS)
