"""`hopline telemetry`: what is told about the work, and what handlers make of it."""

import time
from typing import Any, Final

import click
from aiokafka.structs import TopicPartition

from processors.telemetry.reference import EVENTS_TABLE, METRICS_TABLE, page
from processors.vocabulary import topics as names
from streams.admin import require_topics
from streams.changelog import committed_consumer, read_range
from streams.cli.access import Access, access, loaded, run
from streams.cli.errors import MISUSED, CommandError
from streams.cli.moments import moment_or_ago_ms
from streams.cli.output import json_option, print_json, print_table
from streams.handlers import Handlers, gathered
from streams.topics import TOPICS

_SINCE: Final = "1h"


@click.group()
def telemetry() -> None:
    """Show what is told about the work, and run handlers over it again."""


@telemetry.command()
@json_option
@click.option("--page", "as_page", is_flag=True, help="Print the reference page of the docs.")
def catalogue(*, as_json: bool, as_page: bool) -> None:
    """List all events and metrics that there are."""
    if as_page:
        click.echo(page(), nl=False)
    elif as_json:
        print_json({"events": [dict(row) for row in EVENTS_TABLE], "metrics": [dict(row) for row in METRICS_TABLE]})
    else:
        for table in (EVENTS_TABLE, METRICS_TABLE):
            print_table([head.upper() for head in table[0]], [list(row.values()) for row in table])
            click.echo()


@telemetry.command()
@click.option("--since", default=_SINCE, show_default=True, help="From when on: RFC 3339, or such as 15m, 2h, 3d ago.")
@click.option("--handler", default=None, help="This one only.")
@json_option
def replay(*, since: str, handler: str | None, as_json: bool) -> None:
    """Give the topic's events to the handlers, from their beginning, and print what they find.

    Nothing is changed by it: the handlers that the watch runs know nothing of these.
    """
    handlers = gathered(loaded().settings)
    there = [one.name for one in handlers]
    if handler is not None and handler not in there:
        raise CommandError(f"there is no handler {handler!r}", f"there are {', '.join(there)}", code=MISUSED)
    chosen = Handlers(one for one in handlers if handler in {None, one.name})
    since_ms = moment_or_ago_ms("--since", since) or 0
    began = time.monotonic()
    count = run(_replay(access(), chosen, since_ms))
    found: dict[str, Any] = {
        "events": count,
        "unreadable": chosen.unreadable,
        "seconds": round(time.monotonic() - began, 3),
        "handlers": chosen.summary(),
    }
    print_json(found)
    if not as_json and not count:
        click.echo(f"no events since {since}; widen it with --since", err=True)


async def _replay(at: Access, handlers: Handlers, since_ms: int) -> int:
    await require_topics(at.kafka, at.topics, at.lanes, [one for one in TOPICS if one.name == names.TELEMETRY])
    partitions = [TopicPartition(at.topics.physical(names.TELEMETRY), lane) for lane in range(at.lanes)]
    count = 0
    async with committed_consumer(at.kafka) as consumer:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        starts = await consumer.offsets_for_times(dict.fromkeys(partitions, since_ms))
        for partition in partitions:
            start = starts[partition]
            if start is None:
                continue
            consumer.assign([partition])
            async for records in read_range(consumer, partition, start.offset, ends[partition]):
                for record in records:
                    handlers.take(names.TELEMETRY, record)
                count += len(records)
    return count
