"""Ask for a directive, and wait until it has ended or waits for its time."""

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any, Final

from processors.directives import intake, kinds
from processors.directives.definition import judged
from processors.directives.record import KEPT_MS, Directive, Status
from processors.vocabulary import envelope, rules, topics
from processors.vocabulary.reasons import Rejected
from processors.vocabulary.record import Header, PlainRecord
from processors.vocabulary.rules import SYSTEM
from processors.vocabulary.signal import CONTENT_TYPE
from streams.changelog import open_changelog
from streams.cli.access import Access
from streams.cli.errors import MISUSED, CommandError
from streams.cli.sending import new_id, send_record
from streams.clock import wall_ms
from streams.directives import directive_of

WAIT_SECONDS_MAX: Final = 15.0
POLL_SECONDS: Final = 0.1
SOURCE: Final = "/hopline/cli"
_HEADERS: Final[list[Header]] = [(CONTENT_TYPE, b"application/cloudevents+json")]


def require_name(tenant: str, *, system_ok: bool = False) -> None:
    """Refuse what cannot be a tenant."""
    if not rules.is_tenant(tenant, reserved_ok=False) and not (system_ok and tenant == SYSTEM):
        raise CommandError(
            f"{tenant!r} is no tenant's name",
            "use 1 to 64 letters, digits or any of _ . : -, not beginning with _",
            code=MISUSED,
        )


def require_payload(name: str, data: str) -> None:
    """Refuse at once what the pipeline would refuse later."""
    definition = kinds.BY_NAME.get(name)
    if definition is None:
        raise CommandError(f"there is no directive {name!r}", "`hopline directives kinds` lists them", code=MISUSED)
    _, problems = judged(definition, data.encode())
    if problems:
        wrong = "; ".join(f"{problem.field} {problem.message}" for problem in problems)
        raise CommandError(f"not sent: {wrong}", "`hopline directives kinds` lists what each takes", code=MISUSED)


async def ask(
    at: Access,
    tenant: str,
    name: str,
    data: str,
    key: str | None = None,
    extensions: Mapping[str, str | None] | None = None,
) -> Directive:
    """Send a directive; return it as state has it once it has ended, or waits for its time.

    Asked before under the same key, the answer is the one it got then. Raises `CommandError` if the key was used for
    another directive, or if no lane has met this one in time.
    """
    key = key or new_id()
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": new_id(),
        "source": SOURCE,
        "type": name,
        "tenantid": tenant,
        "datacontenttype": "application/json",
        intake.KEY: key,
        **{extension: text for extension, text in (extensions or {}).items() if text is not None},
        "data": json.loads(data),
    }
    value = json.dumps(event).encode()
    sent = await send_record(at, topics.COMMANDS, tenant, value, _HEADERS)
    until = time.monotonic() + WAIT_SECONDS_MAX
    met: Directive | None = None
    async with open_changelog(at.kafka, at.topics, at.lanes) as changelog:
        while time.monotonic() < until:
            found = await directive_of(changelog, tenant, key)
            if found is not None and (found.id == event["id"] or not _forgotten(found)):
                met = _same(found, value, event["id"])
                if met.status is not Status.RUNNING:
                    break
            await asyncio.sleep(POLL_SECONDS)
    if met is not None:
        return met
    raise CommandError(
        f"the directive is written (lane {sent.lane}, offset {sent.offset}), "
        f"but was not met within {WAIT_SECONDS_MAX:g} s",
        f"see whether a worker runs: `hopline topics`; later `hopline directives show {key} --tenant {tenant}`",
    )


def require_success(directive: Directive) -> None:
    """End the command if the directive has ended and did not succeed."""
    if directive.status not in {Status.SUCCEEDED, Status.REQUESTED, Status.RUNNING}:
        verb = "" if directive.status is Status.FAILED else "was "
        raise CommandError(
            f"the directive {verb}{directive.status.value}: {directive.error}", "mend that, and send it anew"
        )


def _forgotten(known: Directive) -> bool:
    """Return whether the lane takes the key for a new one, though it has not cleared the old one away yet."""
    return bool(known.finished_ms) and known.finished_ms + KEPT_MS <= wall_ms()


def _same(found: Directive, value: bytes, id_: str) -> Directive:
    if found.id == id_:
        return found
    signal = envelope.decode(PlainRecord(topics.COMMANDS, -1, -1, 0, None, value, _HEADERS), reserved_ok=True)
    if isinstance(signal, Rejected) or intake.asked_of(signal, 0).directive.fingerprint != found.fingerprint:
        raise CommandError(
            f"the key {found.key!r} was used for another directive ({found.name}), so that this one does nothing",
            "send it with another --key",
        )
    return found
