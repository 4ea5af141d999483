"""Signals that tell of money or customers: told as the telemetry event of their type's name, once, as they are."""

from typing import Any, Final

import msgspec

from processors.ingest.tenant import HOP
from processors.step import Step
from processors.telemetry.event import Event, Unit, Value
from processors.telemetry.events import FROM_SIGNALS
from processors.vocabulary.signal import Signal, data_of

DATA_BYTES_MAX: Final = 16_384
"""Of data that is looked into; what is longer is no such signal."""
AMOUNT_MAX: Final = 1e12


def tell(step: Step, signal: Signal, member: bytes) -> None:
    """Tell the event with what the signal's data has of it; what does not fit is left out."""
    event = FROM_SIGNALS[signal.type]
    found = _read(data_of(signal))
    step.tell(event, _measured(event, found), _said(event, found), hop=HOP, tenant=signal.tenant, id=member.hex())


def _read(data: bytes | None) -> dict[str, Any]:
    if data is None or len(data) > DATA_BYTES_MAX:
        return {}
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _measured(event: Event, found: dict[str, Any]) -> dict[str, float]:
    measured = {}
    for name, unit in event.measurements.items():
        value = found.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if 0 <= value <= AMOUNT_MAX or unit is not Unit.MONEY:
            measured[name] = float(value)
    return measured


def _said(event: Event, found: dict[str, Any]) -> dict[str, Value]:
    return {name: found[name] for name, kind in event.metadata.items() if type(found.get(name)) is kind}
