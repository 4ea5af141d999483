"""A directive in state: what was asked, by whom, where it stands, and what came of it."""

from enum import StrEnum
from typing import Final

import msgspec

from processors.state import value_key
from processors.timers import Timers

HOP: Final = "directives"
VERSION: Final = 1
KEPT_MS: Final = 7 * 24 * 3_600_000
"""How long the same idempotency key gives the same answer."""
SCHEDULED_MAX: Final = 1_000
"""Directives of one tenant that wait for their time."""
KEY_CHARACTERS_MAX: Final = 256


class Status(StrEnum):
    """Where a directive stands. Most run within one commit, so that nobody sees them running."""

    REQUESTED = "requested"
    RUNNING = "running"
    """Begun, and spread over several commits."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"


class Directive(msgspec.Struct, array_like=True, gc=False):
    """Mutable, and alive for one batch: loaded from state, changed, packed again."""

    key: str
    """Unique for its tenant: the idempotency key, or else the event's source and id."""
    name: str
    id: str
    """Of the event that asked for it."""
    correlation: str
    requester: str
    fingerprint: bytes
    """Of name and payload: the same key with another one is a mistake."""
    payload: bytes
    requested_ms: int
    due_ms: int
    expires_ms: int
    status: Status = Status.REQUESTED
    attempts: int = 0
    finished_ms: int = 0
    error: str = ""
    version: int = VERSION
    progress: bytes = b""
    """Of one that runs: how far it has come, in its kind's own words."""
    granted: tuple[str, ...] = ()
    """What its requester may: it counts when the directive is carried out, too."""
    trace: str = ""
    """The context that it came with: it may end long after the record is gone that carried it."""


class Head(msgspec.Struct, array_like=True, gc=False):
    """The end of a tenant's audit chain, and how many of its directives wait."""

    sequence: int = 0
    digest: bytes = b""
    scheduled: int = 0


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Directive).decode
_decode_head: Final = msgspec.msgpack.Decoder(Head).decode


def pack(thing: Directive | Head) -> bytes:
    """Return the bytes of the state."""
    return _encode(thing)


def unpack(packed: bytes) -> Directive:
    """Read a directive."""
    return _decode(packed)


def unpack_head(packed: bytes | None) -> Head:
    """Read the end of a chain; a tenant without one begins it."""
    return Head() if packed is None else _decode_head(packed)


def prefix(tenant: str) -> bytes:
    """Return what the keys of all directives of a tenant begin with."""
    return value_key(tenant, HOP, b"d/")


def directive_key(tenant: str, key: str) -> bytes:
    """Return where a directive stands."""
    return prefix(tenant) + key.encode()


def waiting_prefix(tenant: str) -> bytes:
    """Return what the marks of those of a tenant begin with that wait; a directive's key follows."""
    return value_key(tenant, HOP, b"waits/")


def head_key(tenant: str) -> bytes:
    """Return where the end of a tenant's chain stands."""
    return value_key(tenant, HOP, b"head")


DUE: Final = Timers.of(HOP, b"due")
"""What waits for its time."""
RUNNING: Final = Timers.of(HOP, b"running")
"""What is spread over several commits, by when it began."""
ENDED: Final = Timers.of(HOP, b"ended")
"""What is finished, by when it is forgotten."""


def timed_name(tenant: str, key: str) -> bytes:
    """Return what stands for a directive in the two indexes."""
    return b"%b\x00%b" % (tenant.encode(), key.encode())


def timed(name: bytes) -> tuple[str, str]:
    """Return whose and which directive it is."""
    tenant, _, key = name.partition(b"\x00")
    return tenant.decode(), key.decode()
