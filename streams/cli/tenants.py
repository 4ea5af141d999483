"""`hopline tenants`: list and show tenants, set their status and limits."""

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any, Final

import click

from processors.directives import kinds
from processors.directives.definition import judged
from processors.ingest import Over, Policy, Status
from processors.ingest.policy import TENANT_SET
from processors.ingest.tenant import Account
from processors.vocabulary import rules, topics
from processors.vocabulary.partition import lane_of
from processors.vocabulary.record import Header
from processors.vocabulary.signal import CONTENT_TYPE
from streams.changelog import Changelog, open_changelog
from streams.cli.access import Access, access, run
from streams.cli.errors import MISUSED, CommandError
from streams.cli.output import json_option, moment, print_json, print_table
from streams.cli.sending import Sent, new_id, send_record

IN_FORCE_SECONDS_MAX: Final = 15.0
POLL_SECONDS: Final = 0.1
_SOURCE: Final = "/hopline/cli"


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
    _, problems = judged(kinds.BY_NAME[TENANT_SET], json.dumps(change).encode())
    if problems:
        wrong = "; ".join(f"{p.field.removeprefix('data.')} {p.message}" for p in problems)
        raise CommandError(f"not sent: {wrong}", "`hopline tenants set --help` lists what can be set", code=MISUSED)
    at = access()
    account, seconds = run(_set(at, tenant, change))
    shown = _shown(tenant, account, at.lanes)
    if as_json:
        print_json({**shown, "in_force_after_seconds": seconds})
    else:
        click.echo(f"in force after {seconds:.2f} s")
        print_table(("WHAT", "VALUE"), list(shown.items()))


def require_name(tenant: str, *, system_ok: bool = False) -> None:
    """Refuse what cannot be a tenant. Hopline's own one has directives and an audit, too."""
    if system_ok and tenant == rules.SYSTEM:
        return
    if not rules.is_tenant(tenant, reserved_ok=False):
        raise CommandError(
            f"{tenant!r} is no tenant's name",
            "use 1 to 64 letters, digits or any of _ . : -, not beginning with _",
            code=MISUSED,
        )


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
    """Write the command; return the account once the lane has stepped it, and how long that took."""
    event = {
        "specversion": "1.0",
        "id": new_id(),
        "source": _SOURCE,
        "type": TENANT_SET,
        "tenantid": tenant,
        "datacontenttype": "application/json",
        "data": change,
    }
    headers: list[Header] = [(CONTENT_TYPE, b"application/cloudevents+json")]
    sent = await send_record(at, topics.COMMANDS, tenant, json.dumps(event).encode(), headers)
    began = time.monotonic()
    try:
        async with (
            asyncio.timeout(IN_FORCE_SECONDS_MAX),
            open_changelog(at.kafka, at.topics, at.lanes) as changelog,
        ):
            await _stepped(changelog, sent)
            account = await changelog.account(tenant, _default(at))
    except TimeoutError as error:
        raise CommandError(
            f"the command is written (lane {sent.lane}, offset {sent.offset}), "
            f"but was not in force within {IN_FORCE_SECONDS_MAX:g} s",
            "see whether a worker runs and what waits: `hopline topics`; the command need not be sent again",
        ) from error
    if account is None or not _matches(account.policy, change):
        raise CommandError("the command was refused", f"`hopline audit show {tenant}` says why")
    return account, time.monotonic() - began


async def _stepped(changelog: Changelog, sent: Sent) -> None:
    """Return when the lane has applied the command. The caller bounds the time."""
    while True:
        at = await changelog.position(sent.lane)
        if at is not None and at.applied.get(topics.COMMANDS, 0) > sent.offset:
            return
        await asyncio.sleep(POLL_SECONDS)


def _matches(policy: Policy, change: Mapping[str, Any]) -> bool:
    return all(getattr(policy, name) == value for name, value in change.items())


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
