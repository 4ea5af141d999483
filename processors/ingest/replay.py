"""The replays that a tenant's lane knows: each with a rate, a queue and an end of its own. All stand in one key.

One key and not one for each: a `replayid` that somebody has made up costs one look-up a tenant and batch, however many
are made up.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import msgspec

from processors.ingest import queue
from processors.ingest.tenant import DEDUPE_WINDOW_MS_MAX, HOP, QUEUE_RECORDS_MAX, Account, Policy
from processors.state import Overlay, value_key
from processors.step import Step
from processors.vocabulary.ids import digest

RUNNING_MAX: Final = 8
"""Of one tenant at a time."""
REMEMBERED_MAX: Final = 16
"""Of one tenant, those that have ended included."""
RATE_MAX: Final = 10_000
BURST_MAX: Final = 1_000
LASTS_MS_MIN: Final = 60_000
LASTS_MS_MAX: Final = DEDUPE_WINDOW_MS_MAX
"""What was replayed is remembered to the end of its replay, so that it may last no longer than ids are remembered."""
KEPT_MS: Final = 24 * 3_600_000
"""How long one that has ended is known: what comes of it so late is set aside, not taken for live."""
WHAT_CHARACTERS_MAX: Final = 256
HELD_LOOK_MS: Final = 60_000
VERSION: Final = 1


class Standing(StrEnum):
    """How far a replay is."""

    RUNNING = "running"
    COMPLETED = "completed"
    STOPPED = "stopped"
    EXPIRED = "expired"


@dataclass(slots=True)
class Replay:
    """Mutable, and alive for one batch, as an account is. Its account has its rate, its queue and its counts."""

    id: str
    account: Account
    ends_ms: int
    """When it expires; when it has ended, when it is forgotten."""
    standing: Standing = Standing.RUNNING
    redrive: bool = False
    """Of dead letters: what was handled meanwhile is not handled again, and what it handles counts as seen."""
    what: str = ""

    @property
    def began_ms(self) -> int:
        """When the lane came to know it."""
        return self.account.created_ms

    def runs(self, now_ms: int) -> bool:
        """Tell whether what carries its id counts as replayed."""
        return self.standing is Standing.RUNNING and now_ms < self.ends_ms

    def member(self, tenant: str, source: str, identity: str) -> bytes:
        """Return what stands for a signal's identity within this replay among the ids seen."""
        return digest(f"{tenant}\0{source}\0{identity}\0{self.id}".encode())

    def end(self, standing: Standing, now_ms: int) -> None:
        """Let it run no longer. What waits in its queue still goes on."""
        self.standing = standing
        self.ends_ms = now_ms + KEPT_MS

    def shown(self) -> dict[str, Any]:
        """Return what the audit and people see of it."""
        return {
            "replay": self.id,
            "standing": self.standing.value,
            "rate_per_second": self.account.policy.rate_per_second,
            "redrive": self.redrive,
            "what": self.what,
            "handled": self.account.handled,
            "duplicates": self.account.duplicates,
            "queued": self.account.queued,
            "ends_ms": self.ends_ms,
        }


@dataclass(slots=True)
class Replays:
    """Those of one tenant."""

    tenant: str
    by_id: dict[str, Replay] = field(default_factory=dict)
    changed: bool = False

    @classmethod
    def load(cls, overlay: Overlay, tenant: str) -> "Replays":
        """Read them; mostly there are none."""
        return cls(tenant, unpack(overlay.get(replays_key(tenant))))

    def save(self, overlay: Overlay) -> None:
        """Write them back."""
        packed = _encode((VERSION, [_wire(replay) for replay in self.by_id.values()])) if self.by_id else None
        overlay.put(replays_key(self.tenant), packed)
        self.changed = False

    def start(self, replay_id: str, step: Step, *, rate_per_second: float, lasts_ms: int) -> Replay:
        """Begin one, its bucket full. The caller has seen to it that there is room."""
        burst = max(1, min(BURST_MAX, round(rate_per_second)))
        policy = Policy(rate_per_second=rate_per_second, burst=burst, queue_records=QUEUE_RECORDS_MAX)
        account = Account(policy, b"")
        account.set_policy(policy, step.now_ms)
        account.create(step.now_ms)
        replay = Replay(replay_id, account, step.now_ms + lasts_ms)
        self.by_id[replay_id] = replay
        self.changed = True
        return replay

    def make_room(self, overlay: Overlay) -> bool:
        """Forget the one that ended first if there are too many; tell whether one more may run."""
        running = sum(replay.standing is Standing.RUNNING for replay in self.by_id.values())
        if running >= RUNNING_MAX:
            return False
        if len(self.by_id) >= REMEMBERED_MAX:
            ended = [r for r in self.by_id.values() if r.standing is not Standing.RUNNING and not r.account.queued]
            if not ended:
                return False
            self.forget(overlay, min(ended, key=lambda replay: replay.ends_ms))
        return True

    def forget(self, overlay: Overlay, replay: Replay) -> None:
        """Know it no longer."""
        _unschedule(overlay, self.tenant, replay)
        del self.by_id[replay.id]
        self.changed = True

    def settle(self, step: Step, replay: Replay, *, held: bool) -> None:
        """End what has expired, forget what ended long ago, and wake for what comes next."""
        now_ms = step.now_ms
        if now_ms >= replay.ends_ms:
            if replay.standing is Standing.RUNNING:
                replay.end(Standing.EXPIRED, now_ms)
            elif not replay.account.queued:
                self.forget(step.overlay, replay)
                return
        _unschedule(step.overlay, self.tenant, replay)
        # While the tenant is held nothing is released; whoever lets it go on settles its replays, too.
        due_ms = replay.ends_ms if now_ms < replay.ends_ms else now_ms + HELD_LOOK_MS
        if replay.account.queued and not held:
            due_ms = min(due_ms, replay.account.token_due_ms(now_ms))
        replay.account.due_ms = due_ms
        queue.DUE.set(step.overlay, due_ms, line_of(self.tenant, replay.id).encode())
        step.wake_at(due_ms)
        self.changed = True


_Wire = tuple[str, str, int, bool, str, bytes]
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(tuple[int, list[_Wire]]).decode
_DEFAULT: Final = Policy()


def replays_key(tenant: str) -> bytes:
    """Return where a tenant's replays stand in state."""
    return value_key(tenant, HOP, b"replays")


def unpack(packed: bytes | None) -> dict[str, Replay]:
    """Read a tenant's replays."""
    if packed is None:
        return {}
    _, wires = _decode(packed)
    return {wire[0]: _read(wire) for wire in wires}


def line_of(tenant: str, replay_id: str) -> str:
    """Return what the queue of a replay is called; a tenant's own is called like the tenant."""
    return f"{tenant}\0{replay_id}"


def settle_all(step: Step, tenant: str, *, held: bool) -> None:
    """Wake the queues of a tenant's replays, for it was held and goes on, or the other way round."""
    replays = Replays.load(step.overlay, tenant)
    for replay in list(replays.by_id.values()):
        replays.settle(step, replay, held=held)
    if replays.changed:
        replays.save(step.overlay)


def _unschedule(overlay: Overlay, tenant: str, replay: Replay) -> None:
    if replay.account.due_ms:
        queue.DUE.clear(overlay, replay.account.due_ms, line_of(tenant, replay.id).encode())
        replay.account.due_ms = 0


def _wire(replay: Replay) -> _Wire:
    packed = replay.account.pack()
    return replay.id, replay.standing.value, replay.ends_ms, replay.redrive, replay.what, packed


def _read(wire: _Wire) -> Replay:
    replay_id, standing, ends_ms, redrive, what, packed = wire
    return Replay(replay_id, Account.load(packed, _DEFAULT), ends_ms, Standing(standing), redrive, what)
