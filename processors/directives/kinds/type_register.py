"""`hopline.type.register|forget`: what a tenant's signals of a type look like, and whether the door insists on it."""

from typing import Any, Final

import msgspec

from processors.directives.definition import Applied, Definition, Place, RefusedError
from processors.ingest import types
from processors.ingest.types import TYPES_MAX, RegisteredType
from processors.validation.shape import problems_of_schema
from processors.vocabulary import rules
from processors.vocabulary.limits import TYPE_CHARACTERS_MAX
from processors.vocabulary.permissions import TYPE_WRITE
from processors.vocabulary.reasons import Problem

OWN: Final = "hopline."
VERSION_MAX: Final = 1_000_000


class RegisterType(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A type. Enforced: what does not fit is set aside. Deprecated: what still comes is counted."""

    name: str
    version: int
    schema: dict[str, Any] = {}
    enforce: bool = False
    deprecated: bool = False
    replaced_by: str = ""


class ForgetType(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which one."""

    name: str


def _judge(wanted: RegisterType) -> tuple[Problem, ...]:
    problems = []
    for field, name in (("data.name", wanted.name), ("data.replaced_by", wanted.replaced_by or "none")):
        if not (len(name) <= TYPE_CHARACTERS_MAX and rules.is_type(name)):
            problems.append(Problem(field, "is no type: segments with dots between, such as shop.order.placed"))
    if wanted.name.startswith(OWN):
        problems.append(Problem("data.name", f"begins with {OWN!r}, which is Hopline's own"))
    if not 1 <= wanted.version <= VERSION_MAX:
        problems.append(Problem("data.version", f"must be from 1 to {VERSION_MAX}"))
    return (*problems, *problems_of_schema(wanted.schema))


def _register(place: Place, wanted: RegisterType) -> Applied:
    place.require()
    key = types.type_key(place.tenant, wanted.name)
    known = place.step.overlay.get(key)
    before = None if known is None else types.unpack(known)
    after = RegisteredType(**msgspec.structs.asdict(wanted))
    if before is not None and before.version > after.version:
        message = f"version {before.version} of {wanted.name} is registered already; send a later one"
        raise RefusedError(message)
    if before is not None and before.version == after.version and before.schema != after.schema:
        message = f"version {before.version} of {wanted.name} has another schema; give this one a later version"
        raise RefusedError(message)
    names = types.names(place.step, place.tenant)
    if before is None and len(names) >= TYPES_MAX:
        message = f"{TYPES_MAX} types of this tenant are registered, which is the limit; forget some"
        raise RefusedError(message)
    place.step.overlay.put(key, types.pack(after))
    _look(place, {**names, wanted.name: after.enforce or after.deprecated})
    return Applied(before, after)


def _forget(place: Place, wanted: ForgetType) -> Applied:
    place.require()
    key = types.type_key(place.tenant, wanted.name)
    known = place.step.overlay.get(key)
    if known is None:
        message = f"tenant {place.tenant!r} has no type {wanted.name!r}"
        raise RefusedError(message)
    place.step.overlay.put(key, None)
    place.step.overlay.put(types.used_key(place.tenant, wanted.name), None)
    names = types.names(place.step, place.tenant)
    _look(place, {name: looked for name, looked in names.items() if name != wanted.name})
    return Applied(types.unpack(known), None)


def _look(place: Place, names: dict[str, bool]) -> None:
    """Keep the names, and let the door look at this tenant's types if it must at any."""
    place.step.overlay.put(types.names_key(place.tenant), types.pack(names) if names else None)
    place.set_typed(typed=any(names.values()))


DEFINITIONS: Final[tuple[Definition[Any], ...]] = (
    Definition(
        "hopline.type.register",
        "register a type of signals, with its schema",
        TYPE_WRITE,
        RegisterType,
        _register,
        _judge,
    ),
    Definition("hopline.type.forget", "forget a type of signals", TYPE_WRITE, ForgetType, _forget),
)
