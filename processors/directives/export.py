"""A tenant's state as a snapshot: every value at one place in the tenant's order, written where it can be read."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

import msgspec

from processors.directives import alerting
from processors.directives.audit import digest_of
from processors.directives.integrations import integrations_prefix, unpack_integration
from processors.directives.record import head_key, prefix, unpack, unpack_head
from processors.ingest.queue import queue_prefix, unpack_queued
from processors.ingest.tenant import Account, Policy, account_key
from processors.state import VALUE_KIND
from processors.step import Step, format_header
from processors.vocabulary import topics

KEYS_MAX: Final = 5_000
BYTES_MAX: Final = 4 * 1_048_576
PART_BYTES_MAX: Final = 524_288
_encode: Final = msgspec.json.Encoder(order="deterministic").encode


class Part(msgspec.Struct, frozen=True):
    """One record of the topic `exports`."""

    tenant: str
    digest: str
    """Of the whole: what the audit names."""
    part: int
    parts: int
    at_ms: int
    sequence: int
    """The commit in which it was written."""
    values: list[msgspec.Raw]


read_part: Final = msgspec.json.Decoder(Part).decode


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All of a tenant's values, each as a line of JSON."""

    lines: tuple[bytes, ...]
    digest: str

    def summary(self) -> dict[str, Any]:
        """Return what the audit says of it."""
        return {"values": len(self.lines), "bytes": sum(map(len, self.lines)), "digest": self.digest}

    def write(self, step: Step, tenant: str) -> None:
        """Write it in parts, in the transaction of this step."""
        parts: list[list[msgspec.Raw]] = [[]]
        room = PART_BYTES_MAX
        for line in self.lines:
            if parts[-1] and len(line) > room:
                parts.append([])
                room = PART_BYTES_MAX
            parts[-1].append(msgspec.Raw(line))
            room -= len(line)
        for number, values in enumerate(parts):
            part = Part(tenant, self.digest, number, len(parts), step.now_ms, step.sequence, values)
            step.emit(topics.EXPORTS, step.lane, (tenant.encode(), _encode(part), [format_header(step.write_format)]))


def of(step: Step, tenant: str) -> Snapshot | None:
    """Return a tenant's state as this step has made it so far; None if it is too large to be written at once."""
    begin = VALUE_KIND + tenant.encode() + b"\x00"
    found = step.overlay.scan(begin, KEYS_MAX + 1)
    if len(found) > KEYS_MAX or sum(len(value) for _, value in found) > BYTES_MAX:
        return None
    readers = _readers(tenant)
    lines = []
    for key, value in found:
        hop, _, name = key[len(begin) :].partition(b"\x00")
        reader = next((reader for prefix_, reader in readers if key.startswith(prefix_)), None)
        shown = {"raw": value} if reader is None else reader(value)
        lines.append(_encode({"hop": hop.decode(), "name": name.decode(errors="replace"), "value": shown}))
    if sum(map(len, lines)) > BYTES_MAX:
        return None
    return Snapshot(tuple(lines), digest_of(b"\n".join(lines)).hex())


def _readers(tenant: str) -> tuple[tuple[bytes, Callable[[bytes], Any]], ...]:
    return (
        (account_key(tenant), _account),
        (queue_prefix(tenant), _queued),
        (prefix(tenant), _directive),
        (head_key(tenant), _head),
        (integrations_prefix(tenant), lambda packed: unpack_integration(packed).shown()),
        (alerting.settings_prefix(tenant), alerting.shown),
    )


def _account(packed: bytes) -> dict[str, Any]:
    account = Account.load(packed, Policy())
    shown = {name: getattr(account, name) for name in account.__struct_fields__ if name not in _NOT_SHOWN}
    return {**shown, "policy": asdict(account.policy) if account.own_policy else None}


_NOT_SHOWN: Final = ("policy", "own_policy", "key", "known", "changed", "batch_handled", "batch_duplicates")


def _head(packed: bytes) -> dict[str, Any]:
    head = unpack_head(packed)
    return {"sequence": head.sequence, "digest": head.digest.hex(), "scheduled": head.scheduled}


def _queued(packed: bytes) -> dict[str, Any]:
    record = unpack_queued(packed)
    return {"topic": record.topic, "offset": record.offset, "bytes": len(record.value or b"")}


def _directive(packed: bytes) -> dict[str, Any]:
    """A payload may be private, and a sealed secret is not to be carried further: neither is shown."""
    shown = msgspec.structs.asdict(unpack(packed))
    return {name: value for name, value in shown.items() if name not in {"payload", "progress"}}
