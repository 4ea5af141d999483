"""A record of a topic, as the core sees it: what Kafka's clients and the simulation both give."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

Header: TypeAlias = tuple[str, bytes | None]
Headers: TypeAlias = Sequence[Header]


class Record(Protocol):
    """Read-only, so that aiokafka's own record fits without being copied."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int:
        """Milliseconds since the epoch, as the log has it."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...


@dataclass(frozen=True, slots=True)
class PlainRecord:
    """A record made by hand: by the simulation, by tests, and from a queue in state."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
