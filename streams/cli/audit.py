"""`hopline audit`: who changed what of a tenant and when; and proof that nobody has changed the audit."""

import sys
from typing import Any

import click
import msgspec

from processors.directives import audit as chain
from processors.vocabulary.partition import lane_of
from streams.changelog import open_changelog
from streams.cli.access import Access, access, run
from streams.cli.asking import require_name
from streams.cli.errors import FAILED, CommandError
from streams.cli.output import json_option, moment, print_json, print_table
from streams.directives import Chain, chains, lines_of


@click.group()
def audit() -> None:
    """Show who changed what, and prove it."""


@audit.command()
@click.argument("tenant")
@json_option
def show(*, tenant: str, as_json: bool) -> None:
    """Show a tenant's audit, the oldest entry first."""
    require_name(tenant)
    try:
        entries = [chain.read(line) for line in run(_lines(access(), tenant))]
    except msgspec.DecodeError as error:
        raise CommandError(
            f"a line of this audit cannot be read: {error}", "`hopline audit verify` says which; somebody changed it"
        ) from error
    if as_json:
        print_json([msgspec.to_builtins(entry) for entry in entries])
        return
    print_table(
        ("NO", "TIME", "WHO", "DIRECTIVE", "OUTCOME", "WHAT CHANGED", "ERROR"),
        [
            (e.sequence, moment(e.at_ms), e.requester, e.directive, e.outcome.value, _changed(e), e.error)
            for e in entries
        ],
    )


@audit.command()
@json_option
def verify(*, as_json: bool) -> None:
    """Check every tenant's chain against itself and against state. Exit code 1 if one is broken."""
    found = run(_chains(access()))
    broken = [each for each in found if each.problems]
    if as_json:
        print_json({"tenants": len(found), "entries": sum(each.entries for each in found), "broken": _listed(broken)})
    else:
        for each in broken:
            for problem in each.problems:
                click.echo(f"{each.tenant}: {problem}")
        click.echo(f"{len(found)} tenants, {sum(each.entries for each in found)} entries, {len(broken)} chains broken")
    if broken:
        sys.exit(FAILED)


def _listed(broken: list[Chain]) -> dict[str, list[str]]:
    return {each.tenant: list(each.problems) for each in broken}


def _changed(entry: chain.Entry) -> str:
    """Return what is different after it, in a few words."""
    before: dict[str, Any] = entry.before if isinstance(entry.before, dict) else {}
    after: dict[str, Any] = entry.after if isinstance(entry.after, dict) else {}
    changed = {name: value for name, value in after.items() if before.get(name) != value}
    return ", ".join(f"{name} {before.get(name, '–')} → {value}" for name, value in changed.items())


async def _lines(at: Access, tenant: str) -> list[bytes]:
    async with open_changelog(at.kafka, at.topics, at.lanes) as changelog:
        return (await lines_of(changelog, at.topics, lane_of(tenant.encode(), at.lanes))).get(tenant, [])


async def _chains(at: Access) -> list[Chain]:
    async with open_changelog(at.kafka, at.topics, at.lanes) as changelog:
        return [each for lane in range(at.lanes) for each in await chains(changelog, at.topics, lane)]
