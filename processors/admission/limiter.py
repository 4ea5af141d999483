"""Token buckets by caller and channel: never more than the burst and the rate's share in any window.

Theory of operation. A bucket is one number, the moment at which it will be full again: each event moves it by the time
that one token takes, and it never lies further ahead than the burst takes. Integers throughout (picoseconds), so that
nothing drifts. More events than a whole burst pass when the bucket is full, and are paid for afterwards: a batch that
could never pass would be sent for ever. A bucket that is full is as good as none, so it is forgotten.
"""

from dataclasses import dataclass, field
from typing import Final

from processors.admission.table import Channel, Limit, Table, Tier

BUCKETS_MAX: Final = 100_000
SWEPT: Final = 4
"""Buckets looked at for each one that is added: old ones go faster than new ones come."""
WARNED_SHARE: Final = 0.2
BACKOFF_MS: Final = (1_000, 2_000, 5_000, 10_000, 30_000)
"""What one is told to wait who is refused again and again, until the bucket was full once."""
STRIKE_MS: Final = 1_000
"""Refusals within so long count once: requests side by side are one mistake."""
_PS_PER_MS: Final = 10**9
_MS_MAX: Final = 24 * 3_600_000


@dataclass(slots=True)
class _Bucket:
    limit: Limit
    interval_ps: int
    full_ps: int
    """When it is full again."""
    strikes: int = 0
    struck_ps: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether events may pass, and what their sender is told."""

    allowed: bool
    limit: Limit | None = None
    remaining: int = 0
    full_ms: int = 0
    """In so long the bucket is full again."""
    retry_after_ms: int = 0

    @property
    def low(self) -> bool:
        """Less than a fifth is left."""
        return self.limit is not None and self.remaining < WARNED_SHARE * self.limit.burst


_FREE: Final = Decision(allowed=True)


@dataclass(slots=True)
class Limiter:
    """All buckets of a gateway. Give it times that do not fall."""

    table: Table = field(default_factory=Table)
    buckets_max: int = BUCKETS_MAX
    _buckets: dict[tuple[str, Channel], _Bucket] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, caller: str, channel: Channel, tier: Tier, count: int, now_ns: int) -> Decision:
        """Let so many events pass, all or none; of 0 events say whether one could."""
        limit = self.table.of(channel, tier)
        if limit is None:
            return _FREE
        now_ps = now_ns * 1_000
        bucket = self._bucket(caller, channel, limit, now_ps)
        if bucket is None:
            # Everybody's bucket is in use: no room is a refusal, not a way around the limit.
            return Decision(allowed=False, limit=limit, retry_after_ms=BACKOFF_MS[0])
        interval, begin = bucket.interval_ps, max(bucket.full_ps, now_ps)
        over_ps = begin + max(count, 1) * interval - now_ps - limit.burst * interval
        if begin == now_ps or over_ps <= 0:
            bucket.full_ps = begin + count * interval
            return _decision(bucket, now_ps)
        wait_ps = min(over_ps, begin - now_ps)
        return _decision(bucket, now_ps, -(-wait_ps // _PS_PER_MS))

    def used(self, now_ns: int) -> list[tuple[str, Channel, Limit, int]]:
        """Return for each bucket whose it is and how much is left in it."""
        now_ps = now_ns * 1_000
        return [
            (caller, channel, bucket.limit, _remaining(bucket, now_ps))
            for (caller, channel), bucket in self._buckets.items()
            if bucket.full_ps > now_ps
        ]

    def _bucket(self, caller: str, channel: Channel, limit: Limit, now_ps: int) -> _Bucket | None:
        bucket = self._buckets.get((caller, channel))
        if bucket is None:
            self._sweep(now_ps)
            if len(self._buckets) >= self.buckets_max:
                return None
            bucket = self._buckets[caller, channel] = _Bucket(limit, limit.interval_ps, now_ps)
        elif bucket.limit is not limit and bucket.limit != limit:
            _refit(bucket, limit, now_ps)
        if bucket.full_ps <= now_ps:
            bucket.strikes = 0
        return bucket

    def _sweep(self, now_ps: int) -> None:
        """Look at the oldest few: forget those that are full, put the others behind."""
        buckets = self._buckets
        for _ in range(min(SWEPT, len(buckets))):
            key = next(iter(buckets))
            bucket = buckets.pop(key)
            if bucket.full_ps > now_ps:
                buckets[key] = bucket


def _refit(bucket: _Bucket, limit: Limit, now_ps: int) -> None:
    """Put a bucket under another limit: what was used stays used."""
    used = -(-max(0, bucket.full_ps - now_ps) // bucket.interval_ps)
    bucket.limit, bucket.interval_ps = limit, limit.interval_ps
    bucket.full_ps = now_ps + used * bucket.interval_ps


def _remaining(bucket: _Bucket, now_ps: int) -> int:
    return max(0, bucket.limit.burst - -(-max(0, bucket.full_ps - now_ps) // bucket.interval_ps))


def _decision(bucket: _Bucket, now_ps: int, wait_ms: int = 0) -> Decision:
    """Say where a bucket stands; to one who must wait, longer each time."""
    if wait_ms:
        backoff_ms = BACKOFF_MS[min(bucket.strikes, len(BACKOFF_MS) - 1)]
        if not bucket.strikes or now_ps - bucket.struck_ps >= STRIKE_MS * _PS_PER_MS:
            bucket.strikes += 1
            bucket.struck_ps = now_ps
        else:
            backoff_ms = BACKOFF_MS[min(bucket.strikes, len(BACKOFF_MS)) - 1]
        wait_ms = min(_MS_MAX, max(wait_ms, backoff_ms))
    return Decision(
        allowed=not wait_ms,
        limit=bucket.limit,
        remaining=_remaining(bucket, now_ps),
        full_ms=max(0, -(-(bucket.full_ps - now_ps) // _PS_PER_MS)),
        retry_after_ms=wait_ms,
    )
