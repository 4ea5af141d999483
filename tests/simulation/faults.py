"""Which faults a seed brings, and how often. Some seeds bring none, some one kind only, some all."""

import random
from dataclasses import dataclass, field
from typing import Final

CRASH: Final = "crash"
PAUSE: Final = "pause"
MOVE: Final = "move"
LEAVE: Final = "leave"
BELIEF: Final = "wrong_belief"
CLOCK: Final = "clock_jump"
LEAP: Final = "time_leap"
COMPACT: Final = "compaction"
EXPIRE: Final = "offsets_expired"
NIGHT: Final = "long_absence"
ACTIONS: Final = (CRASH, PAUSE, MOVE, LEAVE, BELIEF, CLOCK, LEAP, COMPACT, EXPIRE, NIGHT)
"""What the world does to the workers between two steps."""
LOST: Final = "lost"
LATE: Final = "late"
UNANSWERED: Final = "unanswered"
SLOW: Final = "slow"
STALE: Final = "stale"
LAZY: Final = "lazy"
AGENT: Final = "agent"
SHARES: Final = {LOST: 0.01, LATE: 0.015, UNANSWERED: 0.01, SLOW: 0.02, STALE: 0.6, LAZY: 0.5, AGENT: 0.02}
"""What goes wrong with requests, fetches and calls, and how often where it does.

Requests are lost, arrive late, stay without an answer, or are slow. A new reader may return records from before the
seek first (stale), and leave its position before the markers (lazy). An agent may not answer at all.
"""
CONSEQUENCES: Final = (
    "torn_store",
    "lost_store",
    "locked_store",
    "snapshot_used",
    "mixed_formats",
    "crash_in_transaction",
    "zombie_refused",
    "transaction_timed_out",
    "killed_by_record",
    "moved",
    "deferred",
    "looped",
    "not_looped",
    "aborted",
    "checkpoints",
)
"""What must have come of it over many seeds, or the faults did not really hit."""
SHARE_OF_CALM_SEEDS: Final = 0.06


@dataclass(slots=True)
class Profile:
    """One seed's world."""

    lanes: int
    workers: int
    every: int
    """Steps between two actions, on average."""
    weights: dict[str, float] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    formats: tuple[int, ...] = (2,)
    loops_max: int = 10_000
    releases_max: int = 1_000
    marker_ms_max: int = 20
    lost_store: float = 0.0
    replaced: float = 0.0
    """Of the paused workers: how many get a replacement in their slot, while they hold its store."""


def draw(chance: random.Random) -> Profile:
    """Draw a profile from the seed."""
    profile = Profile(
        lanes=chance.randrange(2, 5),
        workers=chance.randrange(2, 4),
        every=chance.choice((50, 120, 300)),
        formats=chance.choice(((2,), (1,), (1, 2), (2, 1))),
        loops_max=chance.choice((0, 1, 3, 8, 10_000, 10_000)),
        releases_max=chance.choice((1, 2, 1_000)),
        marker_ms_max=chance.choice((4, 40, 300)),
        lost_store=chance.choice((0.0, 0.3)),
        replaced=chance.choice((0.0, 0.5)),
    )
    if chance.random() < SHARE_OF_CALM_SEEDS:
        return profile
    profile.weights = {kind: chance.choice((0.0, 1.0, 3.0)) for kind in ACTIONS}
    if chance.random() < 0.6:
        profile.shares = {kind: share for kind, share in SHARES.items() if chance.random() < 0.5}
    return profile
