"""The names of the Kafka headers that Hopline writes, each with its one home here."""

from collections.abc import Sequence
from typing import Final

FORMAT: Final = "hopline"
"""The format version of the record, as decimal digits."""
MOVED: Final = "moved"
"""Set on a record of an input topic that was put into its right lane: where it came from."""
STEPPED: Final = "stepped"
"""Set on an output that the same lane's next hop stepped in the transaction that wrote it."""

BY: Final = "by"
"""Set on a signal that a hop behind the door has written: which one."""

CAME: Final = "came"
"""Set on an admitted signal: its offset in the lane's input, when it was written, where it was moved from."""
REPLAYED: Final = "replayed"
"""Set on a signal that the door let in as part of a replay that its lane knows: which one."""
REDRIVEN: Final = "redriven"
"""Set on a dead letter's record that is written to its topic again: which dead letter it was."""

OURS: Final = frozenset({FORMAT, MOVED, STEPPED, BY, CAME, REPLAYED, REDRIVEN})
"""Not passed on from what a sender wrote: between hops they mean something."""

DEAD_REASON: Final = "dl_reason"
DEAD_HOP: Final = "dl_hop"
DEAD_TOPIC: Final = "dl_topic"
DEAD_PARTITION: Final = "dl_partition"
DEAD_OFFSET: Final = "dl_offset"
DEAD_TIMESTAMP: Final = "dl_timestamp"
DEAD_AT: Final = "dl_at"
DEAD_TENANT: Final = "dl_tenant"
DEAD_PROBLEMS: Final = "dl_problems"
DEAD_STACK: Final = "dl_stack"


def last(headers: Sequence[tuple[str, bytes | None]], name: str) -> bytes | None:
    """Return the last header of a name: ours comes behind what a sender may have written under the same one."""
    for each, value in reversed(headers):
        if each == name:
            return value
    return None
