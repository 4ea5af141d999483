"""`hopline ledger`: what became of every record, by hop and lane; `--verify` counts the topics and compares."""

import sys
from collections.abc import Mapping
from typing import Any

import click

from processors.lane import IN, ledger_mismatches
from processors.position import Position
from processors.step import Outcome
from streams.audit import Audit, audit
from streams.changelog import open_changelog
from streams.cli.access import Access, access, run
from streams.cli.errors import FAILED
from streams.cli.output import json_option, print_json, print_table

_TERMS = (IN, *(outcome.value for outcome in Outcome))


@click.command()
@click.option("--verify", is_flag=True, help="Count the topics with an own reader, and compare. Reads all of them.")
@json_option
def ledger(*, verify: bool, as_json: bool) -> None:
    """Show for each hop and lane what came in and what became of it. Exit code 1 if something is unaccounted for."""
    at = access()
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
