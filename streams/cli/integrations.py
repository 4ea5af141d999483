"""`hopline integrations`: what a tenant works with. Secrets are sealed here, before anything is sent."""

import json
import sys
from pathlib import Path
from typing import Any, Final

import click

from processors.directives.integrations import (
    NAME,
    SETTINGS_BYTES_MAX,
    Integration,
    integration_key,
    integrations_prefix,
    unpack_integration,
)
from processors.directives.kinds.integrations import INTEGRATION_DELETE, INTEGRATION_SET
from processors.vocabulary.partition import lane_of
from streams.changelog import open_changelog
from streams.cli.access import Access, access, run
from streams.cli.asking import ask, require_name
from streams.cli.directives import finish
from streams.cli.errors import MISUSED, CommandError
from streams.cli.output import json_option, moment, print_json, print_table
from streams.secrets import SealError, open_data_keys
from streams.secrets.sealing import SECRET_BYTES_MAX


@click.group()
def integrations() -> None:
    """Set what a tenant works with: public settings, and secrets that are sealed before they are sent."""


@integrations.command("set")
@click.argument("tenant")
@click.argument("name")
@click.option("--settings", "settings_text", metavar="JSON", help="Public settings: replace those that are there.")
@click.option("--secret", "asked", multiple=True, metavar="FIELD", help="A secret: asked for, or read from a pipe.")
@click.option(
    "--secret-file", "files", multiple=True, metavar="FIELD=PATH", help="A secret that stands in a file, whole."
)
@click.option("--remove", multiple=True, metavar="FIELD", help="A secret that is to go.")
@json_option
def set_(
    *,
    tenant: str,
    name: str,
    settings_text: str | None,
    asked: tuple[str, ...],
    files: tuple[str, ...],
    remove: tuple[str, ...],
    as_json: bool,
) -> None:
    """Set an integration. A secret is never an argument: others on this machine could read it there."""
    require_name(tenant)
    _require(name)
    settings = None if settings_text is None else _settings(settings_text)
    secrets = {**_typed(asked), **_from_files(files)}
    finish(run(_set(access(), tenant, name, settings, secrets, remove)), as_json=as_json)


@integrations.command("list")
@click.argument("tenant")
@json_option
def list_(*, tenant: str, as_json: bool) -> None:
    """List a tenant's integrations."""
    require_name(tenant)
    found = run(_all(access(), tenant))
    if as_json:
        print_json([one.shown() for one in found])
        return
    rows = [(one.name, len(one.settings), ", ".join(sorted(one.secrets)), moment(one.changed_ms)) for one in found]
    print_table(("INTEGRATION", "SETTINGS", "SECRETS", "CHANGED"), rows)


@integrations.command()
@click.argument("tenant")
@click.argument("name")
@json_option
def show(*, tenant: str, name: str, as_json: bool) -> None:
    """Show an integration; of a secret only since when it is there."""
    require_name(tenant)
    found = run(_one(access(), tenant, name))
    if found is None:
        raise CommandError(
            f"tenant {tenant!r} has no integration {name!r}", f"`hopline integrations list {tenant}` lists them"
        )
    if as_json:
        print_json(found.shown())
        return
    settings = [(key, json.dumps(value, ensure_ascii=False)) for key, value in sorted(found.settings.items())]
    secrets = [(field, f"sealed, set {moment(one.set_ms)}") for field, one in sorted(found.secrets.items())]
    print_table(("WHAT", "VALUE"), [*settings, *secrets, ("changed", moment(found.changed_ms))])


@integrations.command()
@click.argument("tenant")
@click.argument("name")
@json_option
def delete(*, tenant: str, name: str, as_json: bool) -> None:
    """Delete an integration with its secrets."""
    require_name(tenant)
    finish(run(ask(access(), tenant, INTEGRATION_DELETE, json.dumps({"name": name}))), as_json=as_json)


def _require(name: str) -> None:
    if not NAME.fullmatch(name):
        raise CommandError(
            "that is no name of an integration or a secret",
            "take small letters, digits, dots, dashes and underscores, at most 63, a letter or digit first",
            code=MISUSED,
        )


def _settings(text: str) -> dict[str, Any]:
    """Read settings; what is wrong with them is said without repeating them."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or len(text.encode()) > SETTINGS_BYTES_MAX:
        raise CommandError(
            f"--settings must be a JSON object of at most {SETTINGS_BYTES_MAX} bytes",
            "secrets do not belong there: name them with --secret",
            code=MISUSED,
        )
    return found


def _typed(fields: tuple[str, ...]) -> dict[str, bytes]:
    """Ask for secrets without showing them; from a pipe, one line each in their order."""
    found = {}
    for field in fields:
        _require(field)
        if sys.stdin.isatty():
            text = click.prompt(f"{field}", hide_input=True, confirmation_prompt=True, default="", show_default=False)
        else:
            text = sys.stdin.readline(SECRET_BYTES_MAX + 2).rstrip("\r\n")
        if not text:
            raise CommandError(f"no secret was given for {field}", "type it, or pipe it in", code=MISUSED)
        found[field] = text.encode()
    return found


def _from_files(pairs: tuple[str, ...]) -> dict[str, bytes]:
    found = {}
    for pair in pairs:
        field, _, path = pair.partition("=")
        _require(field)
        try:
            with Path(path).open("rb") as file:
                found[field] = file.read(SECRET_BYTES_MAX + 1)
        except OSError as error:
            raise CommandError(f"cannot read the secret {field} from {path}: {error.strerror}", code=MISUSED) from error
    return found


async def _set(
    at: Access, tenant: str, name: str, settings: dict[str, Any] | None, secrets: dict[str, bytes], remove: Any
) -> Any:
    sealed: dict[str, str] = {}
    if secrets:
        async with open_data_keys(at.settings, at.kafka) as keys:
            try:
                sealed = await keys.seal(tenant, name, secrets)
            except SealError as error:
                raise CommandError(f"not sent: {error}", _UNWRAP) from error
    data: dict[str, Any] = {"name": name, "secrets": sealed, "remove": list(remove)}
    if settings is not None:
        data["settings"] = settings
    return await ask(at, tenant, INTEGRATION_SET, json.dumps(data))


_UNWRAP: Final = "is secret_key the one that the others use? docs/runbooks/secrets.md says what to do if it is lost"


async def _all(at: Access, tenant: str) -> list[Integration]:
    begin = integrations_prefix(tenant)
    async with open_changelog(at.kafka, at.topics, at.lanes) as changelog:
        found = await changelog.fold(lane_of(tenant.encode(), at.lanes), lambda key: key.startswith(begin))
    return [unpack_integration(found[key]) for key in sorted(found)]


async def _one(at: Access, tenant: str, name: str) -> Integration | None:
    key = integration_key(tenant, name)
    async with open_changelog(at.kafka, at.topics, at.lanes) as changelog:
        packed = (await changelog.newest(lane_of(tenant.encode(), at.lanes), (key,))).get(key)
    return None if packed is None else unpack_integration(packed)
