"""`hopline ledger`: what became of every record, by hop and lane, and whether the topics hold what it says.

`--verify` counts the topics from their beginning. `--since` and `--watch` judge commit by commit: what each stepped,
what it wrote, where its records ended.
"""

import json
import logging
import sys
from collections.abc import Mapping
from typing import Any, Final

import click

from processors.lane import IN, ledger_mismatches
from processors.ledger import EXPLAINED, Finding
from processors.position import Position
from processors.step import Outcome
from streams.audit import Audit, audit
from streams.changelog import open_changelog
from streams.cli.access import Access, access, quiet, run
from streams.cli.errors import FAILED, MISUSED, CommandError
from streams.cli.moments import moment_or_ago_ms
from streams.cli.output import json_option, print_json, print_table
from streams.ledger import once
from streams.ledger.check import note_of

_DAY_SECONDS: Final = 86_400.0
_TERMS = (IN, *(outcome.value for outcome in Outcome))


@click.command()
@click.option("--verify", is_flag=True, help="Count the topics with an own reader, and compare. Reads all of them.")
@click.option("--since", default=None, help="Judge each commit since: RFC 3339, or such as 15m, 2h, 3d ago.")
@click.option("--watch", is_flag=True, help="Judge what is committed from now on, until Ctrl-C.")
@click.option("--seconds", type=click.FloatRange(1, _DAY_SECONDS), help="With --watch: for so long.")
@json_option
def ledger(*, verify: bool, since: str | None, watch: bool, seconds: float | None, as_json: bool) -> None:
    """Show for each hop and lane what came in and what became of it. Exit code 1 if something is unaccounted for."""
    if seconds is not None and not watch:
        raise CommandError("--seconds says how long to watch", "add --watch", code=MISUSED)
    at = access()
    if watch or since is not None:
        _judge(at, moment_or_ago_ms("--since", since), watch=watch, seconds=seconds, as_json=as_json)
        return
    positions = run(_positions(at))
    found = run(audit(at.kafka, at.topics, at.lanes, at.settings.ingest().policy)) if verify else None
    rows = [_row(lane, hop, position.ledger) for lane, position in positions.items() for hop in _hops(position)]
    balanced = all(row["unaccounted"] == 0 for row in rows) and (found is None or found.balanced)
    if as_json:
        content: dict[str, Any] = {"balanced": balanced, "lanes": rows}
        if found is not None:
            content["verified"] = _verified(found)
        print_json(content)
    else:
        _print(rows, found, balanced=balanced)
    if not balanced:
        sys.exit(FAILED)


def _judge(at: Access, since_ms: int | None, *, watch: bool, seconds: float | None, as_json: bool) -> None:
    """Judge commits one by one, and say what is wrong as soon as it is found."""
    limit = (seconds or _DAY_SECONDS) if watch else None
    quiet()
    # The check says in its own way what is wrong.
    logging.getLogger("streams.ledger").setLevel(logging.CRITICAL)

    def say(finding: Finding) -> None:
        click.echo(json.dumps(note_of(finding)) if as_json else f"{finding}\n  {EXPLAINED[finding.fault]}")

    found = run(once.check(at.kafka, at.topics, at.lanes, since_ms=since_ms, seconds=limit, told=say))
    summary = {"judged": found.judged, "left_out": found.skipped, "findings": len(found.findings)}
    if as_json:
        print_json({"balanced": not found.findings, **summary})
    else:
        click.echo(f"{found.judged} commits judged, {found.skipped} left out, {len(found.findings)} findings")
        click.echo("nothing is wrong" if not found.findings else "NOT balanced")
    if found.findings:
        sys.exit(FAILED)


async def _positions(at: Access) -> dict[int, Position]:
    async with open_changelog(at.kafka, at.topics, at.lanes) as changelog:
        return await changelog.positions()


def _hops(position: Position) -> list[str]:
    return sorted({term.partition("/")[0] for term in position.ledger})


def _row(lane: int, hop: str, terms: Mapping[str, int]) -> dict[str, Any]:
    return {
        "lane": lane,
        "hop": hop,
        **{term: terms.get(f"{hop}/{term}", 0) for term in _TERMS},
        "unaccounted": ledger_mismatches(terms).get(hop, 0),
    }


def _verified(found: Audit) -> dict[str, Any]:
    return {
        "balanced": found.balanced,
        "moving": found.moving,
        "trimmed": list(found.trimmed),
        "comparisons": [
            {
                "lane": one.lane,
                "term": one.term,
                "ledger_before": one.least,
                "ledger_after": one.most,
                "counted": one.counted,
                "fits": one.fits,
            }
            for one in found.comparisons
        ],
    }


def _print(rows: list[dict[str, Any]], found: Audit | None, *, balanced: bool) -> None:
    total = {"lane": "all", "hop": "", **{name: sum(row[name] for row in rows) for name in (*_TERMS, "unaccounted")}}
    head = ("lane", "hop", *_TERMS, "unaccounted")
    print_table(
        [name.upper().replace("_", " ") for name in head], [[row[name] for name in head] for row in [*rows, total]]
    )
    if found is not None:
        wrong = [one for one in found.comparisons if not one.fits]
        for one in wrong:
            click.echo(
                f"lane {one.lane}, {one.term}: the ledger says {one.least} to {one.most}, counted were {one.counted}"
            )
        agreed = len(found.comparisons) - len(wrong)
        click.echo(f"counted with an own reader: {agreed} of {len(found.comparisons)} terms agree")
        if found.trimmed:
            click.echo(f"not counted, for retention has removed records: {', '.join(found.trimmed)}")
        if found.moving:
            click.echo("lanes worked meanwhile: the counts lie between the ledger before and after")
    click.echo("balanced" if balanced else "NOT balanced")
