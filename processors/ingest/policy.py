"""A tenant's status and limits: what may be asked for, and putting it in force."""

from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from processors.ingest import queue, replay
from processors.ingest.door import Door, IngestSettings
from processors.ingest.tenant import (
    BURST_MAX,
    DEDUPE_WINDOW_MS_MAX,
    QUEUE_RECORDS_MAX,
    RATE_MAX,
    RATE_MIN,
    Account,
    Over,
    Policy,
    Status,
)
from processors.step import Step
from processors.vocabulary.reasons import Problem

TENANT_SET: Final = "hopline.tenant.set"


class TenantChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Only what is named changes."""

    status: Status | None = None
    rate_per_second: float | None = None
    burst: int | None = None
    over: Over | None = None
    queue_records: int | None = None
    dedupe_window_ms: int | None = None
    held: bool | None = None


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


def problems_of(change: TenantChange) -> tuple[Problem, ...]:
    """Return what is out of bounds, by field."""
    problems = tuple(
        Problem(f"data.{bound.field}", f"must be from {bound.least} to {bound.most}")
        for bound in _BOUNDS
        if (value := getattr(change, bound.field)) is not None and not bound.least <= value <= bound.most
    )
    if change.rate_per_second is not None and 0 < change.rate_per_second < RATE_MIN:
        message = f"must be 0 (no limit) or at least {RATE_MIN}"
        problems = (*problems, Problem("data.rate_per_second", message))
    return problems


def applied(policy: Policy, change: TenantChange) -> Policy:
    """Return the policy with what the change names."""
    named = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not None}
    return replace(policy, **named)


def of(step: Step, settings: IngestSettings, tenant: str) -> Policy | None:
    """Return a tenant's policy as this batch has made it; None if there is no such tenant."""
    door = Door(step, settings)
    door.open((tenant,))
    account = door.accounts[tenant]
    return account.policy if account.known else None


def clear(
    step: Step, settings: IngestSettings, tenant: str, *, policy_too: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Begin a tenant's account anew; return what it said before and after. What waits in its queue goes on waiting.

    Ids seen until now count as new. The policy stays, unless it is to go back to the default.
    """
    door = Door(step, settings)
    door.open((tenant,))
    account = door.accounts[tenant]
    before = _told(account)
    account.changed = True
    account.handled = account.duplicates = account.dead = account.commands = 0
    policy = settings.policy if policy_too else account.policy
    account.set_policy(replace(policy, seen_from_ms=step.now_ms), step.now_ms)
    account.fill()
    queue.schedule(step.overlay, tenant, account, step.now_ms)
    door.close()
    if account.due_ms:
        step.wake_at(account.due_ms)
    return before, _told(account)


def _told(account: Account) -> dict[str, Any]:
    counts = ("handled", "duplicates", "dead", "commands", "queued")
    return {**{name: getattr(account, name) for name in counts}, "policy": account.policy}


def change(step: Step, settings: IngestSettings, tenant: str, wanted: TenantChange) -> tuple[Policy | None, Policy]:
    """Put a policy in force from the next record on; return it as it was and as it is. Creates the tenant."""
    door = Door(step, settings)
    door.open((tenant,))
    account = door.accounts[tenant]
    before = account.policy if account.known else None
    if not account.known:
        account.create(step.now_ms)
    account.changed = True
    account.commands += 1
    account.set_policy(applied(account.policy, wanted), step.now_ms)
    # A queue may have been waiting under the old rate.
    queue.schedule(step.overlay, tenant, account, step.now_ms)
    door.close()
    if before is not None and before.held != account.policy.held:
        replay.settle_all(step, tenant, held=account.policy.held)
    if account.due_ms:
        # Not `DUE.wake`: it looks through all that the batch has changed, and a batch may change many policies.
        step.wake_at(account.due_ms)
    return before, account.policy


def set_typed(step: Step, settings: IngestSettings, tenant: str, *, typed: bool) -> None:
    """Let the door look at the types of a tenant's signals, or not. The tenant is there."""
    door = Door(step, settings)
    door.open((tenant,))
    account = door.accounts[tenant]
    account.changed = True
    account.commands += 1
    account.set_policy(replace(account.policy, typed=typed), step.now_ms)
    door.close()
