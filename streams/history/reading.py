"""Ask history: by reference, by filter, by cause. Each question is bounded in time, in rows, and to a tenant."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from processors.vocabulary.reasons import Problem
from streams.history.causality import DEPTH_MAX, NODES_MAX, Graph, graph_of
from streams.history.filters import Filter, FilterError, Query, compiled
from streams.history.keys import time_of
from streams.history.rows import AUDITED, Row, sum_of
from streams.history.store import AwayError, Home, Reader, SlowError, Standing

T = TypeVar("T")

_is_ref: Final = re.compile(r"[0-9a-f]{32}").fullmatch
QUERY_SECONDS_MAX: Final = 5.0
THREADS: Final = 4
WAITING_MAX: Final = 64
"""Questions that may wait for a thread; the next one is told that there are too many."""
LIMIT_MAX: Final = 1_000
PAGE_ROWS_MIN: Final = 64
PAGE_ROWS_MAX: Final = 512
ENDS_MAX: Final = 100
CAUSED_MAX: Final = 100
BEHIND_SECONDS: Final = 5.0
"""From so much on it is worth a word."""


class BusyError(Exception):
    """Too many questions at once; worth another attempt in a moment."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A page of a search, the newest first."""

    rows: tuple[Row, ...]
    cursor: str | None
    """Where the next page begins; None at the end."""
    complete: bool
    """False if the time ran out before the page was full: go on with the cursor."""
    searched_to_ms: int
    behind_seconds: float


@dataclass(frozen=True, slots=True)
class SignalHistory:
    """All that is known of one signal."""

    ref: str
    ends: tuple[Row, ...]
    """How each hop ended it, the oldest first."""
    outcomes: tuple[Row, ...]
    """If it was a directive: where that stood, one after the other."""
    caused: tuple[Row, ...]
    more_caused: bool
    behind_seconds: float


class History:
    """Questions to history, from as many tasks as like. A tenant of None is an operator, who sees all."""

    def __init__(self, home: Home, *, seconds_max: float = QUERY_SECONDS_MAX, threads: int = THREADS) -> None:
        self._home = home
        self._seconds_max = seconds_max
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="history")
        self._places = threads + WAITING_MAX

    def close(self) -> None:
        """Take no more questions."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def standing(self) -> Standing:
        """Return how far it has come. Raises `HistoryError`, as all of these do."""
        return await self._ask(lambda reader: reader.standing())

    async def signal(self, tenant: str | None, ref: str) -> SignalHistory | None:
        """Return what became of a signal; None if it is not there or another tenant's."""
        if not _is_ref(ref):
            return None
        return await self._ask(lambda reader: _signal(reader, tenant, ref))

    async def refs_of(self, tenant: str, id_: str) -> list[str]:
        """Return the references of a tenant's signals that have an id: one, unless several sources use the same."""
        found = await self._ask(lambda reader: reader.by_ids(tenant, [id_], ENDS_MAX))
        return list(dict.fromkeys(row.ref for _, row in found if row.status != AUDITED))

    async def search(self, tenant: str | None, wanted: Filter, *, cursor: str | None = None, limit: int = 50) -> Answer:
        """Return a page of what is asked for, within the tenant. Raises `FilterError`."""
        query = _bound(tenant, wanted)
        below = query.after(cursor)
        if not 1 <= limit <= LIMIT_MAX:
            raise FilterError((Problem("limit", f"must lie between 1 and {LIMIT_MAX}"),))
        deadline = time.monotonic() + self._seconds_max
        return await self._ask(lambda reader: _search(reader, query, below, limit, deadline))

    async def causes(
        self, tenant: str | None, ref: str, *, depth_max: int = DEPTH_MAX, nodes_max: int = NODES_MAX
    ) -> Graph | None:
        """Return the graph of causes and effects around a signal; None if it is not there or another tenant's."""
        if not (1 <= depth_max <= DEPTH_MAX and 1 <= nodes_max <= NODES_MAX):
            raise FilterError((Problem("depth", f"must lie between 1 and {DEPTH_MAX}, nodes {NODES_MAX}"),))
        if not _is_ref(ref):
            return None
        return await self._ask(lambda reader: _causes(reader, tenant, ref, depth_max, nodes_max))

    async def export(self, tenant: str | None, wanted: Filter) -> AsyncIterator[Row]:
        """Yield all that is asked for, page by page: nothing but a page is held."""
        cursor: str | None = None
        while True:
            answer = await self.search(tenant, wanted, cursor=cursor, limit=PAGE_ROWS_MAX)
            for row in answer.rows:
                yield row
            if answer.cursor is None:
                return
            cursor = answer.cursor

    async def _ask(self, question: Callable[[Reader], T]) -> T:
        if self._places <= 0:
            raise BusyError("too many questions at once; ask again in a moment")
        self._places -= 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._answer, question)
        finally:
            self._places += 1

    def _answer(self, question: Callable[[Reader], T]) -> T:
        try:
            reader = self._home.reader(self._seconds_max)
        except AwayError:
            # It may have been built anew between two looks.
            reader = self._home.reader(self._seconds_max)
        try:
            return question(reader)
        finally:
            reader.close()


def behind_seconds(standing: Standing) -> float:
    """Return how far history is behind the topics."""
    return max(0.0, time.time() - standing.complete_ms / 1_000)


def content_sum(home: Home, seconds_max: float) -> dict[str, str | int]:
    """Return the number of rows and their hash, which tells whether two histories are the same."""
    reader = home.reader(seconds_max)
    try:
        count, total = sum_of(reader.rows())
    finally:
        reader.close()
    return {"rows": count, "sum": f"{total:032x}"}


def _bound(tenant: str | None, wanted: Filter) -> Query:
    if tenant is not None:
        if wanted.tenant not in {None, tenant}:
            raise FilterError((Problem("tenant", "is another one than yours"),))
        wanted = replace(wanted, tenant=tenant)
    return compiled(wanted)


def _search(reader: Reader, query: Query, below: int, limit: int, deadline: float) -> Answer:
    plan, found = query.plan(), list[Row]()
    behind = behind_seconds(reader.standing())
    began, size = below, min(max(limit, PAGE_ROWS_MIN), PAGE_ROWS_MAX)

    def answer(cursor: str | None, *, complete: bool) -> Answer:
        return Answer(tuple(found), cursor, complete, time_of(below), behind)

    while True:
        try:
            page = reader.page(plan, below, size)
        except SlowError:
            if below == began:
                raise
            return answer(query.cursor(below), complete=False)
        for key, row in page:
            below = key
            if query.matches(row):
                found.append(row)
                if len(found) == limit:
                    return answer(query.cursor(key), complete=True)
        if len(page) < size:
            return answer(None, complete=True)
        if time.monotonic() > deadline:
            return answer(query.cursor(below), complete=False)
        size = min(2 * size, PAGE_ROWS_MAX)


def _signal(reader: Reader, tenant: str | None, ref: str) -> SignalHistory | None:
    ends = [row for _, row in reader.by_ref(tenant, ref, ENDS_MAX)]
    if not ends:
        return None
    first = ends[0]
    caused: list[Row] = []
    if first.id and first.status != AUDITED:
        caused = [row for _, row in reader.by_causes(first.tenant, [first.id], CAUSED_MAX + 1)]
    return SignalHistory(
        ref,
        tuple(sorted(ends, key=lambda row: (row.at_ms, row.topic, row.lane, row.offset))),
        tuple(row for row in caused if row.by),
        tuple(row for row in caused[:CAUSED_MAX] if not row.by),
        len(caused) > CAUSED_MAX,
        behind_seconds(reader.standing()),
    )


def _causes(reader: Reader, tenant: str | None, ref: str, depth_max: int, nodes_max: int) -> Graph | None:
    start = [row for _, row in reader.by_ref(tenant, ref, ENDS_MAX)]
    if not start:
        return None
    # From here on it is the tenant of the signal: no link leads out of it.
    whose = start[0].tenant

    def up(ids: Sequence[str], most: int) -> Sequence[Row]:
        return [row for _, row in reader.by_ids(whose, ids, most) if row.status != AUDITED]

    def down(ids: Sequence[str], most: int) -> Sequence[Row]:
        return [row for _, row in reader.by_causes(whose, ids, most)]

    return graph_of(start, up, down, depth_max=depth_max, nodes_max=nodes_max)
