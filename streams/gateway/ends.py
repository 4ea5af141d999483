"""Where directives stand, as a gateway knows it from the audit: no request waits for a read of Kafka.

The audit has one line for each change of a directive's status, so following it is cheap where following the tenants'
signals or scanning the lanes' state for each request would not be. The newest of a week are kept in memory, within
bounds; who waits for an end is woken by its line.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from processors.directives import audit
from processors.directives.record import KEPT_MS, Status
from streams.gateway.following import Span

log = logging.getLogger(__name__)

ENDS_MAX: Final = 50_000
TENANT_ENDS_MAX: Final = 1_000
WAITING_LINES_MAX: Final = 64


def span(lanes: int) -> Span:
    """Return how much of the audit is read at first: what is kept at the most, whichever lanes it is in."""
    return Span(age_ms=KEPT_MS, records_max=max(TENANT_ENDS_MAX, ENDS_MAX // lanes))


class End(msgspec.Struct, frozen=True):
    """Where one directive stands; the end of it, mostly."""

    tenant: str
    key: str
    directive: str
    status: Status
    requester: str
    requested_ms: int
    due_ms: int
    finished_ms: int
    error: str
    event: str
    mark: str
    kept: bool


class Ends:
    """A `View` of the topic `audit`."""

    def __init__(self) -> None:
        self._all: OrderedDict[tuple[str, str], End] = OrderedDict()
        self._mine: dict[str, dict[str, None]] = {}
        """For each tenant its keys, the oldest change first."""
        self._next = (self._all, self._mine)
        self._waiting: dict[tuple[str, str], list[asyncio.Queue[End]]] = {}
        self.complete_once = False

    def begin(self) -> None:
        """See `View.begin`."""
        self._next = (OrderedDict(), {})

    def complete(self) -> None:
        """See `View.complete`."""
        self._all, self._mine = self._next
        self.complete_once = True

    def take(self, record: Any) -> None:
        """See `View.take`."""
        try:
            entry = audit.read(record.value or b"")
        except msgspec.DecodeError:
            log.warning("a line of the audit cannot be read: lane %d, offset %d", record.partition, record.offset)
            return
        name = (entry.tenant, entry.key)
        ended = entry.outcome is not Status.REQUESTED
        before = self._next[0].get(name) if ended else None
        waited = before is not None and before.status is Status.REQUESTED
        end = End(
            tenant=entry.tenant,
            key=entry.key,
            directive=entry.directive,
            status=entry.outcome,
            requester=entry.requester,
            requested_ms=before.requested_ms if before is not None and waited else entry.at_ms,
            due_ms=entry.due_ms,
            finished_ms=entry.at_ms if ended else 0,
            error=entry.error,
            event=entry.event,
            mark=entry.mark,
            kept=entry.kept,
        )
        if end.kept:
            self._keep(name, end)
        for queue in self._waiting.get(name, ()):
            if not queue.full():
                queue.put_nowait(end)

    def _keep(self, name: tuple[str, str], end: End) -> None:
        everything, mine = self._next
        everything[name] = end
        everything.move_to_end(name)
        keys = mine.setdefault(end.tenant, {})
        keys.pop(end.key, None)
        keys[end.key] = None
        if len(keys) > TENANT_ENDS_MAX:
            self._forget((end.tenant, next(iter(keys))))
        if len(everything) > ENDS_MAX:
            self._forget(next(iter(everything)))

    def _forget(self, name: tuple[str, str]) -> None:
        everything, mine = self._next
        del everything[name]
        tenant, key = name
        del mine[tenant][key]
        if not mine[tenant]:
            del mine[tenant]

    def find(self, tenant: str, key: str, now_ms: int) -> End | None:
        """Return where a directive stands; None if it is not among the newest, or ended more than a week ago."""
        end = self._all.get((tenant, key))
        return None if end is None or _old(end, now_ms) else end

    def of(self, tenant: str, now_ms: int, limit: int) -> list[End]:
        """Return a tenant's directives, the last changed first."""
        found = (self._all[tenant, key] for key in reversed(self._mine.get(tenant, {})))
        return [end for end in found if not _old(end, now_ms)][:limit]

    @contextmanager
    def waiting(self, tenant: str, key: str) -> "Iterator[asyncio.Queue[End]]":
        """Give every line of a key that comes from now on."""
        queue: asyncio.Queue[End] = asyncio.Queue(WAITING_LINES_MAX)
        queues = self._waiting.setdefault((tenant, key), [])
        queues.append(queue)
        try:
            yield queue
        finally:
            queues.remove(queue)
            if not queues:
                self._waiting.pop((tenant, key), None)


def _old(end: End, now_ms: int) -> bool:
    return bool(end.finished_ms) and end.finished_ms + KEPT_MS <= now_ms
