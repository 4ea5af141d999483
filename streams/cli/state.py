"""`hopline state`: a tenant's state, written down at one place in its order; and begun anew."""

import json
from typing import Any

import click

from processors.directives.export import Part, read_part
from processors.directives.kinds.state import STATE_CLEAR, STATE_EXPORT
from processors.directives.record import Directive, Status
from processors.vocabulary import topics as names
from processors.vocabulary.partition import lane_of
from streams.changelog import open_changelog, records_of
from streams.cli.access import Access, access, run
from streams.cli.asking import ask, require_name
from streams.cli.directives import finish
from streams.cli.errors import CommandError
from streams.cli.output import json_option, moment, print_json


@click.group()
def state() -> None:
    """Write a tenant's state down, or begin it anew."""


@state.command()
@click.argument("tenant")
def export(*, tenant: str) -> None:
    """Print a tenant's state as one JSON document: all of it, at one place in the tenant's order."""
    require_name(tenant)
    ended, parts = run(_export(access(), tenant))
    if ended.status is not Status.SUCCEEDED:
        finish(ended, as_json=False)
    first = parts[0]
    print_json(
        {
            "tenant": tenant,
            "at": moment(first.at_ms),
            "commit": first.sequence,
            "digest": first.digest,
            "values": [json.loads(bytes(value)) for part in parts for value in part.values],
        }
    )


@state.command()
@click.argument("tenant")
@click.option("--hop", "hops", multiple=True, help="At this hop only (ingest, directives); all, if none is named.")
@click.option("--policy", is_flag=True, help="Put the policy back to the default, too.")
@click.confirmation_option(prompt="Counters, seen ids and answers are gone after that. Go on?")
@json_option
def clear(*, tenant: str, hops: tuple[str, ...], policy: bool, as_json: bool) -> None:
    """Begin a tenant's state anew: counters, seen ids, and the answers under idempotency keys."""
    require_name(tenant)
    data: dict[str, Any] = {"hops": list(hops), "policy": policy}
    finish(run(ask(access(), tenant, STATE_CLEAR, json.dumps(data))), as_json=as_json)


async def _export(at: Access, tenant: str) -> tuple[Directive, list[Part]]:
    ended = await ask(at, tenant, STATE_EXPORT, "{}")
    if ended.status is not Status.SUCCEEDED:
        return ended, []
    lane = lane_of(tenant.encode(), at.lanes)
    async with open_changelog(at.kafka, at.topics, at.lanes) as changelog:
        records = await records_of(changelog, at.topics, names.EXPORTS, lane)
    mine = [read_part(record.value) for record in records if record.key == tenant.encode()]
    parts = [part for part in mine if part.at_ms == ended.finished_ms]
    if not parts or len(parts) < parts[-1].parts:
        raise CommandError("the export is not there (any more)", "ask again; exports are kept for a day")
    # Two may stand at the same millisecond: the last one is whole.
    return ended, parts[-parts[-1].parts :]
