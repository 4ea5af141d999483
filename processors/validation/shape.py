"""A small part of JSON Schema: enough to say what data looks like, small enough to be checked for every signal.

`type`, `required`, `properties`, `additionalProperties`, `items`, `enum`, `minimum`, `maximum`, `maxLength`. Any other
keyword is refused when the schema is registered, so that nobody trusts in one that is not looked at.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final, TypeAlias

from processors.vocabulary.limits import PROBLEMS_MAX
from processors.vocabulary.reasons import Problem

NODES_MAX: Final = 200
DEPTH_MAX: Final = 16
ENUM_MAX: Final = 100
Schema: TypeAlias = dict[str, Any]
_SHOWN_CHARACTERS_MAX: Final = 64
_TYPES: Final = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})
_NOTES: Final = frozenset({"title", "description", "$schema"})
_KNOWN: Final = _NOTES | {
    "type",
    "required",
    "properties",
    "additionalProperties",
    "items",
    "enum",
    "minimum",
    "maximum",
    "maxLength",
}


def problems_of_schema(schema: object, path: str = "data.schema") -> list[Problem]:
    """Return what keeps a schema from being one that can be checked."""
    return list(islice(_wrong(schema, path, 0, [NODES_MAX]), PROBLEMS_MAX))


def _wrong(schema: object, path: str, depth: int, left: list[int]) -> Iterator[Problem]:
    left[0] -= 1
    if not isinstance(schema, dict):
        yield Problem(path, "must be an object")
        return
    if depth > DEPTH_MAX or left[0] < 0:
        yield Problem(path, f"is beyond {DEPTH_MAX} levels or {NODES_MAX} schemas in all, which are the limit")
        return
    for keyword, value in schema.items():
        at = f"{path}.{_shown(keyword)}"
        if keyword not in _KNOWN:
            yield Problem(at, "is not looked at here; leave it out")
        elif keyword not in _NOTES and (wrong := _wrong_keyword(keyword, value)):
            yield Problem(at, wrong)
    for at, part in _parts(schema, path):
        yield from _wrong(part, at, depth + 1, left)


def _parts(schema: Schema, path: str) -> Iterator[tuple[str, object]]:
    properties = schema.get("properties")
    if isinstance(properties, dict):
        for name, part in properties.items():
            yield f"{path}.properties.{_shown(name)}", part
    for keyword in ("items", "additionalProperties"):
        if keyword in schema and not isinstance(schema[keyword], bool):
            yield f"{path}.{keyword}", schema[keyword]


def _wrong_keyword(keyword: str, value: object) -> str:
    match keyword:
        case "type":
            names = value if isinstance(value, list) else [value]
            right = bool(names) and all(isinstance(name, str) and name in _TYPES for name in names)
            return "" if right else f"must be of {', '.join(sorted(_TYPES))}, or a list of these"
        case "required":
            right = isinstance(value, list) and all(isinstance(name, str) for name in value)
            return "" if right and len(value) <= NODES_MAX else f"must be at most {NODES_MAX} names"  # type: ignore[arg-type]  # a list
        case "properties":
            return "" if isinstance(value, dict) else "must be an object"
        case "enum":
            right = isinstance(value, list) and 0 < len(value) <= ENUM_MAX
            return "" if right else f"must be a list of 1 to {ENUM_MAX} values"
        case "minimum" | "maximum":
            return "" if _is_number(value) else "must be a number"
        case "maxLength":
            return "" if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else "must be 0 or more"
        case _:
            return ""


def problems_of_data(schema: Schema, value: object, path: str = "data") -> tuple[Problem, ...]:
    """Return what is wrong with data, by field. The schema is one that `problems_of_schema` has passed."""
    return tuple(islice(_misfits(schema, value, path), PROBLEMS_MAX))


def _misfits(schema: Schema, value: object, path: str) -> Iterator[Problem]:
    wanted = schema.get("type")
    if wanted is not None and not any(_is(name, value) for name in (wanted if isinstance(wanted, list) else [wanted])):
        yield Problem(path, f"must be of type {' or '.join(wanted) if isinstance(wanted, list) else wanted}")
        return
    if "enum" in schema and not any(_same(one, value) for one in schema["enum"]):
        yield Problem(path, "is none of the values that it may have")
    if isinstance(value, dict):
        yield from _misfits_of_object(schema, value, path)
    elif isinstance(value, list):
        yield from _misfits_of_list(schema.get("items", True), value, path)
    elif isinstance(value, str):
        if len(value) > schema.get("maxLength", len(value)):
            yield Problem(path, f"has {len(value)} characters, {schema['maxLength']} are the limit")
    elif _is_number(value):
        yield from _misfits_of_number(schema, value, path)


def _misfits_of_list(items: Any, value: list[Any], path: str) -> Iterator[Problem]:  # noqa: ANN401 - true, false, a schema
    if items is False and value:
        yield Problem(path, "must be empty")
    elif isinstance(items, dict):
        for index, item in enumerate(value):
            yield from _misfits(items, item, f"{path}[{index}]")


def _misfits_of_object(schema: Schema, value: dict[str, Any], path: str) -> Iterator[Problem]:
    for name in schema.get("required", ()):
        if name not in value:
            yield Problem(f"{path}.{_shown(name)}", "is missing")
    properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    for name, member in value.items():
        at = f"{path}.{_shown(name)}"
        if name in properties:
            yield from _misfits(properties[name], member, at)
        elif others is False:
            yield Problem(at, "is not known to this type")
        elif isinstance(others, dict):
            yield from _misfits(others, member, at)


def _misfits_of_number(schema: Schema, value: Any, path: str) -> Iterator[Problem]:  # noqa: ANN401 - a number
    if value < schema.get("minimum", value):
        yield Problem(path, f"is less than {schema['minimum']}")
    if value > schema.get("maximum", value):
        yield Problem(path, f"is more than {schema['maximum']}")


def _is(name: str, value: object) -> bool:
    match name:
        case "object":
            return isinstance(value, dict)
        case "array":
            return isinstance(value, list)
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "null":
            return value is None
        case "integer":
            # As JSON Schema has it, 1.0 is one.
            return _is_number(value) and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))
        case _:
            return _is_number(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same(one: object, other: object) -> bool:
    """Compare as JSON does: true is not 1, but 1 is 1.0."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    return one == other


def _shown(name: str) -> str:
    return ascii(name)[1:-1][:_SHOWN_CHARACTERS_MAX]
