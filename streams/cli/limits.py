"""`hopline limits`: what the gateways and the tenants may take in, and how much of it is used."""

import json
from typing import Any, Final

import click

from processors.admission import Channel, Table, Tier
from processors.admission.table import PREFIX
from processors.directives.kinds.gateway_limits import NAME
from processors.directives.record import Status
from processors.ingest.tenant import Account
from processors.vocabulary import topics as names
from processors.vocabulary.rules import SYSTEM
from streams import cluster
from streams.changelog import newest_everywhere, open_changelog
from streams.cli.access import Access, access, run
from streams.cli.asking import ask
from streams.cli.directives import finish
from streams.cli.errors import CommandError
from streams.cli.output import json_option, print_json, print_table
from streams.clock import wall_ms

REQUEST_SECONDS_MAX: Final = 5.0
_GATEWAY: Final = ("CHANNEL", "TIER", "RATE/S", "BURST", "SET")
_TENANTS: Final = ("TENANT", "RATE/S", "BURST", "LEFT", "OVER", "QUEUED")
_USE: Final = ("CALLER", "CHANNEL", "LEFT", "OF")


@click.group(invoke_without_command=True)
@click.option("--gateway", help="Whose buckets to show. Default: the running one's.", metavar="URL")
@json_option
@click.pass_context
def limits(context: click.Context, *, gateway: str | None, as_json: bool) -> None:
    """Show limits in force and their use: of the gateways by channel and tier, of tenants in their lanes."""
    if context.invoked_subcommand is not None:
        return
    found = run(_limits(access(), gateway))
    if as_json:
        print_json(found)
        return
    rows = [
        (row["channel"], row["tier"], f"{row['rate_per_second']:g}", row["burst"], "yes" if row["set"] else "")
        for row in found["gateways"]
    ]
    print_table(_GATEWAY, rows)
    if found["use"]:
        click.echo()
        print_table(_USE, [(row["caller"], row["channel"], row["remaining"], row["burst"]) for row in found["use"]])
    if found["tenants"]:
        click.echo()
        print_table(_TENANTS, [tuple(row.values()) for row in found["tenants"]])


@limits.command("set")
@click.argument("channel", type=click.Choice([channel.value for channel in Channel]))
@click.argument("tier", type=click.Choice([tier.value for tier in Tier if tier is not Tier.UNLIMITED]))
@click.option("--rate", type=float, required=True, help="Events or requests a second.")
@click.option("--burst", type=int, required=True, help="How many at once after a rest.")
@json_option
def set_(*, channel: str, tier: str, rate: float, burst: int, as_json: bool) -> None:
    """Set how much callers of a tier may do on a channel, at all gateways. In force within a second or so."""
    wanted = {"channel": channel, "tier": tier, "rate_per_second": rate, "burst": burst}
    directive = run(ask(access(), SYSTEM, NAME, json.dumps(wanted)))
    finish(directive, as_json=as_json)
    if directive.status is Status.REQUESTED:
        raise CommandError("the directive waits", "see `hopline directives`")


async def _limits(at: Access, gateway: str | None) -> dict[str, Any]:
    table = Table()
    for name, value in (await newest_everywhere(at.kafka, at.topics, at.lanes, names.ACCESS)).items():
        if (key := name.decode(errors="replace")).startswith(PREFIX):
            table.set(key, value)
    now_ms = wall_ms()
    tenants = []
    async with open_changelog(at.kafka, at.topics, at.lanes) as changelog:
        for lane in range(at.lanes):
            accounts = await changelog.accounts(lane, at.settings.ingest().policy)
            tenants += [
                _tenant(tenant, account, now_ms)
                for tenant, account in accounts.items()
                if account.policy.rate_per_second
            ]
    return {
        "topic": at.topics.physical(names.ACCESS),
        "gateways": [
            {
                "channel": channel,
                "tier": tier,
                "rate_per_second": limit.rate_per_second,
                "burst": limit.burst,
                "set": own,
            }
            for channel, tier, limit, own in table.rows()
        ],
        "use": await _use(at, gateway),
        "tenants": sorted(tenants, key=lambda row: str(row["tenant"])),
    }


def _tenant(tenant: str, account: Account, now_ms: int) -> dict[str, Any]:
    policy = account.policy
    grown = max(0, now_ms - account.refilled_ms) * policy.rate_per_second / 1_000
    return {
        "tenant": tenant,
        "rate_per_second": policy.rate_per_second,
        "burst": policy.burst,
        "remaining": int(min(policy.burst, account.micro_tokens / 1_000_000 + grown)),
        "over": policy.over.value,
        "queued": account.queued,
    }


async def _use(at: Access, gateway: str | None) -> list[dict[str, Any]]:
    """Return the buckets of a gateway; nothing if none is running here."""
    running = cluster.read(at.settings)
    url = gateway or (running.gateway_url if running else "")
    if not url:
        return []
    import aiohttp  # noqa: PLC0415  # takes half of the start-up time

    timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS_MAX)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.get(f"{url.rstrip('/')}/v1/limits") as answer,
        ):
            answer.raise_for_status()
            use: list[dict[str, Any]] = (await answer.json())["use"]
            return use
    except (TimeoutError, aiohttp.ClientError, ValueError, KeyError) as error:
        if gateway is None:
            return []
        raise CommandError(
            f"the gateway at {url} does not tell its limits: {type(error).__name__}", "see whether it runs"
        ) from error
