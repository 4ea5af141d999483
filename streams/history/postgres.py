"""History in PostgreSQL: a schema for each generation, and a table that says which of them is read.

The index is a column of lexemes under GIN. The planner chooses: a common word is looked for from the newest row on, a
rare one by the index.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

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

try:
    import psycopg
    from psycopg import sql
except ImportError as error:
    raise HistoryError(
        "HOPLINE_HISTORY names PostgreSQL, and its client is not installed; install it: pip install 'hopline[postgres]'"
    ) from error

CONNECT_SECONDS_MAX: Final = 5
WRITE_SECONDS_MAX: Final = 60
POINTER: Final = sql.Identifier("public", "history_hopline")
PREFIX: Final = "history_hopline_"
LOCKS: Final = {"writing": 7_301_001, "rebuilding": 7_301_002}
"""Advisory locks: they end with the connection that holds them."""
ROWS_FETCHED: Final = 1_000

_TABLES: Final = (
    *tables(number="bigint", real="double precision", blob="bytea", more=", words tsvector not null"),
    "create index records_words on records using gin (words)",
    "create index records_tenant on records (tenant, key)",
)
_COPY: Final = f"copy records ({', '.join(STORED)}, words) from stdin"

Connection = psycopg.Connection[Any]


class PostgresWriter:
    """See `Writer`."""

    def __init__(self, home: "PostgresHome", generation: str) -> None:
        self.generation = generation
        self._where = home.where
        self._known: dict[Place, int] = {}
        self._connection = home.connect(WRITE_SECONDS_MAX, generation)
        try:
            with _explained(home.where), self._connection.transaction():
                if not _exists(self._connection, generation):
                    self._connection.execute(sql.SQL("create schema {}").format(sql.Identifier(generation)))
                    for statement in _TABLES:
                        self._connection.execute(statement.encode())
                    self._connection.execute("insert into standing values (1, %s, 0, 0, 0)", (FORMAT,))
            _check_format(self._connection, home.where)
            self.offsets()
        except BaseException:
            self._connection.close()
            raise

    def offsets(self) -> dict[Place, int]:
        """See `Writer.offsets`."""
        with _explained(self._where):
            self._known = _offsets(self._connection)
        return dict(self._known)

    def write(self, rows: Sequence[Row], offsets: Mapping[Place, int], *, complete_ms: int, share: float) -> None:
        """See `Writer.write`."""
        with _explained(self._where), self._connection.transaction():
            # The lock should keep others out. Where it fails, nothing is written twice all the same.
            self._connection.execute("lock table offsets in exclusive mode")
            if _offsets(self._connection) != self._known:
                raise OvertakenError(self._where)
            if rows:
                self._insert(rows)
            with self._connection.cursor() as cursor:
                cursor.executemany(
                    "insert into offsets values (%s, %s, %s) "
                    "on conflict (topic, lane) do update set next = excluded.next",
                    [(topic, lane, after) for (topic, lane), after in offsets.items()],
                )
            self._connection.execute(
                "update standing set complete_ms = %s, share = %s, rows = rows + %s", (complete_ms, share, len(rows))
            )
        self._known |= offsets

    def _insert(self, rows: Sequence[Row]) -> None:
        """Most keys are free, so they are tried at once; only where some are not is each looked up."""
        try:
            with self._connection.transaction():
                self._copy(keyed(rows))
        except psycopg.errors.UniqueViolation:
            self._copy(keyed(rows, self._taken))

    def _copy(self, made: Sequence[tuple[int, Row]]) -> None:
        with self._connection.cursor() as cursor, cursor.copy(_COPY.encode()) as copy:
            for key, row in made:
                # Neither a word nor a tag has a quote or a backslash in it.
                lexemes = " ".join(f"'{term}'" for term in indexed(row))
                copy.write_row((*stored(key, row), lexemes))

    def _taken(self, keys: Sequence[int]) -> set[int]:
        found = self._connection.execute("select key from records where key = any(%s)", (list(keys),))
        return {key for (key,) in found}

    def forget(self, before_ms: int, most: int) -> int:
        """See `Writer.forget`."""
        with _explained(self._where), self._connection.transaction():
            cursor = self._connection.execute(
                "delete from records where key in (select key from records where key < %s order by key limit %s)",
                (least_key(before_ms), most),
            )
            count = max(cursor.rowcount, 0)
            self._connection.execute("update standing set rows = rows - %s", (count,))
        return count

    def close(self) -> None:
        """See `Writer.close`."""
        self._connection.close()


class PostgresReader:
    """See `Reader`."""

    def __init__(self, home: "PostgresHome", generation: str, seconds_max: float) -> None:
        self._generation = generation
        self._where = home.where
        self._deadline = time.monotonic() + seconds_max
        self._connection = home.connect(seconds_max, generation, read_only=True)
        try:
            _check_format(self._connection, home.where)
        except BaseException:
            self._connection.close()
            raise

    def page(self, plan: Plan, below: int, most: int) -> Found:
        """See `Reader.page`."""
        bounds = (plan.least, min(plan.most, below - 1))
        conditions, values = ["key >= %s", "key <= %s"], [*bounds]
        given: list[Any] = list(values)
        if plan.correlation is not None:
            conditions.append("correlation = %s and (correlation64 = %s or id64 = %s)")
            given += [plan.correlation, *(2 * [number_of(plan.correlation)])]
        if plan.tenant is not None:
            conditions.append("tenant = %s")
            given.append(plan.tenant)
        if plan.groups and plan.correlation is None:
            conditions.append("words @@ %s::tsquery")
            given.append(" & ".join("(" + " | ".join(f"'{term}'" for term in group) + ")" for group in plan.groups))
        return self._select(" and ".join(conditions) + " order by key desc limit %s", (*given, most))

    def by_ref(self, tenant: str | None, ref: str, most: int) -> Found:
        """See `Reader.by_ref`."""
        found = self._select("ref64 = %s order by key desc limit %s", (number_of(ref), most))
        return [(key, row) for key, row in found if row.ref == ref and tenant in {None, row.tenant}]

    def by_ids(self, tenant: str, ids: Sequence[str], most: int) -> Found:
        """See `Reader.by_ids`."""
        return self._select(
            "id64 = any(%s) and tenant = %s and id = any(%s) order by key limit %s",
            ([number_of(each) for each in ids], tenant, list(ids), most),
        )

    def by_causes(self, tenant: str, ids: Sequence[str], most: int) -> Found:
        """See `Reader.by_causes`."""
        return self._select(
            "cause64 = any(%s) and tenant = %s and cause = any(%s) order by key limit %s",
            ([number_of(each) for each in ids], tenant, list(ids), most),
        )

    def before(self, begins: Mapping[Place, int]) -> int:
        """See `Reader.before`."""
        lost = 0
        with _explained(self._where):
            for (topic, lane), begin in begins.items():
                if begin:
                    found = self._connection.execute(
                        "select count(*) from records where topic = %s and lane = %s and place < %s",
                        (topic, lane, begin),
                    ).fetchone()
                    lost += found[0] if found else 0
        return lost

    def rows(self) -> Iterator[Row]:
        """See `Reader.rows`."""
        with _explained(self._where), self._connection.transaction(), self._connection.cursor("rows") as cursor:
            cursor.itersize = ROWS_FETCHED
            for values in cursor.execute(f"select {SELECTED} from records order by key".encode()):  # noqa: S608  names of ours
                yield loaded(values)[1]

    def standing(self) -> Standing:
        """See `Reader.standing`."""
        with _explained(self._where):
            found = self._connection.execute("select format, complete_ms, share, rows from standing").fetchone()
            size = self._connection.execute(
                "select pg_total_relation_size(format('%%I.records', %s::text)::regclass)", (self._generation,)
            ).fetchone()
            if found is None or size is None:
                raise HistoryError(f"{self._where} is damaged; build it anew: `hopline history rebuild`")
            form, complete_ms, share, rows = found
            return Standing(self._generation, form, complete_ms, share, rows, size[0], _offsets(self._connection))

    def close(self) -> None:
        """See `Reader.close`."""
        self._connection.close()

    def _select(self, rest: str, values: tuple[Any, ...]) -> Found:
        left_ms = int(1_000 * (self._deadline - time.monotonic()))
        if left_ms <= 0:
            raise SlowError("the search took too long; ask for less time, or for more that narrows it")
        with _explained(self._where):
            self._connection.execute("select set_config('statement_timeout', %s, false)", (str(left_ms),))
            return [
                loaded(found)
                for found in self._connection.execute(
                    f"select {SELECTED} from records where {rest}".encode(),  # noqa: S608  conditions of ours
                    values,
                )
            ]


class PostgresHome:
    """See `Home`."""

    def __init__(self, url: str) -> None:
        self._url = url
        parts = urlsplit(url)
        try:
            port = parts.port or 5432
        except ValueError as error:
            raise HistoryError("HOPLINE_HISTORY is no address; write postgresql://USER@HOST:PORT/NAME") from error
        self.where = f"PostgreSQL at {parts.hostname or 'this machine'}:{port}{parts.path}"

    def connect(self, seconds_max: float, generation: str = "", *, read_only: bool = False) -> Connection:
        """Open a connection whose statements are limited. Raises `AwayError`."""
        try:
            connection: Connection = psycopg.connect(
                self._url, autocommit=True, connect_timeout=CONNECT_SECONDS_MAX, application_name="hopline"
            )
        except (psycopg.Error, UnicodeError) as error:
            # Its own words may repeat what the address holds.
            raise AwayError(
                f"{self.where} cannot be reached ({type(error).__name__}); "
                "see whether it runs, and what HOPLINE_HISTORY says"
            ) from None
        limits = {"statement_timeout": str(int(1_000 * seconds_max)), "lock_timeout": "5000"}
        if generation:
            limits["search_path"] = generation
        if read_only:
            limits["default_transaction_read_only"] = "on"
        with _explained(self.where):
            for name, value in limits.items():
                connection.execute("select set_config(%s, %s, false)", (name, value))
        return connection

    @contextmanager
    def lock(self, purpose: str) -> Iterator[None]:
        """See `Home.lock`."""
        connection = self.connect(CONNECT_SECONDS_MAX)
        try:
            with _explained(self.where):
                found = connection.execute("select pg_try_advisory_lock(%s)", (LOCKS[purpose],)).fetchone()
            if found is None or not found[0]:
                raise TakenError(
                    f"another process does so already ({purpose} of {self.where}); "
                    "let it go on, or find it in pg_stat_activity (application_name hopline) and end it"
                )
            yield
        finally:
            connection.close()

    def current(self) -> str | None:
        """See `Home.current`."""
        connection = self.connect(CONNECT_SECONDS_MAX)
        try:
            with _explained(self.where):
                return _current(connection)
        finally:
            connection.close()

    def fresh(self) -> str:
        """See `Home.fresh`."""
        return PREFIX + digest(str(time.time_ns()).encode()).hex()[:8]

    def clear(self) -> None:
        """See `Home.clear`."""
        connection = self.connect(WRITE_SECONDS_MAX)
        try:
            with _explained(self.where):
                _drop_but(connection, _current(connection))
        finally:
            connection.close()

    def writer(self, generation: str) -> PostgresWriter:
        """See `Home.writer`."""
        return PostgresWriter(self, generation)

    def reader(self, seconds_max: float) -> PostgresReader:
        """See `Home.reader`."""
        current = self.current()
        if current is None:
            raise MissingError(self.where)
        return PostgresReader(self, current, seconds_max)

    def publish(self, generation: str) -> None:
        """See `Home.publish`."""
        connection = self.connect(WRITE_SECONDS_MAX)
        try:
            with _explained(self.where), connection.transaction():
                connection.execute(
                    sql.SQL(
                        "create table if not exists {} (one integer primary key check (one = 1), name text)"
                    ).format(POINTER)
                )
                connection.execute(
                    sql.SQL(
                        "insert into {} values (1, %s) on conflict (one) do update set name = excluded.name"
                    ).format(POINTER),
                    (generation,),
                )
            with _explained(self.where):
                _drop_but(connection, generation)
        finally:
            connection.close()


def _current(connection: Connection) -> str | None:
    found = connection.execute("select to_regclass('public.history_hopline')").fetchone()
    if found is None or found[0] is None:
        return None
    name = connection.execute(sql.SQL("select name from {}").format(POINTER)).fetchone()
    return str(name[0]) if name is not None and _exists(connection, name[0]) else None


def _exists(connection: Connection, generation: str) -> bool:
    return connection.execute("select 1 from pg_namespace where nspname = %s", (generation,)).fetchone() is not None


def _drop_but(connection: Connection, kept: str | None) -> None:
    found = connection.execute("select nspname from pg_namespace where nspname ~ %s", (f"^{PREFIX}[0-9a-f]{{8}}$",))
    for (name,) in found.fetchall():
        if name != kept:
            connection.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(name)))


def _check_format(connection: Connection, where: str) -> None:
    with _explained(where):
        found = connection.execute("select format from standing").fetchone()
    if found is None or found[0] != FORMAT:
        raise HistoryError(f"{where} is of another version; build it anew: `hopline history rebuild`")


def _offsets(connection: Connection) -> dict[Place, int]:
    return {(topic, lane): after for topic, lane, after in connection.execute("select topic, lane, next from offsets")}


@contextmanager
def _explained(where: str) -> Iterator[None]:
    """Say in words what went wrong. What PostgreSQL says of a value stays out: it may be a tenant's."""
    try:
        yield
    except psycopg.errors.QueryCanceled as error:
        raise SlowError("the search took too long; ask for less time, or for more that narrows it") from error
    except psycopg.errors.UndefinedTable as error:
        raise AwayError(f"{where}: its tables have gone, perhaps it was just built anew; try again") from error
    except (psycopg.OperationalError, psycopg.errors.LockNotAvailable) as error:
        raise AwayError(f"{where} does not answer ({type(error).__name__}); see docs/runbooks/history.md") from error
    except psycopg.Error as error:
        if isinstance(error, psycopg.errors.UniqueViolation):
            raise
        raise HistoryError(f"{where}: {type(error).__name__}; see docs/runbooks/history.md") from error
