"""Commands that the door understands: a tenant's status and limits."""

from dataclasses import dataclass
from typing import Final

import msgspec

from processors.ingest.tenant import (
    BURST_MAX,
    DEDUPE_WINDOW_MS_MAX,
    QUEUE_RECORDS_MAX,
    RATE_MAX,
    RATE_MIN,
    Over,
    Policy,
    Status,
)
from processors.vocabulary.reasons import Problem, Reason, Rejected

TENANT_SET: Final = "hopline.tenant.set"


class TenantChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The data of `hopline.tenant.set`: only what is named changes."""

    status: Status | None = None
    rate_per_second: float | None = None
    burst: int | None = None
    over: Over | None = None
    queue_records: int | None = None
    dedupe_window_ms: int | None = None


@dataclass(frozen=True, slots=True)
class _Bound:
    field: str
    least: float
    most: float


_BOUNDS: Final = (
    _Bound("rate_per_second", 0, RATE_MAX),
    _Bound("burst", 1, BURST_MAX),
    _Bound("queue_records", 0, QUEUE_RECORDS_MAX),
    _Bound("dedupe_window_ms", 0, DEDUPE_WINDOW_MS_MAX),
)
_decode = msgspec.json.Decoder(TenantChange).decode


def parse(kind: str, data: bytes | None) -> TenantChange | Rejected:
    """Read a command. What is wrong with it is named by field."""
    if kind != TENANT_SET:
        message = f"{kind!r} is not a command; {TENANT_SET!r} is"
        return Rejected(Reason.UNKNOWN_COMMAND, (Problem("type", message),))
    try:
        change = _decode(data or b"")
    except (msgspec.DecodeError, RecursionError) as error:
        return Rejected(Reason.INVALID_ENVELOPE, (Problem("data", str(error)),))
    problems = tuple(
        Problem(f"data.{bound.field}", f"must be from {bound.least} to {bound.most}")
        for bound in _BOUNDS
        if (value := getattr(change, bound.field)) is not None and not bound.least <= value <= bound.most
    )
    if change.rate_per_second is not None and 0 < change.rate_per_second < RATE_MIN:
        message = f"must be 0 (no limit) or at least {RATE_MIN}"
        problems = (*problems, Problem("data.rate_per_second", message))
    return Rejected(Reason.INVALID_ENVELOPE, problems) if problems else change


def apply(policy: Policy, change: TenantChange) -> Policy:
    """Return the policy with what the command names."""
    return Policy(
        status=policy.status if change.status is None else change.status,
        rate_per_second=(policy.rate_per_second if change.rate_per_second is None else change.rate_per_second),
        burst=policy.burst if change.burst is None else change.burst,
        over=policy.over if change.over is None else change.over,
        queue_records=policy.queue_records if change.queue_records is None else change.queue_records,
        dedupe_window_ms=(policy.dedupe_window_ms if change.dedupe_window_ms is None else change.dedupe_window_ms),
    )
