"""`hopline history`: run the projection, say how far it is, build it anew from the topics."""

import asyncio
import signal
import sys

import click

from streams import logs
from streams.cli.access import Access, access, loaded, run
from streams.cli.errors import CommandError
from streams.cli.output import json_option, moment, print_json, print_table, size
from streams.history.reading import behind_seconds, content_sum
from streams.history.rebuild import LossError, Progress, rebuild
from streams.history.service import run as serve
from streams.history.service import source_of
from streams.history.store import Standing, home_of

SECONDS_MAX = 600.0
"""For a sum over all rows."""


@click.group()
def history() -> None:
    """Keep what became of every signal in a database, to be searched: `hopline signals`."""


@history.command("run")
def run_() -> None:
    """Project what is committed until told to stop; `hopline up` runs one by itself."""
    at = access()
    logs.begin(at.settings, "history")
    click.echo(f"history is written to {home_of(at.settings).where}; Ctrl-C stops it")
    run(serve(at.settings, at.kafka.bootstrap, tell=lambda text: click.echo(text, err=True), patient=False))


@history.command()
@click.option("--sum", "summed", is_flag=True, help="Count the rows and hash them: two histories compared.")
@json_option
def status(*, summed: bool, as_json: bool) -> None:
    """Say where history is, how far behind, and how large."""
    home = home_of(loaded().settings)
    reader = home.reader(SECONDS_MAX)
    try:
        standing = reader.standing()
    finally:
        reader.close()
    content = _content(standing, home.where)
    if summed:
        content |= content_sum(home, SECONDS_MAX)
    if as_json:
        offsets = {f"{topic}/{lane}": after for (topic, lane), after in sorted(standing.offsets.items())}
        print_json({**content, "offsets": offsets})
        return
    content |= {"complete_to": moment(standing.complete_ms), "bytes": size(standing.bytes)}
    print_table(("WHAT", "VALUE"), [(name, str(value)) for name, value in content.items()])


def _content(standing: Standing, where: str) -> dict[str, object]:
    return {
        "where": where,
        "generation": standing.generation,
        "rows": standing.rows,
        "bytes": standing.bytes,
        "behind_seconds": round(behind_seconds(standing), 1),
        "complete_to": standing.complete_ms,
        "progress": round(standing.share, 4),
    }


@history.command("rebuild")
@click.option("--lose", is_flag=True, help="Even if rows are lost that the topics hold no longer.")
@json_option
def rebuild_(*, lose: bool, as_json: bool) -> None:
    """Build history anew from the topics, beside the one that is there, then put it in its place.

    Searches go on meanwhile, and so does a projector: it goes on with the new one when it is whole.
    """
    at = access()
    try:
        generation, rows = run(_rebuild(at, lose=lose))
    except LossError as error:
        raise CommandError(str(error)) from error
    if as_json:
        print_json({"generation": generation, "rows": rows})
    else:
        click.echo(f"\nbuilt anew: {rows} rows, {generation}")


async def _rebuild(at: Access, *, lose: bool) -> tuple[str, int]:
    working = asyncio.current_task()
    if working is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, working.cancel)
    shown = sys.stderr.isatty()

    def tell(progress: Progress) -> None:
        if shown:
            click.echo(f"\r{progress.share:6.1%}  {progress.rows} rows", nl=False, err=True)

    return await rebuild(source_of(at.settings, at.kafka.bootstrap), home_of(at.settings), tell, lose=lose)
