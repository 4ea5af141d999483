"""`hopline signals`: search history, show one signal, who caused what, export."""

import csv
import json
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

import click

from streams.cli.access import loaded, run
from streams.cli.errors import FAILED, MISUSED, CommandError
from streams.cli.moments import moment_or_ago_ms
from streams.cli.output import json_option, moment, print_json, print_table
from streams.history.causality import DEPTH_MAX, NODES_MAX, Graph
from streams.history.filters import Filter, FilterError
from streams.history.reading import BEHIND_SECONDS, LIMIT_MAX, Answer, BusyError, History, SignalHistory
from streams.history.rows import STATUSES, Row
from streams.history.shown import CSV_COLUMNS, cells, end_of, shown, shown_graph
from streams.history.store import home_of

T = TypeVar("T")

SECONDS_MAX: Final = 30.0
DATA_CHARACTERS_MAX: Final = 60

_FILTERS: Final = (
    click.option("--tenant", default=None, help="Only this tenant's."),
    click.option("--since", default=None, help="From this time on: RFC 3339, or such as 15m, 2h, 3d ago."),
    click.option("--until", default=None, help="Up to this time."),
    click.option("--type", "pattern", default=None, help="Types that match: * is one segment, ** any, {a,b} either."),
    click.option("--subject", default=None, help="Exactly this subject."),
    click.option("--source", default=None, help="Exactly this source."),
    click.option("--correlation", default=None, help="Exactly this correlation id."),
    click.option("--status", type=click.Choice(STATUSES), default=None, help="How it ended."),
    click.option("--reason", default=None, help="Why it was dead-lettered."),
    click.option("--where", default=None, help='On data: data.total >= 10 and data.city = "Bern"'),
    click.option("--text", default=None, help="Words that the data has, all of them."),
)


def _filtered(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_FILTERS):
        command = option(command)
    return command


@click.group()
def signals() -> None:
    """Search history: what became of every signal, why, and what it caused."""


@signals.command()
@_filtered
@click.option("--limit", type=click.IntRange(1, LIMIT_MAX), default=50, show_default=True, help="Rows of the page.")
@click.option("--cursor", default=None, help="Go on where an answer ended.")
@json_option
def search(*, limit: int, cursor: str | None, as_json: bool, **asked: str | None) -> None:
    """Find signals and dead letters, the newest first."""
    wanted = _filter(asked)
    answer = _asked(lambda history: history.search(None, wanted, cursor=cursor, limit=limit))
    if as_json:
        print_json({
            "signals": [shown(row) for row in answer.rows],
            "cursor": answer.cursor,
            "complete": answer.complete,
            "behind_seconds": round(answer.behind_seconds, 1),
        })  # fmt: skip
        return
    print_table(
        ("TIME", "STATUS", "TENANT", "TYPE", "ID", "REF", "DATA"),
        [(moment(r.at_ms), r.reason or r.status, r.tenant, r.type, r.id, r.ref, _data(r)) for r in answer.rows],
    )
    _remark(answer)


@signals.command()
@click.argument("ref")
@click.option("--tenant", default=None, help="Only if it is this tenant's.")
@json_option
def show(*, ref: str, tenant: str | None, as_json: bool) -> None:
    """Show what became of a signal, hop by hop. REF is what `search` and the gateway give."""
    found = _asked(lambda history: history.signal(tenant, ref))
    if found is None:
        raise _unknown(ref)
    if as_json:
        print_json({
            "ref": found.ref,
            "ends": [shown(row) for row in found.ends],
            "outcomes": [shown(row) for row in found.outcomes],
            "caused": [row.ref for row in found.caused],
            "behind_seconds": round(found.behind_seconds, 1),
        })  # fmt: skip
        return
    _print_signal(found)


@signals.command()
@click.argument("ref")
@click.option("--tenant", default=None, help="Only if it is this tenant's.")
@click.option(
    "--depth", type=click.IntRange(1, DEPTH_MAX), default=DEPTH_MAX, show_default=True, help="Steps each way."
)
@json_option
def causes(*, ref: str, tenant: str | None, depth: int, as_json: bool) -> None:
    """Show what led to a signal and what came of it."""
    found = _asked(lambda history: history.causes(tenant, ref, depth_max=depth, nodes_max=NODES_MAX))
    if found is None:
        raise _unknown(ref)
    if as_json:
        print_json(shown_graph(found))
        return
    _print_graph(found, ref)


@signals.command()
@_filtered
@click.option("--format", "form", type=click.Choice(["ndjson", "csv"]), default="ndjson", show_default=True)
def export(*, form: str, **asked: str | None) -> None:
    """Write all that is found to the standard output, the newest first, a line each."""
    wanted = _filter(asked)
    _asked(lambda history: _export(history, wanted, form))


async def _export(history: History, wanted: Filter, form: str) -> None:
    writer = csv.writer(sys.stdout)
    if form == "csv":
        writer.writerow(CSV_COLUMNS)
    async for row in history.export(None, wanted):
        if form == "csv":
            writer.writerow(cells(row))
        else:
            sys.stdout.write(json.dumps(shown(row), ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _asked(question: Callable[[History], Coroutine[Any, Any, T]]) -> T:
    history = History(home_of(loaded().settings), seconds_max=SECONDS_MAX, threads=1)
    try:
        return run(question(history))
    except FilterError as error:
        raise CommandError(str(error), "see `hopline signals search --help`", code=MISUSED) from error
    except BusyError as error:
        raise CommandError(str(error), code=FAILED) from error
    finally:
        history.close()


def _filter(asked: dict[str, str | None]) -> Filter:
    since, until = asked.pop("since"), asked.pop("until")
    return Filter(since_ms=moment_or_ago_ms("--since", since), until_ms=moment_or_ago_ms("--until", until), **asked)


def _unknown(ref: str) -> CommandError:
    return CommandError(
        f"history has no signal {ref}",
        "see `hopline history status` for how far it is, `hopline signals search` for what it has",
    )


def _data(row: Row) -> str:
    text = " ".join((row.data or b"").decode(errors="replace").split())
    return text if len(text) <= DATA_CHARACTERS_MAX else f"{text[: DATA_CHARACTERS_MAX - 1]}…"


def _remark(answer: Answer) -> None:
    """Say what else there is to know, away from the table."""
    if not answer.complete:
        click.echo(f"the time ran out at {moment(answer.searched_to_ms)}; go on with --cursor", err=True)
    if answer.cursor is not None:
        click.echo(f"more: --cursor {answer.cursor}", err=True)
    _remark_behind(answer.behind_seconds)


def _remark_behind(seconds: float) -> None:
    if seconds > BEHIND_SECONDS:
        click.echo(f"history is {seconds:.0f} s behind; does `hopline history run` (or `make up`) run?", err=True)


def _print_signal(found: SignalHistory) -> None:
    for row in found.ends:
        click.echo(f"{moment(row.at_ms)}  {end_of(row)}  {row.topic} {row.lane}/{row.offset}")
        for name, value in shown(row).items():
            if name not in {"ref", "at", "status", "topic", "lane", "offset", "stack"}:
                text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
                click.echo(f"    {name:16} {text}")
    for row in found.outcomes:
        click.echo(f"{moment(row.at_ms)}  {row.by}: {row.type}  {_data(row)}")
    if found.caused:
        click.echo("it caused:")
        for row in found.caused:
            click.echo(f"    {moment(row.at_ms)}  {row.type}  {row.id}  {row.ref}")
        if found.more_caused:
            click.echo("    and more: `hopline signals causes` shows them")
    _remark_behind(found.behind_seconds)


def _print_graph(graph: Graph, ref: str) -> None:
    least = min((node.depth for node in graph.nodes), default=0)
    for node in graph.nodes:
        row = node.rows[0]
        mark = "*" if node.ref == ref else " "
        ends = ", ".join(dict.fromkeys(map(end_of, node.rows)))
        click.echo(f"{mark} {'  ' * (node.depth - least)}{row.type or '?'}  {row.id}  {ends}  {node.ref}")
    for each in graph.missing:
        click.echo(f"  its cause {each} is not in history: a command, older, or not there yet")
    for why in graph.stopped:
        click.echo(f"  this is not all: {why}")
