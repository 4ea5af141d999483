"""What waits before the lanes, worked out from what a look has found: no Kafka and no clock in here."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from streams.prober.asking import Place

ENDS_MAX: Final = 512
"""Of one partition: when it ended where. When there are more, each second one is let go."""


@dataclass(frozen=True, slots=True)
class Oldest:
    """The oldest record of a partition that its lane has not applied."""

    offset: int
    timestamp: int


@dataclass(slots=True)
class _Standing:
    """One partition of an input."""

    applied: int = 0
    stable: int = 0
    oldest: Oldest | None = None
    clear_upto: int = 0
    """Below this there is no record that was not applied: what lies there are transactions' markers."""
    ends: deque[tuple[float, int]] = field(default_factory=deque)
    """When the partition was seen to end where; the first one at or below what is applied."""


@dataclass(slots=True)
class Lags:
    """All inputs of all lanes."""

    standings: dict[Place, _Standing]

    @classmethod
    def of(cls, places: Iterable[Place]) -> "Lags":
        """Return these partitions, of which nothing is known yet."""
        return cls({place: _Standing() for place in places})

    def look(self, now: float, stable: Mapping[Place, int], applied: Mapping[Place, int]) -> list[Place]:
        """Take in a look; return the partitions of which the oldest record is to be read now."""
        wanted = []
        for place, at in self.standings.items():
            at.stable, at.applied = stable[place], max(at.applied, applied.get(place, 0))
            _remember(at, now)
            if at.oldest is not None and at.oldest.offset < at.applied:
                at.oldest = None
            if at.oldest is None and max(at.applied, at.clear_upto) < at.stable:
                wanted.append(place)
        return wanted

    def begins(self, place: Place) -> int:
        """Return from where on the oldest record of a partition is to be looked for."""
        at = self.standings[place]
        return max(at.applied, at.clear_upto)

    def read(self, place: Place, oldest: Oldest | None, upto: int) -> None:
        """Note the oldest record; or that there is none up to an offset."""
        at = self.standings[place]
        at.oldest = oldest
        if oldest is None:
            at.clear_upto = max(at.clear_upto, upto)

    def records(self, place: Place) -> int:
        """Return how many offsets wait. Markers behind the oldest record count, markers alone do not."""
        at = self.standings[place]
        if at.oldest is not None:
            return max(0, at.stable - at.oldest.offset)
        return max(0, at.stable - max(at.applied, at.clear_upto))

    def seconds(self, place: Place, now: float, now_ms: int) -> float:
        """Return how long the oldest record waits: by its time, but no longer than it can have been there."""
        at = self.standings[place]
        if at.oldest is None:
            return 0.0
        age = max(0.0, (now_ms - at.oldest.timestamp) / 1_000)
        if at.ends and at.ends[0][1] <= at.oldest.offset:
            # A producer sets its records' times; it cannot write before the partition has come so far.
            age = min(age, now - at.ends[0][0])
        return age


def _remember(at: _Standing, now: float) -> None:
    at.ends.append((now, at.stable))
    while len(at.ends) > 1 and at.ends[1][1] <= at.applied:
        at.ends.popleft()
    if len(at.ends) > ENDS_MAX:
        at.ends = deque([at.ends[0], *list(at.ends)[2::2]])


@dataclass(slots=True)
class Opens:
    """Open transactions: how many records they hold back, and for how long."""

    _since: dict[Place, tuple[int, float]] = field(default_factory=dict)
    records: dict[Place, int] = field(default_factory=dict)

    def look(self, now: float, stable: Mapping[Place, int], ends: Mapping[Place, int]) -> None:
        """Take in a look."""
        for place, end in ends.items():
            at = stable[place]
            self.records[place] = max(0, end - at)
            if end <= at:
                self._since.pop(place, None)
            elif self._since.get(place, (-1, 0.0))[0] != at:
                self._since[place] = (at, now)

    def seconds(self, topic: str, now: float) -> float:
        """Return how long the last stable offset of a topic's worst lane has stood still below its end."""
        return max((now - since for (name, _), (_, since) in self._since.items() if name == topic), default=0.0)
