"""`hopline schema`: what Hopline takes and tells, as JSON Schema; and what tenants have registered."""

from typing import Any

import click
import msgspec

from processors.ingest import types
from processors.validation.schemas import catalogue
from processors.vocabulary.partition import lane_of
from streams.changelog import open_changelog
from streams.cli.access import Access, access, run
from streams.cli.asking import require_name
from streams.cli.errors import MISUSED, CommandError
from streams.cli.output import json_option, print_json, print_table


@click.command()
@click.argument("name", required=False)
@click.option("--tenant", help="The types that this tenant has registered, instead of Hopline's own.")
@json_option
def schema(*, name: str | None, tenant: str | None, as_json: bool) -> None:
    """List the schemas, or print the one of NAME: the event's envelope, a directive's data, a signal's data."""
    found = _own() if tenant is None else _registered(tenant)
    if name is not None:
        if name not in found:
            raise CommandError(f"there is no schema {name!r}", "`hopline schema` lists them", code=MISUSED)
        print_json(found[name]["schema"])
        return
    heads = [{key: value for key, value in one.items() if key != "schema"} for one in found.values()]
    if as_json:
        print_json(heads)
    elif heads:
        print_table([key.upper().replace("_", " ") for key in heads[0]], [list(head.values()) for head in heads])


def _own() -> dict[str, dict[str, Any]]:
    return {
        name: {"name": name, "kind": one.kind, "version": one.version, "summary": one.summary, "schema": one.schema}
        for name, one in catalogue().items()
    }


def _registered(tenant: str) -> dict[str, dict[str, Any]]:
    require_name(tenant)
    kinds, used = run(_read(access(), tenant))
    return {
        kind.name: {**msgspec.structs.asdict(kind), "deprecated_signals": used.get(kind.name, 0)}
        for kind in sorted(kinds, key=lambda kind: kind.name)
    }


async def _read(at: Access, tenant: str) -> tuple[list[types.RegisteredType], dict[str, int]]:
    begin, used = types.prefix(tenant), types.used_key(tenant, "")
    async with open_changelog(at.kafka, at.topics, at.lanes) as changelog:
        lane = lane_of(tenant.encode(), at.lanes)
        found = await changelog.fold(lane, lambda key: key.startswith((begin, used)))
    kinds = [types.unpack(value) for key, value in found.items() if key.startswith(begin)]
    counts = {key[len(used) :].decode(): types.uses(value) for key, value in found.items() if key.startswith(used)}
    return kinds, counts
