"""The records of a lane's input topics, as far as they were read: which offsets hold one."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from processors.vocabulary import headers as names
from processors.vocabulary import topics
from processors.vocabulary.record import Record

INPUTS: Final = (topics.SIGNALS_IN, topics.COMMANDS, topics.DIRECTIVES)
DOOR: Final = (topics.SIGNALS_IN, topics.COMMANDS)
"""Those of the door: others write them, and lanes move records there."""


@dataclass(slots=True)
class Taken:
    """The records of some commits' ranges."""

    offsets: list[int]
    stepped: int
    """Those that were stepped in the transaction that wrote them."""


@dataclass(slots=True)
class Inputs:
    """Offsets that were read and that no judged commit has stepped."""

    offsets: dict[str, deque[int]] = field(default_factory=lambda: {topic: deque() for topic in INPUTS})
    stepped: deque[int] = field(default_factory=deque)

    def restart(self) -> None:
        """Forget them."""
        for offsets in self.offsets.values():
            offsets.clear()
        self.stepped.clear()

    def count(self) -> int:
        """Return how many there are."""
        return sum(map(len, self.offsets.values()))

    def first(self, topic: str) -> int | None:
        """Return the first one."""
        return self.offsets[topic][0] if self.offsets[topic] else None

    def take(self, topic: str, records: Sequence[Record]) -> None:
        """Note the next records of a topic."""
        self.offsets[topic].extend(record.offset for record in records)
        if topic == topics.DIRECTIVES:
            self.stepped.extend(
                record.offset for record in records if any(name == names.STEPPED for name, _ in record.headers)
            )

    def upto(self, topic: str, first: int, after: int) -> Taken:
        """Hand over what lies from one offset to before another, and forget all that lies before."""
        offsets, found = self.offsets[topic], list[int]()
        while offsets and offsets[0] < after:
            offset = offsets.popleft()
            if offset >= first:
                found.append(offset)
        stepped = 0
        if topic == topics.DIRECTIVES:
            while self.stepped and self.stepped[0] < after:
                stepped += self.stepped.popleft() >= first
        return Taken(found, stepped)
