"""How many records the next batch may take: few when idle, more under load, bounded by time."""

from dataclasses import dataclass, replace
from typing import Final

RECORDS_LEAST: Final = 100
RECORDS_MOST: Final = 4_000
WORK_MS: Final = 100
"""How long the hops may work on a batch before the next one is made smaller: so long other lanes wait.

Not the time of the commit, which a smaller batch does not shorten: measured by it, batches shrank on a busy machine
from 1,000 records to 90, and the cost of a record rose fourfold.
"""


@dataclass(frozen=True, slots=True)
class Sizing:
    """A batch takes what is there up to `records_max`, so an idle lane's batches are small by themselves."""

    records_max: int = 1_000

    def after(self, records: int, worked_ms: float) -> "Sizing":
        """Return the bound for the next batch."""
        if worked_ms > WORK_MS:
            return replace(self, records_max=max(RECORDS_LEAST, self.records_max * 3 // 4))
        if records >= self.records_max and worked_ms < WORK_MS / 2:
            return replace(self, records_max=min(RECORDS_MOST, self.records_max * 3 // 2))
        return self
