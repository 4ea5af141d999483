"""`hopline tenants`: list and show tenants, set their status and limits."""

import json
import time
from collections.abc import Mapping
from typing import Any

import click

from processors.ingest import Over, Policy, Status
from processors.ingest.policy import TENANT_SET
from processors.ingest.tenant import Account
from processors.vocabulary.partition import lane_of
from streams.changelog import open_changelog
from streams.cli.access import Access, access, run
from streams.cli.asking import ask, require_name, require_payload, require_success
from streams.cli.errors import CommandError
from streams.cli.output import json_option, moment, print_json, print_table


@click.group()
def tenants() -> None:
    """Show tenants, set their status and limits."""


@tenants.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    """List all tenants with their counts."""
    at = access()
    found = run(_accounts(at))
    shown = [_shown(tenant, found[tenant], at.lanes) for tenant in sorted(found)]
    if as_json:
        print_json(shown)
        return
    print_table(
        ("TENANT", "LANE", "STATUS", "HANDLED", "DUPLICATES", "DEAD", "QUEUED", "RATE/S", "LAST SIGNAL"),
        [
            (
                row["tenant"],
                row["lane"],
                row["status"],
                row["handled"],
                row["duplicates"],
                row["dead_letters"],
                row["queued"],
                row["rate_per_second"] or "no limit",
                row["last"],
            )
            for row in shown
        ],
    )


@tenants.command()
@click.argument("tenant")
@json_option
def show(*, tenant: str, as_json: bool) -> None:
    """Show one tenant: its policy and its counts."""
    require_name(tenant)
    at = access()
    account = run(_account(at, tenant))
    if account is None:
        raise CommandError(
            f"there is no tenant {tenant!r} yet",
            f"`hopline tenants set {tenant}` creates it, and so does its first signal",
        )
    shown = _shown(tenant, account, at.lanes)
    if as_json:
        print_json(shown)
    else:
        print_table(("WHAT", "VALUE"), list(shown.items()))


@tenants.command("set")
@click.argument("tenant")
@click.option(
    "--status", type=click.Choice([status.value for status in Status]), help="Whether its signals are handled."
)
@click.option("--rate", type=float, help="Signals a second; 0 is no limit.")
@click.option("--burst", type=int, help="Signals at once, above the rate.")
@click.option(
    "--over", type=click.Choice([over.value for over in Over]), help="Over the rate: defer in order, or refuse."
)
@click.option("--queue", type=int, help="Signals that may wait when deferred.")
@click.option("--dedupe-window", type=float, metavar="SECONDS", help="In which an id counts once; 0 is no dedupe.")
@json_option
def set_(
    *,
    tenant: str,
    status: str | None,
    rate: float | None,
    burst: int | None,
    over: str | None,
    queue: int | None,
    dedupe_window: float | None,
    as_json: bool,
) -> None:
    """Set what is named, leave the rest; wait until it is in force. Creates the tenant if need be."""
    require_name(tenant)
    wanted = {
        "status": status,
        "rate_per_second": rate,
        "burst": burst,
        "over": over,
        "queue_records": queue,
        "dedupe_window_ms": None if dedupe_window is None else round(dedupe_window * 1_000),
    }
    change = {name: value for name, value in wanted.items() if value is not None}
    require_payload(TENANT_SET, json.dumps(change))
    at = access()
    account, seconds = run(_set(at, tenant, change))
    shown = _shown(tenant, account, at.lanes)
    if as_json:
        print_json({**shown, "in_force_after_seconds": seconds})
    else:
        click.echo(f"in force after {seconds:.2f} s")
        print_table(("WHAT", "VALUE"), list(shown.items()))


async def _accounts(at: Access) -> dict[str, Account]:
    found: dict[str, Account] = {}
    async with open_changelog(at.kafka, at.topics, at.lanes) as changelog:
        for lane in range(at.lanes):
            found.update(await changelog.accounts(lane, _default(at)))
    return found


async def _account(at: Access, tenant: str) -> Account | None:
    async with open_changelog(at.kafka, at.topics, at.lanes) as changelog:
        return await changelog.account(tenant, _default(at))


def _default(at: Access) -> Policy:
    return at.settings.ingest().policy


async def _set(at: Access, tenant: str, change: Mapping[str, Any]) -> tuple[Account, float]:
    """Ask for the change; return the account once it is in force, and how long that took."""
    began = time.monotonic()
    require_success(await ask(at, tenant, TENANT_SET, json.dumps(change)))
    seconds = time.monotonic() - began
    account = await _account(at, tenant)
    if account is None:
        raise CommandError(f"tenant {tenant!r} was set and is gone again", f"`hopline audit show {tenant}` says why")
    return account, seconds


def _shown(tenant: str, account: Account, lanes: int) -> dict[str, Any]:
    policy = account.policy
    return {
        "tenant": tenant,
        "lane": lane_of(tenant.encode(), lanes),
        "status": policy.status.value,
        "rate_per_second": policy.rate_per_second,
        "burst": policy.burst,
        "over": policy.over.value,
        "queue_records": policy.queue_records,
        "dedupe_window_seconds": policy.dedupe_window_ms / 1_000,
        "policy": "its own" if account.own_policy else "the default",
        "handled": account.handled,
        "duplicates": account.duplicates,
        "dead_letters": account.dead,
        "commands": account.commands,
        "queued": account.queued,
        "created": moment(account.created_ms),
        "last": moment(account.last_ms),
    }
