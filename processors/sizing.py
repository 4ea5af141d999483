"""How many records the next batch may take: few when idle, more under load, bounded by time."""

from dataclasses import dataclass, replace
from typing import Final

RECORDS_LEAST: Final = 50
RECORDS_MOST: Final = 4_000
TARGET_MS: Final = 80
"""How long a batch may take from fetch to commit before the next one is made smaller."""


@dataclass(frozen=True, slots=True)
class Sizing:
    """A batch takes what is there up to `records_max`, so an idle lane's batches are small by themselves."""

    records_max: int = 500

    def after(self, records: int, took_ms: float) -> "Sizing":
        """Return the bound for the next batch."""
        if took_ms > TARGET_MS:
            return replace(self, records_max=max(RECORDS_LEAST, self.records_max * 3 // 4))
        if records >= self.records_max and took_ms < TARGET_MS / 2:
            return replace(self, records_max=min(RECORDS_MOST, self.records_max * 3 // 2))
        return self
