"""The tables of history, for both databases in one place. SQL is made of these names and nothing else."""

from collections.abc import Sequence
from typing import Any, Final

from streams.history.rows import Row, number_of

NUMBERS: Final = frozenset({"lane", "place", "at_ms", "entered_ms", "cut"})
COLUMNS: Final = tuple("place" if name == "offset" else name for name in Row._fields)
"""`offset` is a word of SQL."""
HASHES: Final = ("ref64", "id64", "cause64", "correlation64")
"""Found by: 64 bits each, for a whole text would double the database. Rows are compared with the text itself."""
STORED: Final = ("key", *HASHES, *COLUMNS)
OPTIONAL: Final = frozenset({"cause64", "correlation64"})
INDEXES: Final = (("ref64",), ("id64", "tenant"), ("cause64", "tenant"), ("correlation64", "tenant"))
SELECTED: Final = ", ".join(f"records.{name}" for name in ("key", *COLUMNS))


def column_type(name: str, *, number: str, blob: str) -> str:
    """Return a column's type."""
    if name == "data":
        return blob
    if name in OPTIONAL:
        return number
    return f"{number if name in NUMBERS or name in HASHES else 'text'} not null"


def tables(*, number: str, real: str, blob: str, more: str = "") -> tuple[str, ...]:
    """Return the statements that make the tables which both databases have."""
    columns = ", ".join(f"{name} {column_type(name, number=number, blob=blob)}" for name in STORED[1:])
    # A condition only where there is something to leave out: SQLite does not use an index whose condition always holds.
    indexes = [
        f"create index records_{names[0]} on records ({', '.join((*names, 'key'))})"
        + (f" where {names[0]} is not null" if names[0] in OPTIONAL else "")
        for names in INDEXES
    ]
    offsets = f"topic text not null, lane integer not null, next {number} not null, primary key (topic, lane)"
    standing = (
        "one integer primary key check (one = 1), format integer not null, "
        f"complete_ms {number} not null, share {real} not null, rows {number} not null"
    )
    return (
        f"create table records (key {number} primary key, {columns}{more})",
        *indexes,
        f"create table offsets ({offsets})",
        f"create table standing ({standing})",
    )


def stored(key: int, row: Row) -> tuple[Any, ...]:
    """Return the values of a row's columns."""
    return (
        key,
        number_of(row.ref),
        number_of(row.id),
        number_of(row.cause) if row.cause else None,
        # Most signals begin their own correlation, so that the id finds them.
        number_of(row.correlation) if row.correlation and row.correlation != row.id else None,
        *row,
    )


def loaded(values: Sequence[Any]) -> tuple[int, Row]:
    """Return the key and the row of selected values."""
    return values[0], Row(*values[1:])
