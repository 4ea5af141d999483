"""The accounts of the tenants whose records are stepped: loaded together, changed, written back together."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from processors.dead_letters import set_aside
from processors.ingest.replay import Replays
from processors.ingest.tenant import HOP, Account, Policy, account_key
from processors.step import Outcome, Step
from processors.vocabulary.reasons import Rejected
from processors.vocabulary.record import Record


@dataclass(frozen=True, slots=True)
class IngestSettings:
    """What an operator decides for all tenants."""

    policy: Policy = field(default_factory=Policy)
    strict: bool = False
    """Signals of tenants that nobody created are refused."""
    warm_accounts_max: int = 16_384
    """Of a lane: accounts kept ready between batches."""


@dataclass(slots=True)
class Door:
    """The accounts that a run of records touches, written back once at its end."""

    step: Step
    settings: IngestSettings
    accounts: dict[str, Account] = field(default_factory=dict)
    replays: dict[str, Replays] = field(default_factory=dict)
    """Of those tenants whose signals name one."""
    kept_ms: int = 0
    """Until when what this batch has seen is remembered at the least."""

    def open(self, tenants: Iterable[str]) -> None:
        """Load accounts, all at once; those met lately are ready."""
        accounts, warm = self.accounts, self.step.warm.setdefault(HOP, {})
        cold = {}
        for tenant in tenants:
            account = warm.get(tenant)
            if account is None:
                cold[tenant] = account_key(tenant)
            else:
                accounts[tenant] = account
        if not cold:
            return
        if len(warm) + len(cold) > self.settings.warm_accounts_max:
            self.step.warm[HOP] = {}
        load, default = Account.load, self.settings.policy
        found = self.step.overlay.get_many(list(cold.values()))
        for (tenant, key), packed in zip(cold.items(), found, strict=True):
            accounts[tenant] = load(packed, default, key)

    def close(self) -> None:
        """Write changed accounts back and count what became of their records."""
        step, now_ms = self.step, self.step.now_ms
        handled_by = step.tally_of(HOP, Outcome.HANDLED)
        duplicates_by = step.tally_of(HOP, Outcome.DUPLICATE)
        put, warm, window_ms = step.overlay.put, step.warm[HOP], 0
        for tenant, account in self.accounts.items():
            if not account.changed:
                continue
            account.last_ms = now_ms
            put(account.key, account.pack())
            window_ms = max(window_ms, account.policy.dedupe_window_ms)
            if by := account.batch_handled:
                handled_by[tenant] = handled_by.get(tenant, 0) + by
                account.batch_handled = 0
            if by := account.batch_duplicates:
                duplicates_by[tenant] = duplicates_by.get(tenant, 0) + by
                account.batch_duplicates = 0
            account.changed = False
            warm[tenant] = account
        for replays in self.replays.values():
            if replays.changed:
                replays.save(step.overlay)
        expires_ms = max(now_ms + window_ms, self.kept_ms)
        step.overlay.seal(HOP, now_ms=now_ms, expires_ms=expires_ms, sequence=step.sequence)

    def replays_of(self, tenant: str) -> Replays:
        """Return the replays that the lane knows of a tenant."""
        found = self.replays.get(tenant)
        if found is None:
            found = self.replays[tenant] = Replays.load(self.step.overlay, tenant)
        return found

    def refuse(self, topic: str, record: Record, account: Account, rejected: Rejected, tenant: str) -> None:
        """Set a record of a known tenant aside."""
        if account.known:
            account.dead += 1
            account.changed = True
        set_aside(self.step, HOP, topic, record, rejected, tenant=tenant)
