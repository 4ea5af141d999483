"""What a kind of directive is: its name, who may send it, what its payload holds, and what it changes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import msgspec

from processors.alerting.rule import Threshold
from processors.directives import alerting
from processors.directives.integrations import drop, integrations_of
from processors.directives.record import SCHEDULED_MAX, Directive, directive_key, unpack, waiting_prefix
from processors.ingest import policy
from processors.ingest.door import IngestSettings
from processors.ingest.policy import TenantChange
from processors.ingest.tenant import Policy, Status
from processors.step import Step
from processors.validation.payload import payload as read_payload
from processors.vocabulary import rules
from processors.vocabulary.reasons import Problem
from processors.vocabulary.rules import SYSTEM

P = TypeVar("P", bound=msgspec.Struct)


class RefusedError(Exception):
    """It cannot be carried out as things are, in words that its sender can act on. Nothing has been changed."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a directive is carried out."""

    step: Step
    tenant: str
    ingest: IngestSettings
    granted: frozenset[str] = frozenset()
    """What its requester may."""
    requester: str = ""
    cause: str = ""
    """The id of the event that asked for it."""
    alerts: Mapping[str, Threshold | None] = field(default_factory=dict)
    """The alerts that there are, with the bounds of their thresholds."""

    def policy(self) -> Policy | None:
        """Return the tenant's policy; None if there is no such tenant."""
        return policy.of(self.step, self.ingest, self.tenant)

    def require(self) -> Policy:
        """Return the tenant's policy. Raises `RefusedError` if there is no such tenant."""
        there = self.policy()
        if there is None:
            message = f"there is no tenant {self.tenant!r}; create it first"
            raise RefusedError(message)
        return there

    def change(self, wanted: TenantChange) -> "Applied":
        """Put a policy in force. Creates the tenant if need be; one that is deleted takes what it had along."""
        cancelled = self._left_behind() if wanted.status is Status.DELETED else ()
        return Applied(*policy.change(self.step, self.ingest, self.tenant, wanted), cancelled)

    def _left_behind(self) -> tuple[Directive, ...]:
        """Drop a deleted tenant's integrations and settings, and return what waits: the next of its name is new."""
        for one in integrations_of(self.step, self.tenant):
            drop(self.step, self.tenant, one.name)
        alerting.drop_all(self.step, self.tenant)
        return self.waiting()

    def waiting(self) -> tuple[Directive, ...]:
        """Return the tenant's directives that wait for their time."""
        overlay, begin = self.step.overlay, waiting_prefix(self.tenant)
        keys = [key[len(begin) :].decode() for key, _ in overlay.scan(begin, SCHEDULED_MAX)]
        found = overlay.get_many([directive_key(self.tenant, key) for key in keys])
        return tuple(unpack(packed) for packed in found if packed is not None)

    def set_typed(self, *, typed: bool) -> None:
        """Let the door look at the types of the tenant's signals, or not."""
        policy.set_typed(self.step, self.ingest, self.tenant, typed=typed)


@dataclass(frozen=True, slots=True)
class Applied:
    """What a directive has changed, as the audit shows it."""

    before: Any
    after: Any
    cancelled: tuple[Directive, ...] = ()
    """Those that waited, and are to wait no longer."""
    more: bytes = b""
    """What is not finished goes on with the next tick, from here."""


def no_problems(_: object) -> tuple[Problem, ...]:
    """Return that a payload of the right shape is right."""
    return ()


@dataclass(frozen=True, slots=True)
class Definition(Generic[P]):
    """One kind of directive. `apply` raises `RefusedError` before it changes anything, or changes all of it."""

    name: str
    """The type of the CloudEvent that asks for it."""
    summary: str
    permission: str
    payload: type[P]
    apply: Callable[[Place, P], Applied]
    judge: Callable[[P], tuple[Problem, ...]] = no_problems
    """What the shape does not say: bounds, and fields that must agree."""
    go_on: Callable[[Place, P, bytes], Applied] | None = None
    """For one whose work is spread over several commits: what `apply` left, from where it left it."""
    for_tenants: bool = True
    for_system: bool = False
    """Whether Hopline's own tenant takes it."""


def judged(definition: Definition[P], payload: bytes) -> tuple[P | None, tuple[Problem, ...]]:
    """Read a payload; return it, or None and what is wrong with it, by field."""
    found, problems = read_payload(definition.payload, payload)
    return (None, problems) if found is None else (found, definition.judge(found))


def misdirected(definition: Definition[Any], tenant: str) -> str:
    """Return why a directive is not for this tenant; nothing if it is."""
    if tenant == SYSTEM and definition.for_system:
        return ""
    if rules.is_reserved(tenant):
        return f"the tenant {tenant!r} is reserved; {definition.name} is not for it"
    return "" if definition.for_tenants else f"{definition.name} is for the tenant {SYSTEM!r} only"
