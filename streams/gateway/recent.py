"""What this gateway has lately accepted: known here before history knows it. No I/O."""

from typing import Final

import msgspec

RECENT_MAX: Final = 50_000


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """A signal that Kafka has durably, and that perhaps no lane has met yet."""

    tenant: str
    id: str
    lane: int
    offset: int


class Recent:
    """The newest of them, by their reference: two halves, of which the older goes when the newer is full."""

    def __init__(self, most: int = RECENT_MAX) -> None:
        self._half = -(-most // 2)
        self._newer: dict[str, Accepted] = {}
        self._older: dict[str, Accepted] = {}

    def __len__(self) -> int:
        return len(self._newer.keys() | self._older.keys())

    def note(self, ref: str, accepted: Accepted) -> None:
        """Remember one."""
        # Not one dictionary from which the oldest is taken: to find that takes longer than all the rest.
        self._newer[ref] = accepted
        if len(self._newer) >= self._half:
            self._older, self._newer = self._newer, {}

    def find(self, tenant: str | None, ref: str) -> Accepted | None:
        """Return one, if it is the tenant's; None is an operator, who sees all."""
        found = self._newer.get(ref) or self._older.get(ref)
        return found if found is not None and tenant in {None, found.tenant} else None
