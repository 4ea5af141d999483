"""The types of signals that a tenant has registered: what their data looks like, and which are deprecated."""

from functools import lru_cache
from typing import Any, Final

import msgspec

from processors.ingest.tenant import HOP
from processors.state import value_key
from processors.step import Step
from processors.validation.shape import problems_of_data
from processors.vocabulary.reasons import Problem, Reason, Rejected
from processors.vocabulary.signal import Signal, data_of

TYPES_MAX: Final = 200
"""Of one tenant."""
_REMEMBERED_MAX: Final = 4_096


class RegisteredType(msgspec.Struct, frozen=True):
    """One type as state has it."""

    name: str
    version: int
    schema: dict[str, Any]
    enforce: bool = False
    deprecated: bool = False
    replaced_by: str = ""


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(RegisteredType).decode
_decode_names: Final = msgspec.msgpack.Decoder(dict[str, bool]).decode
_decode_count: Final = msgspec.msgpack.Decoder(int).decode


def prefix(tenant: str) -> bytes:
    """Return what the keys of all types of a tenant begin with."""
    return value_key(tenant, HOP, b"type/")


def type_key(tenant: str, name: str) -> bytes:
    """Return where a type stands."""
    return prefix(tenant) + name.encode()


def names_key(tenant: str) -> bytes:
    """Return where the names of a tenant's types stand, each with whether the door must look at it."""
    return value_key(tenant, HOP, b"types")


def used_key(tenant: str, name: str) -> bytes:
    """Return where it stands how many signals of a deprecated type came."""
    return value_key(tenant, HOP, b"typeused/" + name.encode())


def pack(thing: object) -> bytes:
    """Return the bytes of the state."""
    return _encode(thing)


@lru_cache(maxsize=_REMEMBERED_MAX)
def unpack(packed: bytes) -> RegisteredType:
    """Read a type."""
    return _decode(packed)


def names(step: Step, tenant: str) -> dict[str, bool]:
    """Return the names of a tenant's types."""
    packed = step.overlay.get(names_key(tenant))
    return {} if packed is None else _decode_names(packed)


def uses(packed: bytes | None) -> int:
    """Read how many signals of a deprecated type came."""
    return 0 if packed is None else _decode_count(packed)


def judged(step: Step, signal: Signal) -> Rejected | None:
    """Return why a signal does not fit its registered type, None if it does. Counts those of deprecated types."""
    packed = step.overlay.get(type_key(signal.tenant, signal.type))
    if packed is None:
        return None
    kind = unpack(packed)
    if kind.enforce and (problems := _problems(kind, signal)):
        return Rejected(Reason.INVALID_DATA, problems)
    if kind.deprecated:
        key = used_key(signal.tenant, signal.type)
        step.overlay.put(key, pack(uses(step.overlay.get(key)) + 1))
    return None


def _problems(kind: RegisteredType, signal: Signal) -> tuple[Problem, ...]:
    data = data_of(signal)
    try:
        value = None if data is None else msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return (Problem("data", "is not JSON"),)
    return problems_of_data(kind.schema, value)
