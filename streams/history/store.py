"""Where history is kept: what both databases can do, and which of them the settings name."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from streams.history.filters import Plan
from streams.history.rows import Row
from streams.settings import Settings

FORMAT: Final = 1
"""Of the tables and of what is in the index. A history of another format is built anew."""
POSTGRES: Final = ("postgresql://", "postgres://")

Place: TypeAlias = tuple[str, int]
"""A topic, as Hopline calls it, and a lane."""
Found: TypeAlias = list[tuple[int, Row]]
"""Rows with their keys, the newest first."""


class HistoryError(Exception):
    """History cannot be used; the message says why and what to do."""


class MissingError(HistoryError):
    """There is no history yet."""

    def __init__(self, where: str) -> None:
        super().__init__(f"there is no history yet ({where}); `hopline history run` makes one, `make up` too")


class TakenError(HistoryError):
    """Another process writes it."""


class AwayError(HistoryError):
    """The database does not answer, is locked or full: worth another attempt."""


class OvertakenError(AwayError):
    """Another process has written since we looked: what we hold may be in it already."""

    def __init__(self, where: str) -> None:
        super().__init__(f"{where} was written by another process, too; reading on from where it stands now")


class SlowError(HistoryError):
    """A query took longer than it may."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a history has come."""

    generation: str
    format: int
    complete_ms: int
    """All that was written before this moment is in it."""
    share: float
    """How much of what the topics held has been read."""
    rows: int
    """An estimate where counting would take long."""
    bytes: int
    offsets: Mapping[Place, int]


class Writer(Protocol):
    """One connection that writes. Not for several threads at once."""

    generation: str

    def offsets(self) -> dict[Place, int]:
        """Return the next offset of each place: the truth about what has been read."""

    def write(self, rows: Sequence[Row], offsets: Mapping[Place, int], *, complete_ms: int, share: float) -> None:
        """Write rows and offsets together or not at all. Raises `OvertakenError` if another has written meanwhile."""

    def forget(self, before_ms: int, most: int) -> int:
        """Remove rows from before a moment, at most so many; return how many."""

    def close(self) -> None:
        """Let go of the connection."""


class Reader(Protocol):
    """One connection that reads, within a time limit. Not for several threads at once."""

    def page(self, plan: Plan, below: int, most: int) -> Found:
        """Return the newest rows below a key that fulfil a plan (and perhaps some that do not)."""

    def by_ref(self, tenant: str | None, ref: str, most: int) -> Found:
        """Return the rows of a signal, if it is the tenant's; None is whose it may be."""

    def by_ids(self, tenant: str, ids: Sequence[str], most: int) -> Found:
        """Return the rows of a tenant's signals with these ids."""

    def by_causes(self, tenant: str, ids: Sequence[str], most: int) -> Found:
        """Return the rows of what these ids of a tenant have caused."""

    def before(self, begins: Mapping[Place, int]) -> int:
        """Return how many rows stand before where their topics begin."""

    def rows(self) -> Iterator[Row]:
        """Yield all rows, a few at a time."""

    def standing(self) -> Standing:
        """Return how far it has come."""

    def close(self) -> None:
        """Let go of the connection."""


class Home(Protocol):
    """A place with one history in it, or two while one is built anew."""

    where: str
    """In words, without a secret."""

    def lock(self, purpose: str) -> AbstractContextManager[None]:
        """Hold it for a purpose alone. Raises `TakenError`."""

    def current(self) -> str | None:
        """Return the generation that readers see."""

    def fresh(self) -> str:
        """Return the name of a generation that is not there."""

    def clear(self) -> None:
        """Remove what others have left half built."""

    def writer(self, generation: str) -> Writer:
        """Open a generation for writing; make it if it is not there."""

    def reader(self, seconds_max: float) -> Reader:
        """Open the current generation. Raises `MissingError`."""

    def publish(self, generation: str) -> None:
        """Let readers see this generation from now on, and remove the one before it."""


def home_of(settings: Settings) -> Home:
    """Return where the settings say that history is kept."""
    wanted = settings.history.get_secret_value()
    if wanted.startswith(POSTGRES):
        # Here, for psycopg comes with an extra.
        from streams.history.postgres import PostgresHome  # noqa: PLC0415

        return PostgresHome(wanted)
    from streams.history.sqlite import SqliteHome  # noqa: PLC0415  so that each is looked for where it is chosen

    folder = settings.data_dir.expanduser() / (wanted or "history")
    return SqliteHome(folder)
