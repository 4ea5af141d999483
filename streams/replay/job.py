"""A replay as its worker knows it: what is wanted, how far it is, what became of it. Kept in the topic `replays`."""

from enum import StrEnum
from typing import Any, Final

import msgspec

from processors.vocabulary.timestamps import rfc3339
from streams.replay.selection import Selection

TENANTS_MAX: Final = 1_000
"""Of one replay: each of them is told by a directive of its own."""
VERSION: Final = 1


class Status(StrEnum):
    """How far a replay is. One whose worker was killed is `running` and hears nothing: resume it."""

    RUNNING = "running"
    COMPLETED = "completed"
    STOPPED = "stopped"


class Job(msgspec.Struct):
    """One replay."""

    id: str
    selection: Selection
    rate_per_second: float
    lasts_ms: int
    kind: str = "replay"
    started_ms: int = 0
    updated_ms: int = 0
    status: Status = Status.RUNNING
    begins: dict[int, int] = {}
    """Lane → first offset of the range."""
    ends: dict[int, int] = {}
    """Lane → first offset behind the range: what is written later is not in it, its own signals least of all."""
    next: dict[int, int] = {}
    """Lane → offset to read next: everything before it is written and confirmed."""
    expected: int = 0
    """How many records were chosen when it was planned."""
    tenants: dict[str, str] = {}
    """Tenant → why its lane has refused the replay; nothing if it has not."""
    read: int = 0
    chosen: int = 0
    written: int = 0
    skipped: dict[str, int] = {}
    approximate: list[str] = []
    """Where it is not exactly what was asked for, and why."""
    outcome: dict[str, int] = {}
    """At its end: what the lanes have counted."""
    version: int = VERSION

    def skip(self, why: str) -> None:
        """Count a record that is not replayed."""
        self.skipped[why] = self.skipped.get(why, 0) + 1

    def shown(self) -> dict[str, Any]:
        """Return what people and programs see of it."""
        left = max(0, self.expected - self.written) / self.rate_per_second
        return {
            "replay": self.id,
            "kind": self.kind,
            "status": self.status.value,
            "what": self.selection.words(),
            "rate_per_second": self.rate_per_second,
            "started": rfc3339(self.started_ms),
            "last_heard_of": rfc3339(self.updated_ms),
            "expected": self.expected,
            "read": self.read,
            "chosen": self.chosen,
            "written": self.written,
            "skipped": self.skipped,
            "next": {str(lane): offset for lane, offset in sorted(self.next.items())},
            "left_seconds": round(left, 1) if self.status is Status.RUNNING else 0,
            "tenants": len(self.tenants),
            "refused": {tenant: why for tenant, why in self.tenants.items() if why},
            "approximate": bool(self.approximate),
            "why_approximate": self.approximate,
            "outcome": self.outcome,
        }


encode: Final = msgspec.json.Encoder().encode
decode: Final = msgspec.json.Decoder(Job).decode
