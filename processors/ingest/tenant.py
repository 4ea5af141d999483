"""A tenant at the door: its policy, which people set, and its account, which each signal changes."""

from dataclasses import dataclass
from enum import StrEnum
from math import ceil
from struct import Struct
from typing import Final

import msgspec

from processors.state import value_key

HOP: Final = "ingest"
_MICRO: Final = 1_000_000
_ACCOUNT: Final = Struct(">12Q")
_ACCOUNT_KEY_END: Final = value_key("", HOP, b"account")[1:]
_ACCOUNT_BYTES: Final = _ACCOUNT.size
_unpack: Final = _ACCOUNT.unpack_from
_POLICIES_MAX: Final = 10_000

RATE_MAX: Final = 1_000_000
RATE_MIN: Final = 0.001
"""Per second: one in a thousand seconds. Smaller rates would overflow the time of the next token."""
BURST_MAX: Final = 1_000_000
QUEUE_RECORDS_MAX: Final = 10_000
QUEUE_BYTES_MAX: Final = 16 * 1_048_576
DEDUPE_WINDOW_MS_MAX: Final = 7 * 24 * 3_600_000


class Status(StrEnum):
    """Whether a tenant's signals are handled."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    DELETED = "deleted"


class Over(StrEnum):
    """What happens to a signal over the tenant's rate."""

    DEFER = "defer"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Policy:
    """What a person sets for a tenant. A rate of 0 is no limit; a window of 0 is no dedupe."""

    status: Status = Status.ACTIVE
    rate_per_second: float = 0.0
    burst: int = 100
    over: Over = Over.DEFER
    queue_records: int = 1_000
    dedupe_window_ms: int = 24 * 3_600_000
    held: bool = False
    """Signals wait in their order, whatever the rate, until they are let go."""
    seen_from_ms: int = 0
    """Ids seen before that count as new: the tenant's window was cleared then."""
    typed: bool = False
    """Some of its types of signals are enforced or deprecated: each signal's is looked up."""


_encode_policy = msgspec.msgpack.Encoder().encode
_decode_policy = msgspec.msgpack.Decoder(Policy).decode
_policies: dict[bytes, Policy] = {}


def _policy_of(packed: bytes) -> Policy:
    """Decode a policy once: most tenants share theirs to the byte."""
    found = _policies.get(packed)
    if found is None:
        if len(_policies) >= _POLICIES_MAX:
            _policies.clear()
        found = _policies[packed] = _decode_policy(packed)
    return found


class Account(msgspec.Struct, gc=False):
    """Mutable, and alive for one batch: loaded from state, changed record by record, packed again.

    A struct of msgspec, for a batch of 100,000 tenants' signals makes one for nearly each signal.
    """

    policy: Policy
    own_policy: bytes
    key: bytes = b""
    """Where it stands in state."""
    handled: int = 0
    duplicates: int = 0
    dead: int = 0
    commands: int = 0
    micro_tokens: int = 0
    refilled_ms: int = 0
    queue_head: int = 0
    queue_tail: int = 0
    queue_bytes: int = 0
    due_ms: int = 0
    created_ms: int = 0
    last_ms: int = 0
    known: bool = True
    changed: bool = False
    batch_handled: int = 0
    """Of `handled` and `commands`, how many are of this batch."""
    batch_duplicates: int = 0

    @classmethod
    def load(cls, packed: bytes | None, default: Policy, key: bytes = b"") -> "Account":
        """Read an account; one that is not there yet has `known` false."""
        if packed is None:
            return cls(default, b"", key, known=False)
        own = packed[_ACCOUNT_BYTES:]
        return cls(_policy_of(own) if own else default, own, key, *_unpack(packed))

    def pack(self) -> bytes:
        """Return the bytes of the state."""
        return (
            _ACCOUNT.pack(
                self.handled,
                self.duplicates,
                self.dead,
                self.commands,
                self.micro_tokens,
                self.refilled_ms,
                self.queue_head,
                self.queue_tail,
                self.queue_bytes,
                self.due_ms,
                self.created_ms,
                self.last_ms,
            )
            + self.own_policy
        )

    @property
    def queued(self) -> int:
        """How many records wait."""
        return self.queue_tail - self.queue_head

    def add_duplicate(self) -> None:
        """Count a signal that was seen before."""
        self.duplicates += 1
        self.batch_duplicates += 1

    def create(self, now_ms: int) -> None:
        """Begin the account: the bucket starts full."""
        self.known = True
        self.created_ms = now_ms
        self.refilled_ms = now_ms
        self.fill()

    def fill(self) -> None:
        """Fill the bucket."""
        self.micro_tokens = self.policy.burst * _MICRO

    def set_policy(self, policy: Policy, now_ms: int) -> None:
        """Put a policy in force. Tokens above the new burst are gone; none are given."""
        self.refill(now_ms)
        if self.policy.rate_per_second <= 0:
            self.micro_tokens = policy.burst * _MICRO
        self.micro_tokens = min(self.micro_tokens, policy.burst * _MICRO)
        self.policy = policy
        self.own_policy = _encode_policy(policy)

    def refill(self, now_ms: int) -> None:
        """Add what the time since the last refill has earned."""
        if now_ms > self.refilled_ms:
            earned = int((now_ms - self.refilled_ms) * self.policy.rate_per_second * 1_000)
            self.micro_tokens = min(self.policy.burst * _MICRO, self.micro_tokens + earned)
            self.refilled_ms = now_ms

    def take_token(self, now_ms: int) -> bool:
        """Take one token, if there is one."""
        if self.policy.rate_per_second <= 0:
            return True
        self.refill(now_ms)
        if self.micro_tokens < _MICRO:
            return False
        self.micro_tokens -= _MICRO
        return True

    def token_due_ms(self, now_ms: int) -> int:
        """Return when the next token will be there."""
        if self.policy.rate_per_second <= 0 or self.micro_tokens >= _MICRO:
            return now_ms
        missing = _MICRO - self.micro_tokens
        return now_ms + max(1, ceil(missing / (self.policy.rate_per_second * 1_000)))


def account_key(tenant: str) -> bytes:
    """Return where a tenant's account stands in state."""
    return b"K%b%b" % (tenant.encode(), _ACCOUNT_KEY_END)
