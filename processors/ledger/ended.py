"""Which input records have ended lately, and how: a bounded memory that notices the second end of one."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from processors.ledger.finding import Fault

SIGNAL: Final = "written"
DEAD: Final = "dead-lettered"
MOVED: Final = "moved"
ENDED_MAX: Final = 131_072
"""Remembered in all lanes together. An older one that ends again is found by counting, without its number."""
_TWICE: Final = {SIGNAL: Fault.OUTPUT_TWICE, DEAD: Fault.DEAD_TWICE, MOVED: Fault.MOVED_TWICE}

Place = tuple[str, int]
"""Topic and offset of an input record of the lane."""


@dataclass(slots=True)
class Ended:
    """The latest ends of one lane's input records."""

    most: int
    _how: dict[Place, str] = field(default_factory=dict)
    _order: deque[Place] = field(default_factory=deque)

    def add(self, place: Place, how: str) -> Fault | None:
        """Note an end; return what is wrong if it is not the first one."""
        before = self._how.get(place)
        if before is not None:
            return _TWICE[how] if before == how else Fault.ENDED_TWICE
        self._how[place] = how
        self._order.append(place)
        if len(self._order) > self.most:
            del self._how[self._order.popleft()]
        return None
