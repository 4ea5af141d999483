"""History in SQLite: a folder with one file for each generation, and a word which of them is read.

The index is FTS5 without content, its row numbers are the keys: the newest first is its own order backwards, so a
common word is as quick to find as a rare one. It keeps no positions, for tags and words are asked together, never one
behind the other.
"""

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from processors.vocabulary.ids import digest
from streams.history.filters import Plan, indexed
from streams.history.keys import keyed, least_key
from streams.history.rows import Row, number_of
from streams.history.schema import SELECTED, STORED, loaded, stored, tables
from streams.history.store import (
    FORMAT,
    AwayError,
    Found,
    HistoryError,
    MissingError,
    OvertakenError,
    Place,
    SlowError,
    Standing,
    TakenError,
)

POINTER: Final = "current"
BUSY_SECONDS_MAX: Final = 5.0
STEPS_BETWEEN_LOOKS: Final = 20_000
"""Of SQLite's machine, between two looks at the clock: about a millisecond."""
CACHE_KIB: Final = 65_536
HASH_BYTES: Final = 16 * 1_048_576
"""What FTS5 collects before it writes a segment: a whole batch."""
VARIABLES_MAX: Final = 500
ROWS_FETCHED: Final = 1_000

_UNUSABLE: Final = "the history's folder cannot be used: {}; set HOPLINE_HISTORY to another"
_TEXTS: Final = (
    "create virtual table texts using fts5(words, content='', detail=none, columnsize=0, "
    "tokenize=\"ascii tokenchars ':'\")"
)
_TABLES: Final = (*tables(number="integer", real="real", blob="blob"), _TEXTS)
_INSERT: Final = f"insert or ignore into records ({', '.join(STORED)}) values ({', '.join('?' * len(STORED))})"  # noqa: S608  names of ours


class SqliteWriter:
    """See `Writer`."""

    def __init__(self, path: Path) -> None:
        self.generation = path.name
        self._path = path
        self._connection = _connected(f"file:{path}", BUSY_SECONDS_MAX)
        self._known: dict[Place, int] = {}
        try:
            with _explained(path):
                _prepare(self._connection)
            self.offsets()
        except BaseException:
            self._connection.close()
            raise

    def offsets(self) -> dict[Place, int]:
        """See `Writer.offsets`."""
        with _explained(self._path):
            self._known = _offsets(self._connection)
        return dict(self._known)

    def write(self, rows: Sequence[Row], offsets: Mapping[Place, int], *, complete_ms: int, share: float) -> None:
        """See `Writer.write`."""
        with _explained(self._path), self._transaction():
            # The lock should keep others out. Where it fails, nothing is written twice all the same.
            if _offsets(self._connection) != self._known:
                raise OvertakenError(str(self._path))
            if rows:
                self._insert(rows)
            self._connection.executemany(
                "insert into offsets values (?, ?, ?) on conflict do update set next = excluded.next",
                [(topic, lane, after) for (topic, lane), after in offsets.items()],
            )
            self._connection.execute(
                "update standing set complete_ms = ?, share = ?, rows = rows + ?", (complete_ms, share, len(rows))
            )
        self._known |= offsets

    def _insert(self, rows: Sequence[Row]) -> None:
        """Most keys are free, so they are tried at once; only where some are not is each looked up."""
        execute = self._connection
        made = keyed(rows)
        execute.execute("savepoint attempt")
        cursor = execute.executemany(_INSERT, [stored(key, row) for key, row in made])
        if cursor.rowcount != len(made):
            execute.execute("rollback to attempt")
            made = keyed(rows, self._taken)
            execute.executemany(_INSERT, [stored(key, row) for key, row in made])
        execute.execute("release attempt")
        # In the order of the keys: FTS5 writes a segment whenever a row number is lower than the one before.
        execute.executemany(
            "insert into texts(rowid, words) values (?, ?)", [(key, " ".join(indexed(row))) for key, row in made]
        )

    def _taken(self, keys: Sequence[int]) -> set[int]:
        found: set[int] = set()
        for start in range(0, len(keys), VARIABLES_MAX):
            part = keys[start : start + VARIABLES_MAX]
            marks = ", ".join("?" * len(part))
            asked = f"select key from records where key in ({marks})"  # noqa: S608  question marks
            found.update(key for (key,) in self._connection.execute(asked, part))
        return found

    def forget(self, before_ms: int, most: int) -> int:
        """See `Writer.forget`."""
        with _explained(self._path), self._transaction():
            old = [
                loaded(values)
                for values in self._connection.execute(
                    f"select {SELECTED} from records where key < ? order by key limit ?",  # noqa: S608  names of ours
                    (least_key(before_ms), most),
                )
            ]
            # An index without content is told what it is to forget: the same words that it was given.
            self._connection.executemany(
                "insert into texts(texts, rowid, words) values ('delete', ?, ?)",
                [(key, " ".join(indexed(row))) for key, row in old],
            )
            self._connection.executemany("delete from records where key = ?", [(key,) for key, _ in old])
            self._connection.execute("update standing set rows = rows - ?", (len(old),))
        return len(old)

    def close(self) -> None:
        """See `Writer.close`."""
        self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("begin immediate")
        try:
            yield
            self._connection.execute("commit")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("rollback")
            raise


class SqliteReader:
    """See `Reader`."""

    def __init__(self, path: Path, seconds_max: float) -> None:
        self._path = path
        self._deadline = time.monotonic() + seconds_max
        self._connection = _connected(f"file:{path}?mode=ro", seconds_max)
        self._connection.set_progress_handler(self._is_late, STEPS_BETWEEN_LOOKS)
        try:
            with _explained(path):
                self._connection.execute("pragma query_only = on")
                _check_format(self._connection)
        except BaseException:
            self._connection.close()
            raise

    def _is_late(self) -> bool:
        return time.monotonic() > self._deadline

    def page(self, plan: Plan, below: int, most: int) -> Found:
        """See `Reader.page`."""
        bounds = (plan.least, min(plan.most, below - 1))
        if plan.correlation is not None:
            return self._correlated(plan, bounds, most)
        if plan.groups:
            match = " AND ".join("(" + " OR ".join(f'"{term}"' for term in group) + ")" for group in plan.groups)
            return self._select(
                "texts join records on records.key = texts.rowid where texts match ? "
                "and texts.rowid >= ? and texts.rowid <= ? order by texts.rowid desc limit ?",
                (match, *bounds, most),
            )
        return self._select(
            "records where records.key >= ? and records.key <= ? order by records.key desc limit ?", (*bounds, most)
        )

    def _correlated(self, plan: Plan, bounds: tuple[int, int], most: int) -> Found:
        found: Found = []
        correlation = plan.correlation or ""
        for hashed in ("correlation64", "id64"):
            tenant = "" if plan.tenant is None else "and records.tenant = ?"
            given = () if plan.tenant is None else (plan.tenant,)
            found += self._select(
                f"records where records.{hashed} = ? {tenant} "
                "and records.key >= ? and records.key <= ? order by records.key desc limit ?",
                (number_of(correlation), *given, *bounds, most),
            )
        return sorted(dict(found).items(), reverse=True)[:most]

    def by_ref(self, tenant: str | None, ref: str, most: int) -> Found:
        """See `Reader.by_ref`."""
        found = self._select(
            "records where records.ref64 = ? order by records.key desc limit ?", (number_of(ref), most)
        )
        return [(key, row) for key, row in found if row.ref == ref and tenant in {None, row.tenant}]

    def by_ids(self, tenant: str, ids: Sequence[str], most: int) -> Found:
        """See `Reader.by_ids`."""
        found = self._hashed("id64", tenant, ids, most)
        return [(key, row) for key, row in found if row.id in set(ids)]

    def by_causes(self, tenant: str, ids: Sequence[str], most: int) -> Found:
        """See `Reader.by_causes`."""
        found = self._hashed("cause64", tenant, ids, most)
        return [(key, row) for key, row in found if row.cause in set(ids)]

    def _hashed(self, column: str, tenant: str, texts: Sequence[str], most: int) -> Found:
        found: Found = []
        for start in range(0, len(texts), VARIABLES_MAX):
            part = texts[start : start + VARIABLES_MAX]
            marks = ", ".join("?" * len(part))
            found += self._select(
                f"records where records.{column} in ({marks}) and records.tenant = ? order by records.key limit ?",
                (*map(number_of, part), tenant, most - len(found)),
            )
        return found

    def before(self, begins: Mapping[Place, int]) -> int:
        """See `Reader.before`."""
        with _explained(self._path):
            return sum(
                self._connection.execute(
                    "select count(*) from records where topic = ? and lane = ? and place < ?", (topic, lane, begin)
                ).fetchone()[0]
                for (topic, lane), begin in begins.items()
                if begin
            )

    def rows(self) -> Iterator[Row]:
        """See `Reader.rows`."""
        with _explained(self._path):
            cursor = self._connection.execute(f"select {SELECTED} from records order by key")  # noqa: S608  names of ours
            while part := cursor.fetchmany(ROWS_FETCHED):
                yield from (loaded(values)[1] for values in part)

    def standing(self) -> Standing:
        """See `Reader.standing`."""
        with _explained(self._path):
            form, complete_ms, share, rows = self._connection.execute(
                "select format, complete_ms, share, rows from standing"
            ).fetchone()
            offsets = _offsets(self._connection)
        files = (self._path, self._path.with_name(f"{self._path.name}-wal"))
        size = sum(path.stat().st_size for path in files if path.exists())
        return Standing(self._path.name, form, complete_ms, share, rows, size, offsets)

    def close(self) -> None:
        """See `Reader.close`."""
        self._connection.close()

    def _select(self, rest: str, values: tuple[Any, ...]) -> Found:
        with _explained(self._path):
            return [loaded(found) for found in self._connection.execute(f"select {SELECTED} from {rest}", values)]  # noqa: S608  names of ours


class SqliteHome:
    """See `Home`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.where = f"SQLite in {folder}"

    @contextmanager
    def lock(self, purpose: str) -> Iterator[None]:
        """See `Home.lock`. The system lets go of it when its holder ends, however it ends."""
        with self._usable():
            held = os.open(self._folder / f"{purpose}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                who = os.pread(held, 32, 0).decode(errors="replace").strip()
                raise TakenError(
                    f"process {who or '?'} does so already ({purpose} of {self.where}); "
                    "let it go on, or end it with `kill` and try again"
                ) from error
            os.ftruncate(held, 0)
            os.pwrite(held, str(os.getpid()).encode(), 0)
            yield
        finally:
            os.close(held)

    def current(self) -> str | None:
        """See `Home.current`."""
        try:
            name = (self._folder / POINTER).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            return None
        return name if name == Path(name).name and (self._folder / name).is_file() else None

    def fresh(self) -> str:
        """See `Home.fresh`."""
        number = digest(str(time.time_ns()).encode()).hex()[:8]
        return f"history-{number}.db"

    def clear(self) -> None:
        """See `Home.clear`."""
        self._remove_but({self.current()})

    def writer(self, generation: str) -> SqliteWriter:
        """See `Home.writer`."""
        with self._usable():
            return SqliteWriter(self._folder / generation)

    def reader(self, seconds_max: float) -> SqliteReader:
        """See `Home.reader`."""
        current = self.current()
        if current is None:
            raise MissingError(self.where)
        return SqliteReader(self._folder / current, seconds_max)

    def publish(self, generation: str) -> None:
        """See `Home.publish`."""
        if not (self._folder / generation).is_file():
            raise HistoryError(f"{generation} has gone while it was built; try again")
        draft = self._folder / f"{POINTER}.draft"
        draft.write_text(generation, encoding="ascii")
        draft.replace(self._folder / POINTER)
        # Who still reads the one before has it open; its bytes go when the last one closes it.
        self._remove_but({generation})

    @contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            yield
        except OSError as error:
            raise HistoryError(_UNUSABLE.format(error)) from error

    def _remove_but(self, kept: set[str | None]) -> None:
        for path in self._folder.glob("history-*.db*"):
            if path.name.partition(".db")[0] + ".db" not in kept:
                with suppress(OSError):
                    path.unlink()


def _connected(uri: str, seconds_max: float) -> sqlite3.Connection:
    # Threads of a pool use it one after the other.
    try:
        return sqlite3.connect(uri, uri=True, timeout=seconds_max, isolation_level=None, check_same_thread=False)
    except sqlite3.OperationalError as error:
        raise AwayError(
            f"{uri.removeprefix('file:')} cannot be opened: {error}; see whether its folder is there"
        ) from error


def _prepare(connection: sqlite3.Connection) -> None:
    if connection.execute("pragma user_version").fetchone()[0] == 0:
        connection.execute("pragma page_size = 8192")
        connection.execute("pragma journal_mode = wal")
        connection.execute("begin immediate")
        # Another one may have made them while we waited.
        if connection.execute("pragma user_version").fetchone()[0] == 0:
            for statement in _TABLES:
                connection.execute(statement)
            connection.execute("insert into texts(texts, rank) values ('hashsize', ?)", (HASH_BYTES,))
            connection.execute("insert into standing values (1, ?, 0, 0, 0)", (FORMAT,))
            connection.execute(f"pragma user_version = {FORMAT}")
        connection.execute("commit")
    # A crash of the machine may lose the last transactions, as a whole and with their offsets: they are read again.
    connection.execute("pragma synchronous = normal")
    connection.execute(f"pragma cache_size = -{CACHE_KIB}")
    _check_format(connection)


def _check_format(connection: sqlite3.Connection) -> None:
    if connection.execute("select format from standing").fetchone()[0] != FORMAT:
        raise HistoryError("the history is of another version; build it anew: `hopline history rebuild`")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Say in words what went wrong."""
    try:
        yield
    except sqlite3.OperationalError as error:
        text = str(error)
        if "interrupted" in text:
            raise SlowError("the search took too long; ask for less time, or for more that narrows it") from error
        if "locked" in text or "busy" in text:
            raise AwayError(f"{path} is locked by another process; `fuser {path}` names it") from error
        raise AwayError(f"{path}: {text}; see docs/runbooks/history.md") from error
    except sqlite3.DatabaseError as error:
        raise HistoryError(f"{path} is damaged ({error}); build it anew: `hopline history rebuild`") from error


def _offsets(connection: sqlite3.Connection) -> dict[Place, int]:
    return {(topic, lane): after for topic, lane, after in connection.execute("select topic, lane, next from offsets")}
