"""The catalogue of Hopline's own signal types: each with its version and what its data holds."""

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from processors.directives.hop import TYPE as DIRECTIVE
from processors.directives.record import Status


class DirectiveTold(msgspec.Struct, frozen=True):
    """Where a directive stands."""

    directive: str
    key: str
    requester: str
    status: Status
    attempts: int
    due_ms: int
    error: str


@dataclass(frozen=True, slots=True)
class SignalType:
    """One type of signal."""

    name: str
    version: int
    summary: str
    data: type[Any]
    deprecated_since: str = ""
    """The version of Hopline; empty: it is not."""
    replaced_by: str = ""


TYPES: Final = tuple(
    SignalType(DIRECTIVE + status.value, 1, f"a directive is {status.value}", DirectiveTold) for status in Status
)
