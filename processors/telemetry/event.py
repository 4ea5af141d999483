"""What a telemetry event is: a name, what is measured, what is said about it, and how many of them are told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias

import msgspec

VERSION: Final = 1
TEXT_CHARACTERS_MAX: Final = 512
"""Of one value of an event's metadata; longer ones are cut."""
EVENT_BYTES_MAX: Final = 65_536

Value: TypeAlias = str | int | float | bool


class Level(StrEnum):
    """How grave it is."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Share(StrEnum):
    """How many of them are told."""

    ALL = "all"
    """Each one: failures, ends, changes."""
    SOME = "some"
    """At most so many a second of a process; `one_in` says for how many one stands."""


class Unit(StrEnum):
    """What a measurement counts."""

    COUNT = "count"
    SECONDS = "seconds"
    BYTES = "bytes"
    RATIO = "ratio"
    MONEY = "money"


@dataclass(frozen=True, slots=True)
class Event:
    """One kind of event, as the catalogue declares it."""

    name: str
    """`subject.what_happened`; its first segment is its family."""
    text: str
    measurements: Mapping[str, Unit] = field(default_factory=dict)
    metadata: Mapping[str, type] = field(default_factory=dict)
    level: Level = Level.INFO
    share: Share = Share.ALL
    by: str = ""
    """Who tells it; empty: a part that is still to come."""
    from_signals: bool = False
    """Whether a tenant's signal of this type is told as this event, with what its data has of the above."""

    @property
    def family(self) -> str:
        """Return the subject's name."""
        return self.name.partition(".")[0]


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """One event, as the topic `telemetry` has it."""

    v: int
    event: str
    at_ms: int
    process: str = ""
    hop: str = ""
    lane: int = -1
    tenant: str = ""
    id: str = ""
    """The same for the same cause, whenever and however often it is told; empty for those that have none."""
    one_in: float = 1.0
    measurements: dict[str, float] = {}
    metadata: dict[str, Value] = {}


class UnreadableEventError(Exception):
    """It is no event that this version reads."""


class UndeclaredError(ValueError):
    """An event is told with something that the catalogue does not declare."""


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Told).decode


def told(
    event: Event,
    at_ms: int,
    measurements: Mapping[str, float] | None = None,
    metadata: Mapping[str, Value] | None = None,
    *,
    hop: str = "",
    lane: int = -1,
    tenant: str = "",
    id: str = "",  # noqa: A002  # what it is called in the record
) -> Told:
    """Return an event that happened. Raises `UndeclaredError` for what its declaration does not have."""
    measurements, metadata = measurements or {}, metadata or {}
    strange = [name for name in measurements if name not in event.measurements]
    strange += [name for name, value in metadata.items() if not _fits(event.metadata.get(name), value)]
    if strange:
        raise UndeclaredError(f"{event.name} declares no {', '.join(strange)} of that type")
    shown = {name: value[:TEXT_CHARACTERS_MAX] if isinstance(value, str) else value for name, value in metadata.items()}
    return Told(VERSION, event.name, at_ms, "", hop, lane, tenant, id, 1.0, dict(measurements), shown)


def _fits(declared: type | None, value: Value) -> bool:
    if declared is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is declared


def pack(one: Told) -> bytes:
    """Return the record's value."""
    return _encode(one)


def unpack(packed: bytes) -> Told:
    """Read what `pack` wrote. Raises `UnreadableEventError`."""
    if len(packed) > EVENT_BYTES_MAX:
        raise UnreadableEventError(f"longer than {EVENT_BYTES_MAX} bytes")
    try:
        one = _decode(packed)
    except msgspec.DecodeError as error:
        raise UnreadableEventError(str(error)) from error
    if one.v > VERSION:
        raise UnreadableEventError(f"format {one.v}; this version reads up to {VERSION}: upgrade it")
    return one
