"""Records over their tenant's rate: kept in state in their order, released as tokens come."""

from struct import Struct
from typing import Final

import msgspec

from processors.ingest.tenant import HOP, QUEUE_BYTES_MAX, Account
from processors.state import Overlay, value_key
from processors.timers import Timers
from processors.vocabulary.record import PlainRecord, Record

RELEASES_MAX: Final = 1_000
"""Records released in one batch, so that a long queue cannot make one batch long."""
TENANTS_DUE_MAX: Final = 256
_U64: Final = Struct(">Q")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(
    tuple[str, int, int, int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]
).decode
DUE: Final = Timers.of(HOP, b"due")
"""Whose queue moves next."""


def queue_prefix(line: str) -> bytes:
    """Return what the keys of the records begin with that wait in a queue: a tenant's own, or a replay's."""
    tenant, _, replay = line.partition("\0")
    return value_key(tenant, HOP, b"replayqueue/%b/" % replay.encode() if replay else b"queue/")


def _queue_key(line: str, number: int) -> bytes:
    return queue_prefix(line) + _U64.pack(number)


def unpack_queued(packed: bytes) -> PlainRecord:
    """Read a record that waits."""
    return PlainRecord(*_decode(packed))


def fits(account: Account, record: Record) -> bool:
    """Tell whether one more record may wait."""
    room = account.queued < account.policy.queue_records
    return room and account.queue_bytes + len(record.value or b"") <= QUEUE_BYTES_MAX


def push(overlay: Overlay, line: str, account: Account, topic: str, record: Record) -> None:
    """Put a record at the end of a queue: the tenant's own, or that of a replay (`replay.line_of`)."""
    packed = _encode(
        (
            topic,
            record.partition,
            record.offset,
            record.timestamp,
            record.key,
            record.value,
            list(record.headers),
        )
    )
    overlay.put(_queue_key(line, account.queue_tail), packed)
    account.queue_tail += 1
    account.queue_bytes += len(record.value or b"")


def pop(overlay: Overlay, line: str, account: Account) -> PlainRecord:
    """Take the record at the head of a queue."""
    key = _queue_key(line, account.queue_head)
    packed = overlay.get(key)
    if packed is None:
        message = f"queue of {line!r} has no record {account.queue_head}: its state is damaged"
        raise LookupError(message)
    overlay.put(key, None)
    account.queue_head += 1
    record = unpack_queued(packed)
    account.queue_bytes -= len(record.value or b"")
    return record


def schedule(overlay: Overlay, tenant: str, account: Account, now_ms: int) -> None:
    """Keep exactly one due entry for a tenant whose queue is not empty and not held, none for the others."""
    if account.due_ms:
        DUE.clear(overlay, account.due_ms, tenant.encode())
        account.due_ms = 0
    if account.queued and not account.policy.held:
        account.due_ms = account.token_due_ms(now_ms)
        DUE.set(overlay, account.due_ms, tenant.encode())


def due_lines(overlay: Overlay, now_ms: int) -> list[str]:
    """Return whose next release has fallen due, longest overdue first: tenants, and replays (`replay.line_of`)."""
    return [what.decode() for _, what in DUE.due(overlay, now_ms, TENANTS_DUE_MAX)]
