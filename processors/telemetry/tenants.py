"""Which tenants have a label of their own: the most active ones, few, and not others with every breath.

Space-saving counts (Metwally et al.): bounded however many tenants there are, and whoever has more than 1/N of all
records is among the N that are counted. What was counted fades, so that yesterday's flood is not today's label.
"""

from collections.abc import Mapping
from typing import Final

COUNTED_MAX: Final = 256
FADE: Final = 0.5
"""What is left of a count after each ranking."""
CLEARLY: Final = 1.5
"""So many times as active as one with a label must one without be to take its place."""


class ActiveTenants:
    """Counts, and says who has a label."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._counts: dict[str, float] = {}
        self.named: frozenset[str] = frozenset()

    def count(self, tenants: Mapping[str, int]) -> None:
        """Add what a batch had."""
        counts = self._counts
        for tenant, by in tenants.items():
            if by <= 0 or not tenant:
                continue
            if tenant in counts or len(counts) < COUNTED_MAX:
                counts[tenant] = counts.get(tenant, 0.0) + by
            else:
                least = min(counts, key=counts.__getitem__)
                counts[tenant] = counts.pop(least) + by

    def rank(self) -> frozenset[str]:
        """Name the most active ones, and let counts fade; return those who have lost their label."""
        counts, before = self._counts, self.named
        ranked = sorted(counts, key=lambda tenant: (-counts[tenant] * (CLEARLY if tenant in before else 1.0), tenant))
        self.named = frozenset(ranked[: self._most])
        self._counts = {tenant: count * FADE for tenant, count in counts.items() if count * FADE >= 1.0}
        for tenant in self.named:
            # One who pauses keeps its label while nobody wants it.
            self._counts.setdefault(tenant, 0.0)
        return before - self.named
