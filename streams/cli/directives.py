"""`hopline directives`: change a tenant while the pipeline runs; see what was asked and what came of it."""

import json
from typing import Any, Final

import click
import msgspec

from processors.directives import intake, kinds
from processors.directives.kinds.cancel import CANCEL
from processors.directives.record import Directive
from processors.vocabulary.timestamps import is_time
from streams.changelog import open_changelog
from streams.cli.access import Access, access, run
from streams.cli.asking import ask, require_name, require_payload, require_success
from streams.cli.errors import MISUSED, CommandError
from streams.cli.output import json_option, moment, print_json, print_table
from streams.directives import directive_of, directives_of

_LIST: Final = ("KEY", "DIRECTIVE", "STATUS", "REQUESTED", "DUE", "FINISHED", "ERROR")


@click.group()
def directives() -> None:
    """Change a tenant while the pipeline runs, audited."""


@directives.command("kinds")
@json_option
def kinds_(*, as_json: bool) -> None:
    """List what can be asked for."""
    found = [
        {
            "directive": definition.name,
            "what": definition.summary,
            "permission": definition.permission,
            "data": [field.name for field in msgspec.structs.fields(definition.payload)],
        }
        for definition in kinds.ALL
    ]
    if as_json:
        print_json(found)
    else:
        rows = [(row["directive"], row["what"], row["permission"], ", ".join(row["data"]) or "–") for row in found]
        print_table(("DIRECTIVE", "WHAT IT DOES", "PERMISSION", "DATA"), rows)


@directives.command()
@click.argument("name")
@click.option("--tenant", required=True, help="Whose.")
@click.option("--data", default="{}", help="The payload, as JSON.")
@click.option("--key", help="Idempotency key: sent again with the same one, it does nothing. Default: a new one.")
@click.option("--not-before", metavar="TIME", help="RFC 3339: carry it out then, not now.")
@click.option("--expires", metavar="TIME", help="RFC 3339: not after that.")
@json_option
def send(
    *, name: str, tenant: str, data: str, key: str | None, not_before: str | None, expires: str | None, as_json: bool
) -> None:
    """Ask for a directive, and wait until it has ended or waits for its time. Exit code 1 if it did not succeed."""
    require_name(tenant)
    require_payload(name, data)
    _require_times({"--not-before": not_before, "--expires": expires})
    extensions = {intake.NOT_BEFORE: not_before, intake.EXPIRES: expires}
    _finish(run(ask(access(), tenant, name, data, key, extensions)), as_json=as_json)


@directives.command()
@click.argument("key")
@click.option("--tenant", required=True, help="Whose.")
@json_option
def cancel(*, key: str, tenant: str, as_json: bool) -> None:
    """Take back a directive that waits for its time."""
    require_name(tenant)
    _finish(run(ask(access(), tenant, CANCEL, json.dumps({"key": key}))), as_json=as_json)


@directives.command()
@click.argument("key")
@click.option("--tenant", required=True, help="Whose.")
@json_option
def show(*, key: str, tenant: str, as_json: bool) -> None:
    """Show one directive: where it stands, and why."""
    require_name(tenant)
    found = run(_one(access(), tenant, key))
    if found is None:
        raise CommandError(
            f"tenant {tenant!r} has no directive {key!r}, or it ended more than a week ago",
            f"`hopline directives list --tenant {tenant}` lists them; `hopline audit show {tenant}` has older ones",
        )
    _print(found, as_json=as_json)


@directives.command("list")
@click.option("--tenant", required=True, help="Whose.")
@json_option
def list_(*, tenant: str, as_json: bool) -> None:
    """List a tenant's directives of the last week, the newest first."""
    require_name(tenant)
    found = run(_all(access(), tenant))
    if as_json:
        print_json([_shown(directive) for directive in found])
        return
    rows = [
        (d.key, d.name, d.status.value, moment(d.requested_ms), moment(d.due_ms), moment(d.finished_ms), d.error)
        for d in found
    ]
    print_table(_LIST, rows)


def _require_times(times: dict[str, str | None]) -> None:
    for option, text in times.items():
        if text is not None and not is_time(text):
            raise CommandError(f"{option} {text!r} is no time", "write it as 2026-11-21T10:00:00Z", code=MISUSED)


async def _one(at: Access, tenant: str, key: str) -> Directive | None:
    async with open_changelog(at.kafka, at.topics, at.lanes) as changelog:
        return await directive_of(changelog, tenant, key)


async def _all(at: Access, tenant: str) -> list[Directive]:
    async with open_changelog(at.kafka, at.topics, at.lanes) as changelog:
        return await directives_of(changelog, tenant)


def _finish(directive: Directive, *, as_json: bool) -> None:
    _print(directive, as_json=as_json)
    require_success(directive)


def _print(directive: Directive, *, as_json: bool) -> None:
    if as_json:
        print_json(_shown(directive))
    else:
        print_table(("WHAT", "VALUE"), list(_shown(directive).items()))


def _shown(directive: Directive) -> dict[str, Any]:
    return {
        "key": directive.key,
        "directive": directive.name,
        "status": directive.status.value,
        "requester": directive.requester,
        "attempts": directive.attempts,
        "requested": moment(directive.requested_ms),
        "due": moment(directive.due_ms),
        "expires": moment(directive.expires_ms),
        "finished": moment(directive.finished_ms),
        "error": directive.error,
    }
