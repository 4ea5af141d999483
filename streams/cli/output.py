"""How commands print: tables for people, one JSON document for programs."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import click

json_option: Final = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_KIB: Final = 1_024


def print_json(content: Any) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(content, ensure_ascii=False, default=str))


def print_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under their heads; numbers stand on the right."""
    click.echo("\n".join(table(head, rows)))


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return the lines of a table."""
    shown = [["" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *shown, strict=True)]
    numeric = [bool(shown) and all(_is_numeric(row[i]) for row in shown) for i in range(len(head))]
    return [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in [list(head), *shown]
    ]


def _is_numeric(text: str) -> bool:
    return not text or text[0].isdigit() or text[0] in "-+–"


def size(count: int | None) -> str:
    """Return bytes as people read them."""
    if count is None:
        return ""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < _KIB:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= _KIB
    return f"{value:.1f} TiB"


def moment(time_ms: int) -> str:
    """Return milliseconds of the epoch as people read them; nothing for 0."""
    if not time_ms:
        return ""
    return datetime.fromtimestamp(time_ms / 1_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
