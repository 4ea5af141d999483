"""How much each tier of callers may do on each channel. Changed at runtime, entry by entry."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import msgspec

from processors.vocabulary.reasons import Problem

RATE_MAX: Final = 1_000_000.0
RATE_MIN: Final = 0.001
BURST_MAX: Final = 1_000_000
PREFIX: Final = "limits/"
"""What the keys of limits begin with in the topic that gateways read."""
_PS: Final = 10**12


class Channel(StrEnum):
    """What a request does. Each has buckets of its own: none eats another's tokens."""

    SIGNALS = "signals"
    DIRECTIVES = "directives"
    READS = "reads"
    TAIL = "tail"


class Tier(StrEnum):
    """How much a caller may do; a key has one."""

    LIGHT = "light"
    NORMAL = "normal"
    HEAVY = "heavy"
    UNLIMITED = "unlimited"


@dataclass(frozen=True, slots=True)
class Limit:
    """So many a second, and so many at once after a rest."""

    rate_per_second: float
    burst: int

    @property
    def interval_ps(self) -> int:
        """Picoseconds that one event takes. Rounded up: never more than the rate, a millionth less at the most."""
        return -int(-_PS // self.rate_per_second)

    @property
    def window_seconds(self) -> int:
        """How long an empty bucket takes to be full, in whole seconds."""
        return max(1, round(self.burst / self.rate_per_second))


class Entry(msgspec.Struct, frozen=True):
    """A limit as it stands in the topic."""

    rate_per_second: float
    burst: int


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Entry).decode

_PER_MINUTE: Final = {Tier.LIGHT: 120, Tier.NORMAL: 60, Tier.HEAVY: 10}
"""Of what people and programs ask. Signals may come as often in a second, ten seconds' worth at once."""
DEFAULTS: Final[dict[tuple[Channel, Tier], Limit]] = {
    (channel, tier): Limit(float(count), 10 * count) if channel is Channel.SIGNALS else Limit(count / 60, count)
    for channel in Channel
    for tier, count in _PER_MINUTE.items()
}


@dataclass(slots=True)
class Table:
    """The limits in force: the defaults, and over them what was set."""

    own: dict[tuple[Channel, Tier], Limit] = field(default_factory=dict)

    def of(self, channel: Channel, tier: Tier) -> Limit | None:
        """Return a limit; None where there is none."""
        return self.own.get((channel, tier)) or DEFAULTS.get((channel, tier))

    def set(self, key: str, value: bytes | None) -> str:
        """Take over one record of the topic; return what is wrong with it, nothing if it was taken."""
        try:
            channel, _, tier = key.removeprefix(PREFIX).partition("/")
            place = (Channel(channel), Tier(tier))
            if place not in DEFAULTS:
                return f"{key} has no limit to set"
            if value is None:
                self.own.pop(place, None)
                return ""
            entry = _decode(value)
        except (ValueError, msgspec.DecodeError) as error:
            return f"{key} cannot be read: {error}"
        if problems_of(entry.rate_per_second, entry.burst):
            return f"{key} is out of bounds"
        self.own[place] = Limit(entry.rate_per_second, entry.burst)
        return ""

    def rows(self) -> Iterator[tuple[Channel, Tier, Limit, bool]]:
        """Yield all limits, and whether each was set."""
        for channel, tier in DEFAULTS:
            limit = self.of(channel, tier)
            if limit is not None:
                yield channel, tier, limit, (channel, tier) in self.own


def key_of(channel: Channel, tier: Tier) -> str:
    """Return under which key a limit stands in the topic."""
    return f"{PREFIX}{channel.value}/{tier.value}"


def packed(limit: Limit) -> bytes:
    """Return a limit as it stands in the topic."""
    return _encode(Entry(limit.rate_per_second, limit.burst))


def unpacked(value: bytes) -> Limit:
    """Read a limit that `packed` wrote."""
    entry = _decode(value)
    return Limit(entry.rate_per_second, entry.burst)


def problems_of(rate_per_second: float, burst: int) -> tuple[Problem, ...]:
    """Return what is out of bounds, by field."""
    problems = []
    # Written so that a NaN is out of bounds, too.
    if not RATE_MIN <= rate_per_second <= RATE_MAX:
        problems.append(Problem("data.rate_per_second", f"must be from {RATE_MIN} to {RATE_MAX:.0f}"))
    if not 1 <= burst <= BURST_MAX:
        problems.append(Problem("data.burst", f"must be from 1 to {BURST_MAX}"))
    return tuple(problems)
