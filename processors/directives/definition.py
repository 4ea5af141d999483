"""What a kind of directive is: its name, who may send it, what its payload holds, and what it changes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import msgspec

from processors.directives.record import Directive
from processors.ingest import policy
from processors.ingest.door import IngestSettings
from processors.ingest.policy import TenantChange
from processors.ingest.tenant import Policy
from processors.step import Step
from processors.validation.payload import payload as read_payload
from processors.vocabulary import rules
from processors.vocabulary.reasons import Problem

P = TypeVar("P", bound=msgspec.Struct)

ANY_TENANT: Final = "*"


class RefusedError(Exception):
    """It cannot be carried out as things are, in words that its sender can act on. Nothing has been changed."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a directive is carried out."""

    step: Step
    tenant: str
    ingest: IngestSettings

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
        """Put a policy in force. Creates the tenant if need be."""
        return Applied(*policy.change(self.step, self.ingest, self.tenant, wanted))

    def set_typed(self, *, typed: bool) -> None:
        """Let the door look at the types of the tenant's signals, or not."""
        policy.set_typed(self.step, self.ingest, self.tenant, typed=typed)


@dataclass(frozen=True, slots=True)
class Applied:
    """What a directive has changed, as the audit shows it."""

    before: Any
    after: Any
    cancelled: Directive | None = None
    """One that waited, and is to wait no longer."""


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
    tenant: str = ""
    """The reserved tenant that it is for, or `ANY_TENANT`; empty: any tenant but the reserved ones."""


def judged(definition: Definition[P], payload: bytes) -> tuple[P | None, tuple[Problem, ...]]:
    """Read a payload; return it, or None and what is wrong with it, by field."""
    found, problems = read_payload(definition.payload, payload)
    return (None, problems) if found is None else (found, definition.judge(found))


def misdirected(definition: Definition[Any], tenant: str) -> str:
    """Return why a directive is not for this tenant; nothing if it is."""
    if definition.tenant == ANY_TENANT:
        return ""
    if definition.tenant:
        return "" if tenant == definition.tenant else f"{definition.name} is for the tenant {definition.tenant!r} only"
    return f"the tenant {tenant!r} is reserved; {definition.name} is not for it" if rules.is_reserved(tenant) else ""
