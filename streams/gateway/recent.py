"""What this gateway has lately accepted: known here before history knows it. No I/O."""

from dataclasses import dataclass
from typing import Final

RECENT_MAX: Final = 50_000


@dataclass(frozen=True, slots=True)
class Accepted:
    """A signal that Kafka has durably, and that perhaps no lane has met yet."""

    tenant: str
    id: str
    lane: int
    offset: int


class Recent:
    """The newest of them, by their reference."""

    def __init__(self, most: int = RECENT_MAX) -> None:
        self._most = most
        self._found: dict[str, Accepted] = {}

    def __len__(self) -> int:
        return len(self._found)

    def note(self, ref: str, accepted: Accepted) -> None:
        """Remember one; the oldest makes room."""
        # Noted again it is the newest.
        self._found.pop(ref, None)
        self._found[ref] = accepted
        if len(self._found) > self._most:
            del self._found[next(iter(self._found))]

    def find(self, tenant: str | None, ref: str) -> Accepted | None:
        """Return one, if it is the tenant's; None is an operator, who sees all."""
        found = self._found.get(ref)
        return found if found is not None and tenant in {None, found.tenant} else None
