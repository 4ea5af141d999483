"""`hopline directives`: change a tenant while the pipeline runs; see what was asked and what came of it."""

import asyncio
import json
import time
from typing import Any, Final

import click
import msgspec

from processors.directives import intake, kinds
from processors.directives.definition import judged
from processors.directives.kinds.cancel import CANCEL
from processors.directives.record import Directive, Status
from processors.validation import in_words
from processors.vocabulary import topics
from processors.vocabulary.record import Header
from processors.vocabulary.signal import CONTENT_TYPE
from processors.vocabulary.timestamps import is_time
from streams.changelog import open_changelog
from streams.cli.access import Access, access, run
from streams.cli.errors import MISUSED, CommandError
from streams.cli.output import json_option, moment, print_json, print_table
from streams.cli.sending import new_id, send_record
from streams.cli.tenants import require_name
from streams.directives import directive_of, directives_of

WAIT_SECONDS_MAX: Final = 15.0
POLL_SECONDS: Final = 0.1
_SOURCE: Final = "/hopline/cli"
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
    require_name(tenant, system_ok=True)
    _judge(name, data, {"--not-before": not_before, "--expires": expires})
    extensions = {intake.NOT_BEFORE: not_before, intake.EXPIRES: expires}
    finish(run(send_directive(access(), tenant, name, data, key or new_id(), extensions)), as_json=as_json)


@directives.command()
@click.argument("key")
@click.option("--tenant", required=True, help="Whose.")
@json_option
def cancel(*, key: str, tenant: str, as_json: bool) -> None:
    """Take back a directive that waits for its time."""
    require_name(tenant, system_ok=True)
    finish(run(send_directive(access(), tenant, CANCEL, json.dumps({"key": key}), new_id(), {})), as_json=as_json)


@directives.command()
@click.argument("key")
@click.option("--tenant", required=True, help="Whose.")
@json_option
def show(*, key: str, tenant: str, as_json: bool) -> None:
    """Show one directive: where it stands, and why."""
    require_name(tenant, system_ok=True)
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
    require_name(tenant, system_ok=True)
    found = run(_all(access(), tenant))
    if as_json:
        print_json([_shown(directive) for directive in found])
        return
    rows = [
        (d.key, d.name, d.status.value, moment(d.requested_ms), moment(d.due_ms), moment(d.finished_ms), d.error)
        for d in found
    ]
    print_table(_LIST, rows)


def _judge(name: str, data: str, times: dict[str, str | None]) -> None:
    """Refuse at once what the pipeline would refuse later."""
    definition = kinds.BY_NAME.get(name)
    if definition is None:
        raise CommandError(f"there is no directive {name!r}", "`hopline directives kinds` lists them", code=MISUSED)
    _, problems = judged(definition, data.encode())
    if problems:
        raise CommandError(
            f"not sent: {in_words(problems)}", "`hopline directives kinds` lists what each takes", code=MISUSED
        )
    for option, text in times.items():
        if text is not None and not is_time(text):
            raise CommandError(f"{option} {text!r} is no time", "write it as 2026-11-21T10:00:00Z", code=MISUSED)


async def send_directive(
    at: Access, tenant: str, name: str, data: str, key: str, extensions: dict[str, str | None]
) -> Directive:
    """Ask for a directive, and wait until it has been met."""
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": new_id(),
        "source": _SOURCE,
        "type": name,
        "tenantid": tenant,
        "datacontenttype": "application/json",
        intake.KEY: key,
        **{extension: text for extension, text in extensions.items() if text is not None},
        "data": json.loads(data),
    }
    headers: list[Header] = [(CONTENT_TYPE, b"application/cloudevents+json")]
    sent = await send_record(at, topics.COMMANDS, tenant, json.dumps(event).encode(), headers)
    until = time.monotonic() + WAIT_SECONDS_MAX
    async with open_changelog(at.kafka, at.topics, at.lanes) as changelog:
        while time.monotonic() < until:
            found = await directive_of(changelog, tenant, key)
            if found is not None:
                return found
            await asyncio.sleep(POLL_SECONDS)
    raise CommandError(
        f"the directive is written (lane {sent.lane}, offset {sent.offset}), "
        f"but was not met within {WAIT_SECONDS_MAX:g} s",
        f"see whether a worker runs: `hopline topics`; later `hopline directives show {key} --tenant {tenant}`",
    )


async def _one(at: Access, tenant: str, key: str) -> Directive | None:
    async with open_changelog(at.kafka, at.topics, at.lanes) as changelog:
        return await directive_of(changelog, tenant, key)


async def _all(at: Access, tenant: str) -> list[Directive]:
    async with open_changelog(at.kafka, at.topics, at.lanes) as changelog:
        return await directives_of(changelog, tenant)


def finish(directive: Directive, *, as_json: bool) -> None:
    """Show how a directive ended. Raises `CommandError` if it did not succeed."""
    _print(directive, as_json=as_json)
    if directive.status not in {Status.SUCCEEDED, Status.REQUESTED}:
        raise CommandError(f"the directive {directive.status.value}: {directive.error}", "mend that, and send it anew")


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
