"""The audit: who changed what and when, before and after, each entry bound to the one before it by its digest."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import msgspec

from processors.directives.record import Directive, Head, Status

DIGEST_BYTES: Final = 32
ENTRY_VERSION: Final = 1


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One line of a tenant's audit, as it stands in the topic."""

    sequence: int
    previous: str
    """The digest of the entry before it, in hexadecimal; empty for the first."""
    at_ms: int
    tenant: str
    directive: str
    key: str
    requester: str
    outcome: Status
    before: Any = None
    after: Any = None
    error: str = ""
    version: int = ENTRY_VERSION
    event: str = ""
    """The id of the event that asked."""
    due_ms: int = 0
    mark: str = ""
    """Tells two directives under one key apart without telling their payloads; empty where no secret is given."""
    kept: bool = True
    """False for an answer that is not the directive's of this key: it was not its to give."""


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Entry).decode


def digest_of(line: bytes) -> bytes:
    """Return what binds the next entry to this one."""
    return blake2b(line, digest_size=DIGEST_BYTES).digest()


@dataclass(frozen=True, slots=True)
class Told:
    """What an entry says beside the directive itself."""

    before: object = None
    after: object = None
    mark: str = ""
    kept: bool = True


def extend(head: Head, tenant: str, directive: Directive, at_ms: int, told: Told) -> bytes:
    """Return the next line, and move the end of the chain behind it."""
    head.sequence += 1
    line = _encode(
        Entry(
            sequence=head.sequence,
            previous=head.digest.hex(),
            at_ms=at_ms,
            tenant=tenant,
            directive=directive.name,
            key=directive.key,
            requester=directive.requester,
            outcome=directive.status,
            before=told.before,
            after=told.after,
            error=directive.error,
            event=directive.id,
            due_ms=directive.due_ms,
            mark=told.mark,
            kept=told.kept,
        )
    )
    head.digest = digest_of(line)
    return line


def read(line: bytes) -> Entry:
    """Read a line. Raises `msgspec.DecodeError` for what is none."""
    return _decode(line)


def broken(lines: Iterable[bytes], head: Head | None = None) -> list[str]:
    """Return what is wrong with a tenant's chain, in words; nothing if it holds.

    The first line may have older ones before it that retention took; `head` is the end as state has it.
    """
    problems: list[str] = []
    sequence, digest = 0, ""
    for number, line in enumerate(lines):
        try:
            entry = read(line)
        except msgspec.DecodeError as error:
            problems.append(f"line {number} cannot be read: {error}")
            continue
        if number and entry.sequence != sequence + 1:
            problems.append(f"entry {sequence} is followed by {entry.sequence}")
        elif number and entry.previous != digest:
            problems.append(f"entry {entry.sequence} does not follow from the one before it: one of them was changed")
        sequence, digest = entry.sequence, digest_of(line).hex()
    if head is not None and (head.sequence, head.digest.hex()) != (sequence, digest):
        problems.append(f"the chain ends with entry {sequence}, and state says {head.sequence}")
    return problems
