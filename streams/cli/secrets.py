"""`hopline secrets`: the data keys that tenants' secrets are sealed with: list, renew, destroy, wrap anew."""

import asyncio
import json
from pathlib import Path
from typing import Final

import click
from pydantic import SecretStr

from processors.directives.kinds.integrations import SECRETS_ERASE
from processors.directives.record import Status
from streams import secret
from streams.cli.access import Access, access, run
from streams.cli.asking import ask, require_name
from streams.cli.directives import finish
from streams.cli.errors import MISUSED, CommandError
from streams.cli.output import json_option, moment, print_json, print_table
from streams.secrets import DataKeys, SealError, open_data_keys
from streams.secrets.datakeys import PURPOSE
from streams.topics import SOON_GONE

_ROLL_SECONDS: Final = int(SOON_GONE["segment.ms"]) / 1_000 + 0.5
_FILE_BYTES_MAX: Final = 4_096


@click.group()
def secrets() -> None:
    """Keep the keys of tenants' secrets: list, renew, destroy, wrap anew."""


@secrets.command()
@click.argument("tenant")
@json_option
def keys(*, tenant: str, as_json: bool) -> None:
    """List a tenant's data keys; the last one seals what is set from now on."""
    require_name(tenant)
    found = run(_keys(access(), tenant))
    if as_json:
        print_json([{"id": one_id, "created": moment(created_ms)} for one_id, created_ms in found])
    else:
        print_table(("DATA KEY", "CREATED"), [(one_id, moment(created_ms)) for one_id, created_ms in found])


@secrets.command()
@click.argument("tenant")
def renew(*, tenant: str) -> None:
    """Make a new data key: what is set from now on is sealed with it, what is there opens with the old one."""
    require_name(tenant)
    click.echo(f"data key {run(_renew(access(), tenant))}")


@secrets.command()
@click.argument("tenant")
@click.option("--reason", default="", help="Why, for who reads the audit.")
@click.confirmation_option(prompt="Nothing opens this tenant's secrets after that. Go on?")
@json_option
def destroy(*, tenant: str, reason: str, as_json: bool) -> None:
    """Take a tenant's secrets out of its state and destroy its data keys: no copy of them opens any more."""
    require_name(tenant)
    at = access()
    ended = run(ask(at, tenant, SECRETS_ERASE, json.dumps({"reason": reason})))
    if ended.status is not Status.SUCCEEDED:
        finish(ended, as_json=as_json)
    count = run(_destroy(at, tenant))
    if as_json:
        print_json({"tenant": tenant, "destroyed": count})
    else:
        click.echo(f"{count} data keys of {tenant} destroyed; Kafka's cleaner takes them off the disks")


@secrets.command()
@click.option("--old-secret-file", required=True, metavar="PATH", help="Where the secret stands that was in force.")
@json_option
def rewrap(*, old_secret_file: str, as_json: bool) -> None:
    """Wrap all data keys by the secret now in force that were wrapped by an old one. Can be run again."""
    at = access()
    try:
        with Path(old_secret_file).open("rb") as file:
            old = SecretStr(file.read(_FILE_BYTES_MAX).decode().strip())
    except (OSError, ValueError) as error:
        raise CommandError("cannot read the old secret's file", "is it there, and text?", code=MISUSED) from error
    before = at.settings.model_copy(update={"secret_key": old, "secret_key_file": ""})
    count = run(_rewrap(at, secret.derived(before, PURPOSE)))
    if as_json:
        print_json({"rewrapped": count})
    else:
        click.echo(f"{count} data keys wrapped anew")


async def _keys(at: Access, tenant: str) -> list[tuple[str, int]]:
    async with open_data_keys(at.settings, at.kafka) as found:
        return [(one.id, one.created_ms) for one in await found.of(tenant)]


async def _renew(at: Access, tenant: str) -> str:
    async with open_data_keys(at.settings, at.kafka) as found:
        return (await found.create(tenant)).id


async def _destroy(at: Access, tenant: str) -> int:
    async with open_data_keys(at.settings, at.kafka) as found:
        count = await found.destroy(tenant)
        await _sweep(found)
        return count


async def _rewrap(at: Access, old_master: bytes) -> int:
    async with open_data_keys(at.settings, at.kafka) as found:
        try:
            count = await found.rewrap(old_master)
        except SealError as error:
            raise CommandError(
                "a data key opens with neither secret; nothing was changed",
                "see docs/runbooks/secrets.md: a secret in between, or a lost one",
            ) from error
        await _sweep(found)
        return count


async def _sweep(found: DataKeys) -> None:
    """Close the segments that hold what is to go; a segment must be a second old for that."""
    await asyncio.sleep(_ROLL_SECONDS)
    await found.sweep()
