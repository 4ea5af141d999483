"""Alerts and their changes as JSON: what the topic `alerts` holds, what the page and the channels are told.

A record of the topic is one JSON object with `v`, its format, and `what` it is: `change` (its key is the alert's id),
`told`, what became of telling a channel, or `state`, by which whoever takes charge of the watch goes on where the one
before it was. Who reads skips what it does not know.
"""

import zlib
from collections.abc import Mapping
from math import isfinite
from typing import Any, Final

import msgspec

from processors.alerting.states import Alert, Change

VERSION: Final = 1
CHANGE: Final = "change"
STATE: Final = "state"
TOLD: Final = "told"
STATE_KEY: Final = b"state"
"""No alert's id: those are hexadecimal."""
TEXT_CHARACTERS_MAX: Final = 1_000
LABEL_CHARACTERS_MAX: Final = 256
INFLATED_BYTES_MAX: Final = 64 * 1_048_576


class ToldChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change as it is written down: all that somebody needs to know who hears of it for the first time."""

    v: int = VERSION
    what: str = CHANGE
    number: int
    """Counts all changes of this cluster: the next one has the next number."""
    at_ms: int
    id: str
    alert: str
    severity: str
    from_: str = msgspec.field(name="from")
    to: str
    labels: dict[str, str]
    value: float | None
    threshold: float | None
    since_ms: int
    summary: str
    description: str
    runbook: str
    told: bool = True
    """Whether people are to hear of it; the page shows the others, too."""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """Where judging stands, written in one transaction with the changes that led to it."""

    v: int = VERSION
    what: str = STATE
    at_ms: int
    written: int
    """The number of the newest change."""
    told: int
    """Up to this one all were handed to those who tell people."""
    judge: bytes
    """What the judge keeps, deflated."""
    teller: bytes = b""
    """What those who tell people keep, deflated."""


class Became(msgspec.Struct, frozen=True, kw_only=True):
    """What became of telling a channel something."""

    v: int = VERSION
    what: str = TOLD
    at_ms: int
    channel: str
    notice: str
    result: str
    alerts: tuple[str, ...]
    attempt: int
    seconds: float
    words: str


_encode: Final = msgspec.json.Encoder().encode
_change: Final = msgspec.json.Decoder(ToldChange).decode
_state: Final = msgspec.json.Decoder(State).decode


def told(change: Change, number: int) -> ToldChange:
    """Return a change in words that are bounded."""
    alert = change.alert
    return ToldChange(
        number=number,
        at_ms=change.at_ms,
        from_=change.before.value,
        to=change.after.value,
        told=change.told,
        **_said(alert),
    )


def shown(alert: Alert, *, silenced: bool) -> dict[str, Any]:
    """Return an alert as the API shows it."""
    return {**_said(alert), "state": alert.state.value, "silenced": silenced}


def _said(alert: Alert) -> dict[str, Any]:
    return {
        "id": alert.id,
        "alert": alert.alert,
        "severity": alert.severity.value,
        "labels": {name: value[:LABEL_CHARACTERS_MAX] for name, value in alert.labels.items()},
        "value": number_of(alert.value),
        "threshold": number_of(alert.threshold),
        "since_ms": alert.since_ms,
        "summary": alert.summary[:TEXT_CHARACTERS_MAX],
        "description": alert.description[:TEXT_CHARACTERS_MAX],
        "runbook": alert.runbook,
    }


def number_of(value: float | None) -> float | None:
    """Return a number that JSON has; None for the others."""
    return value if value is not None and isfinite(value) else None


def deflated(kept: bytes) -> bytes:
    """Return what a state holds of something: the same words come again and again in it."""
    return zlib.compress(kept)


def inflated(kept: bytes) -> bytes:
    """Return what `deflated` was given; nothing for nothing, or for what is no such thing."""
    try:
        return zlib.decompressobj().decompress(kept, INFLATED_BYTES_MAX) if kept else b""
    except zlib.error:
        return b""


def pack(record: ToldChange | Became | State) -> bytes:
    """Return a record's value."""
    return _encode(record)


def change_of(value: bytes | None) -> ToldChange | None:
    """Return the change that a record holds; None if it holds something else."""
    found = _read(value, _change)
    return found if isinstance(found, ToldChange) and found.what == CHANGE else None


def state_of(key: bytes | None, value: bytes | None) -> State | None:
    """Return the state that a record holds; None if it holds something else."""
    found = _read(value, _state) if key == STATE_KEY else None
    return found if isinstance(found, State) and found.what == STATE else None


def _read(value: bytes | None, decode: Any) -> Any:
    try:
        found = decode(value or b"")
    except msgspec.DecodeError:
        return None
    return found if found.v <= VERSION else None


def plain(change: ToldChange) -> dict[str, Any]:
    """Return a change as JSON's objects, without what only the topic needs."""
    found: dict[str, Any] = msgspec.to_builtins(change)
    return {name: value for name, value in found.items() if name not in {"v", "what", "number"}}


def of_tenant(labels: Mapping[str, str], only: str) -> bool:
    """Tell whether something with these labels may be shown; `only` is a tenant, or empty for who sees all."""
    return not only or labels.get("tenant") == only
