"""`hopline send`: one signal, over Kafka or over the gateway."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from processors.validation import decode, in_words
from processors.vocabulary import topics
from processors.vocabulary.reasons import EXPLAINED, Rejected
from processors.vocabulary.record import Header, PlainRecord
from processors.vocabulary.signal import CONTENT_TYPE
from streams.cli.access import access, run
from streams.cli.errors import FAILED, MISUSED, CommandError
from streams.cli.output import json_option, print_json
from streams.cli.sending import new_id, send_record

STRUCTURED: Final = "application/cloudevents+json"
REQUEST_SECONDS_MAX: Final = 15.0
_ACCEPTED: Final = 202


@click.command()
@click.option("--tenant", required=True, help="Whose signal it is.")
@click.option("--type", "kind", required=True, help="What happened, such as com.example.order.placed.")
@click.option("--source", default="/hopline/cli", show_default=True, help="Who says so: a URI-reference.")
@click.option("--id", "event_id", default=None, help="The event's id; one of our own by default.")
@click.option("--subject", default=None, help="What it is about.")
@click.option("--time", "moment", default=None, help="When it happened (RFC 3339).")
@click.option("--priority", default=None, help="low, normal, high or critical.")
@click.option("--extension", "extensions", multiple=True, metavar="NAME=VALUE", help="Another attribute; repeatable.")
@click.option("--data", default=None, help="The data: JSON, or else a text.")
@click.option(
    "--file", "path", type=click.Path(path_type=Path), default=None, help="Read the data from it; - is stdin."
)
@click.option("--gateway", default=None, metavar="URL", help="Send over HTTP instead of straight to Kafka.")
@json_option
def send(  # noqa: PLR0917  # click passes them by name
    tenant: str,
    kind: str,
    source: str,
    event_id: str | None,
    subject: str | None,
    moment: str | None,
    priority: str | None,
    extensions: tuple[str, ...],
    data: str | None,
    path: Path | None,
    gateway: str | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Send one signal, and print its id and where it stands in the log."""
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": event_id or new_id(),
        "source": source,
        "type": kind,
        "tenantid": tenant,
    }
    optional = {"subject": subject, "time": moment, "priority": priority, **_extensions(extensions)}
    event.update({name: value for name, value in optional.items() if value is not None})
    event.update(_data(data, path))
    value = json.dumps(event, ensure_ascii=False).encode()
    found = run(_post(gateway, value)) if gateway else run(_direct(tenant, event["id"], value))
    if as_json:
        print_json(found)
    else:
        click.echo(f"{found['id']}  tenant {found['tenant']}  lane {found['lane']}  offset {found['offset']}")


def _extensions(given: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not separator:
            raise CommandError(f"--extension {text!r} has no value", "write it as NAME=VALUE", code=MISUSED)
        found[name] = value
    return found


def _data(text: str | None, path: Path | None) -> dict[str, Any]:
    """Return the members that carry the data; what is no JSON is a text."""
    if text is not None and path is not None:
        raise CommandError("--data and --file were both given", "give one of them", code=MISUSED)
    if path is not None:
        try:
            text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(
                f"{path} cannot be read: {error}", "give a file with UTF-8 text", code=MISUSED
            ) from error
    if text is None:
        return {}
    try:
        return {"datacontenttype": "application/json", "data": json.loads(text)}
    except ValueError:
        return {"datacontenttype": "text/plain", "data": text}


async def _direct(tenant: str, event_id: str, value: bytes) -> Mapping[str, Any]:
    headers: list[Header] = [(CONTENT_TYPE, STRUCTURED.encode())]
    judged = decode(PlainRecord(topics.SIGNALS_IN, -1, -1, 0, tenant.encode(), value, headers))
    if isinstance(judged, Rejected):
        wrong = in_words(judged.problems)
        remedy = "mend what is named, and send it again" if wrong else EXPLAINED[judged.reason]
        raise CommandError(f"not sent: {wrong or judged.reason}", remedy, code=MISUSED)
    sent = await send_record(access(), topics.SIGNALS_IN, tenant, value, headers)
    return {"id": event_id, "tenant": tenant, "topic": sent.topic, "lane": sent.lane, "offset": sent.offset}


async def _post(gateway: str, value: bytes) -> Mapping[str, Any]:
    import aiohttp  # noqa: PLC0415  # takes half of the start-up time, and Kafka needs none of it

    timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS_MAX)
    url = f"{gateway.rstrip('/')}/v1/signals"
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.post(url, data=value, headers={"Content-Type": STRUCTURED}) as answer,
        ):
            status, said = answer.status, await answer.read()
    except (TimeoutError, aiohttp.ClientError, ValueError) as error:
        raise CommandError(
            f"the gateway at {gateway} cannot be reached: {type(error).__name__}",
            "see whether it runs: `hopline gateway`",
        ) from error
    try:
        found: dict[str, Any] = json.loads(said)
    except ValueError as error:
        raise CommandError(f"{url} answered {status}, and not as a gateway does", "check the address") from error
    if status != _ACCEPTED:
        problems = "; ".join(f"{p.get('field')} {p.get('message')}" for p in found.get("problems", ()))
        code = MISUSED if status < 500 else FAILED  # noqa: PLR2004  # HTTP's border between our fault and theirs
        remedy = "mend what is named, and send it again" if problems else str(found.get("detail"))
        raise CommandError(f"the gateway answered {status}: {problems or found.get('title')}", remedy, code=code)
    return found
