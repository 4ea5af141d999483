"""`hopline trace`: a signal's way and time, hop by hop, with what came of it; and which signals took longest."""

import heapq
import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

import click

from processors.vocabulary.timestamps import rfc3339
from streams import cluster
from streams.cli.access import loaded, run
from streams.cli.errors import MISUSED, CommandError
from streams.cli.moments import moment_or_ago_ms
from streams.cli.output import json_option, moment, print_json, print_table
from streams.cli.signals import SECONDS_MAX
from streams.history.causality import DEPTH_MAX, NODES_MAX, Graph
from streams.history.filters import Filter
from streams.history.reading import BEHIND_SECONDS, BusyError, History, behind_seconds
from streams.history.rows import HANDLED, Row
from streams.history.store import home_of
from streams.journey.looking import found_of
from streams.journey.way import Stage, Way, way_of
from streams.settings import Settings

BAR_CHARACTERS: Final = 32
NAME_CHARACTERS: Final = 34
SLOWEST: Final = 20
ROWS_MAX: Final = 200_000
"""Rows of history that are looked through for the slowest."""
SINCE: Final = "15m"
_PLACE: Final = "{trace_id}"
_SLIVER: Final = "▏"
_FULL: Final = "█"
_is_ref: Final = re.compile(r"[0-9a-f]{32}").fullmatch


@click.command("trace")
@click.argument("signal", required=False)
@click.option("--tenant", default=None, help="Whose it is: needed for an id, for a reference it is in there.")
@click.option("--slowest", is_flag=True, help="List the signals that took longest instead.")
@click.option("--since", default=None, help=f"With --slowest: from this time on; {SINCE} if left out.")
@click.option("--limit", type=click.IntRange(1, 1_000), default=SLOWEST, show_default=True, help="With --slowest.")
@json_option
def trace(
    *, signal: str | None, tenant: str | None, slowest: bool, since: str | None, limit: int, as_json: bool
) -> None:
    """Show a signal's way and time, hop by hop, and what came of it.

    SIGNAL is the reference that the gateway and `hopline signals search` give, or an id together with --tenant.
    """
    if slowest == (signal is not None):
        raise CommandError("name a signal, or ask for --slowest", "see `hopline trace --help`", code=MISUSED)
    settings = loaded().settings
    history = History(home_of(settings), seconds_max=SECONDS_MAX, threads=1)
    try:
        if signal is None:
            _show_slowest(
                run(_slowest(history, tenant, moment_or_ago_ms("--since", since or SINCE), limit)), as_json=as_json
            )
        else:
            _show_way(settings, *run(_way(settings, history, tenant, signal)), as_json=as_json)
    except BusyError as error:
        raise CommandError(str(error)) from error
    finally:
        history.close()


async def _way(settings: Settings, history: History, tenant: str | None, signal: str) -> tuple[Way, list[str]]:
    """Return a signal's way, and what is to be said beside it."""
    ref = signal
    remarks = []
    if not _is_ref(signal) or (tenant is not None and await history.signal(tenant, signal) is None):
        if tenant is None:
            raise CommandError(f"{signal!r} is no reference", "give its id together with --tenant", code=MISUSED)
        refs = await history.refs_of(tenant, signal)
        if not refs:
            raise await _unknown(history, signal)
        ref = refs[0]
        if len(refs) > 1:
            remarks.append(f"{len(refs)} signals have this id; the others are {', '.join(refs[1:])}")
    graph = await history.causes(tenant, ref, depth_max=DEPTH_MAX, nodes_max=NODES_MAX)
    if graph is None:
        raise await _unknown(history, signal)
    found, why = await _found(settings, graph)
    way = way_of(graph, ref, found)
    if way is None:
        raise await _unknown(history, signal)
    remarks += [why] if why else []
    remarks += [f"this is not all that came of it: {reason}" for reason in graph.stopped]
    behind = behind_seconds(await history.standing())
    if behind > BEHIND_SECONDS:
        remarks.append(f"history is {behind:.0f} s behind: what is newer is missing here")
    return way, remarks


async def _found(settings: Settings, graph: Graph) -> tuple[dict[str, Any], str]:
    try:
        bootstrap = cluster.bootstrap(settings)
    except cluster.NoClusterError:
        return {}, "no Kafka is configured or runs: this is what history has, without traces and waits"
    return await found_of(settings.cluster(bootstrap), settings.topics, graph)


async def _unknown(history: History, signal: str) -> CommandError:
    behind = behind_seconds(await history.standing())
    late = f" It is {behind:.0f} s behind: ask again." if behind > BEHIND_SECONDS else ""
    return CommandError(
        f"history has no signal {signal}.{late}",
        "it may still wait (`hopline topics` shows the lag), be older than history_days, or be another tenant's; "
        "`hopline signals search` shows what there is",
    )


async def _slowest(history: History, tenant: str | None, since: int | None, limit: int) -> list[Row]:
    """Return the rows with the longest times from log to step, the longest first."""
    found: list[tuple[int, int, Row]] = []
    seen = 0
    async for row in history.export(None, Filter(tenant=tenant, since_ms=since, status=HANDLED)):
        seen += 1
        if row.entered_ms:
            entry = (row.at_ms - row.entered_ms, seen, row)
            if len(found) < limit:
                heapq.heappush(found, entry)
            else:
                heapq.heappushpop(found, entry)
        if seen >= ROWS_MAX:
            click.echo(f"only the newest {ROWS_MAX} signals were looked through; narrow it down by --tenant", err=True)
            break
    return [row for _, _, row in sorted(found, reverse=True)]


def _show_slowest(rows: list[Row], *, as_json: bool) -> None:
    if as_json:
        print_json({"slowest": [_slow_json(row) for row in rows]})
        return
    print_table(
        ("SECONDS", "ENTERED", "TENANT", "TYPE", "ID", "REF"),
        [
            (f"{(r.at_ms - r.entered_ms) / 1_000:.3f}", moment(r.entered_ms), r.tenant, r.type, r.id, r.ref)
            for r in rows
        ],
    )


def _slow_json(row: Row) -> dict[str, Any]:
    return {
        "ref": row.ref,
        "seconds": (row.at_ms - row.entered_ms) / 1_000,
        "entered": rfc3339(row.entered_ms),
        "tenant": row.tenant,
        "type": row.type,
        "id": row.id,
    }


def _show_way(settings: Settings, way: Way, remarks: list[str], *, as_json: bool) -> None:
    link = link_of(settings, way.trace_id)
    if as_json:
        print_json({**_json(way), "link": link, "remarks": remarks})
        return
    if way.trace_id:
        doubt = "" if way.sampled else "  (not sampled: it has spans only if something failed, was slow or came again)"
        click.echo(f"trace {way.trace_id}{f'  {link}' if link else ''}{doubt}")
    for line in drawn(way):
        click.echo(line)
    for cause in way.causes:
        click.echo(f"it was caused by {cause}: `hopline trace {cause}`")
    for remark in remarks:
        click.echo(remark, err=True)


def link_of(settings: Settings, trace_id: str) -> str:
    """Return the address of a trace's page; empty if no setting names one."""
    if not trace_id:
        return ""
    if settings.trace_link:
        return settings.trace_link.replace(_PLACE, trace_id)
    if not settings.trace_zipkin_url:
        return ""
    parts = urlsplit(settings.trace_zipkin_url)
    where = parts.hostname or ""
    where = f"[{where}]" if ":" in where else where
    return f"{parts.scheme}://{where}{f':{parts.port}' if parts.port else ''}/zipkin/traces/{trace_id}"


def _json(way: Way) -> dict[str, Any]:
    return {
        "ref": way.ref,
        "tenant": way.tenant,
        "type": way.type,
        "id": way.id,
        "ends": list(way.ends),
        "failed": way.failed,
        "began": rfc3339(way.began_ms),
        "ended": rfc3339(way.ended_ms),
        "seconds": way.seconds,
        "trace_id": way.trace_id,
        "sampled": way.sampled,
        "replay": way.replay,
        "stages": [
            {
                "stage": stage.name,
                "began": rfc3339(stage.began_ms),
                "ended": rfc3339(stage.ended_ms),
                "seconds": stage.seconds,
                "detail": stage.detail,
            }
            for stage in way.stages
        ],
        "causes": list(way.causes),
        "caused": [_json(each) for each in way.caused],
    }


def drawn(way: Way) -> Iterator[str]:
    """Yield the lines of a tree: each stage with its time, and a bar where it lies within the whole."""
    span = (way.began_ms, max(way.ended_ms, way.began_ms + 1))
    yield from _drawn(way, span, "")


def _drawn(way: Way, span: tuple[int, int], indent: str) -> Iterator[str]:
    yield f"{indent}{way.type or '?'}  {way.id}  {way.tenant}  {way.ref}".rstrip()
    if way.replay:
        yield f"{indent}  sent again by the replay {way.replay}"
    for stage in way.stages:
        clock = moment(stage.began_ms)[11:-1]
        name = f"{indent}  {stage.name}"
        took = f"{stage.seconds:9.3f} s" if stage.ended_ms > stage.began_ms else " " * 11
        yield f"{name:{NAME_CHARACTERS}} {clock} {took} {bar(stage, span)} {stage.detail}".rstrip()
    for each in way.caused:
        yield from _drawn(each, span, f"{indent}    ")


def bar(stage: Stage, span: tuple[int, int]) -> str:
    """Return where a stage lies within the whole, as wide as all bars are."""
    began_ms, ended_ms = span
    scale = BAR_CHARACTERS / (ended_ms - began_ms)
    left = min(BAR_CHARACTERS - 1, int((stage.began_ms - began_ms) * scale))
    width = min(BAR_CHARACTERS - left, int((stage.ended_ms - stage.began_ms) * scale))
    return (" " * left + (_FULL * width or _SLIVER)).ljust(BAR_CHARACTERS)
