"""Conditions on a signal's data, such as `data.total >= 10 and data.city = "Bern"`: parsed once, judged in Python.

Nothing of what a user writes reaches SQL, and both databases give the same answer, because neither is asked.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from operator import ge, gt, le, lt
from typing import Any, Final, TypeAlias

import msgspec

from processors.vocabulary.reasons import Problem

CHARACTERS_MAX: Final = 1_024
CONDITIONS_MAX: Final = 8
SEGMENTS_MAX: Final = 16
Literal: TypeAlias = str | int | float | bool | None

_TOKEN: Final = re.compile(
    r'\s*(?:(?P<string>"(?:[^"\\]|\\.)*")|(?P<number>-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)(?![\w.])'
    r"|(?P<operator><=|>=|!=|=|<|>)|(?P<word>[^\W0-9][\w-]*(?:\.[\w-]+)*))",
)
_WORDS: Final[dict[str, Literal]] = {"true": True, "false": False, "null": None}
_ORDERS: Final[dict[str, Callable[[Any, Any], bool]]] = {"<": lt, "<=": le, ">": gt, ">=": ge}
_WANTED: Final = 'write such as data.total >= 10, data.city = "Bern", data.note contains "late", data.vip exists'
_decode: Final = msgspec.json.Decoder().decode
_ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison."""

    path: tuple[str, ...]
    operator: str
    literal: Literal = None

    def holds(self, data: object) -> bool:
        """Tell whether it holds. What is absent, or of another kind, fulfils nothing."""
        found = _at(data, self.path)
        if found is _ABSENT:
            return False
        match self.operator:
            case "exists":
                return True
            case "=":
                return _same(found, self.literal)
            case "!=":
                return not _same(found, self.literal)
            case "contains":
                if isinstance(found, str):
                    return isinstance(self.literal, str) and self.literal in found
                return isinstance(found, list) and any(_same(each, self.literal) for each in found)
            case order:
                return _comparable(found, self.literal) and _ORDERS[order](found, self.literal)


@dataclass(frozen=True, slots=True)
class Expression:
    """Conditions that must all hold."""

    text: str
    conditions: tuple[Condition, ...]

    def holds(self, data: bytes | None) -> bool:
        """Tell whether a signal's data fulfils it; what is no JSON fulfils nothing."""
        try:
            parsed = _decode(data or b"")
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return False
        return all(condition.holds(parsed) for condition in self.conditions)

    @property
    def texts(self) -> tuple[str, ...]:
        """Texts that the data must hold as words for it to hold: names of fields, and strings that are asked for."""
        found: list[str] = []
        for condition in self.conditions:
            found += [segment for segment in condition.path if not segment.isdecimal()]
            if condition.operator == "=" and isinstance(condition.literal, str):
                found.append(condition.literal)
        return tuple(found)


def parse_expression(text: str) -> Expression | Problem:
    """Return the expression that a text is, or what is wrong with it."""
    if len(text) > CHARACTERS_MAX:
        return Problem("where", f"is longer than {CHARACTERS_MAX} characters")
    tokens = _tokens(text)
    if isinstance(tokens, Problem):
        return tokens
    conditions: list[Condition] = []
    at = 0
    while True:
        found = _condition(tokens, at)
        if isinstance(found, Problem):
            return found
        condition, at = found
        conditions.append(condition)
        if len(conditions) > CONDITIONS_MAX:
            return Problem("where", f"has more than {CONDITIONS_MAX} conditions")
        if at == len(tokens):
            return Expression(text, tuple(conditions))
        if tokens[at] != ("word", "and"):
            return Problem("where", f"has {tokens[at][1]!r} where `and` or the end belongs; {_WANTED}")
        at += 1


def _tokens(text: str) -> list[tuple[str, str]] | Problem:
    found: list[tuple[str, str]] = []
    text = text.rstrip()
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            return Problem("where", f"cannot be read from {text[at:][:20]!r} on; {_WANTED}")
        found.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return found


def _condition(tokens: list[tuple[str, str]], at: int) -> tuple[Condition, int] | Problem:
    kind, text = tokens[at] if at < len(tokens) else ("", "")
    segments = tuple(text.split("."))
    if kind != "word" or segments[0] != "data" or len(segments) == 1:
        return Problem("where", f"has {text!r} where a field belongs; {_WANTED}")
    if len(segments) - 1 > SEGMENTS_MAX:
        return Problem("where", f"has a path of more than {SEGMENTS_MAX} segments")
    kind, operator = tokens[at + 1] if at + 1 < len(tokens) else ("", "")
    if (kind, operator) == ("word", "exists"):
        return Condition(segments[1:], operator), at + 2
    if kind != "operator" and (kind, operator) != ("word", "contains"):
        return Problem("where", f"has {operator!r} where an operator belongs: = != < <= > >= contains exists")
    kind, text = tokens[at + 2] if at + 2 < len(tokens) else ("", "")
    try:
        literal = _literal(kind, text)
    except (ValueError, msgspec.DecodeError):
        return Problem("where", f'has {text!r} where a value belongs: a number, "text", true, false or null')
    if operator in _ORDERS and (literal is None or isinstance(literal, bool)):
        return Problem("where", f"compares with {text}, which has no order; use = or !=")
    return Condition(segments[1:], operator, literal), at + 3


def _literal(kind: str, text: str) -> Literal:
    if kind == "word" and text in _WORDS:
        return _WORDS[text]
    if kind not in {"string", "number"}:
        raise ValueError(text)
    found: Literal = _decode(text)
    return found


def _at(data: object, path: tuple[str, ...]) -> object:
    for segment in path:
        if isinstance(data, dict):
            data = data.get(segment, _ABSENT)
        elif isinstance(data, list) and segment.isascii() and segment.isdecimal() and int(segment) < len(data):
            data = data[int(segment)]
        else:
            return _ABSENT
    return data


def _same(found: object, literal: Literal) -> bool:
    if isinstance(found, bool) or isinstance(literal, bool) or found is None or literal is None:
        return found is literal
    return _comparable(found, literal) and found == literal


def _comparable(found: object, literal: Literal) -> bool:
    if isinstance(found, str):
        return isinstance(literal, str)
    return (
        isinstance(found, int | float)
        and not isinstance(found, bool)
        and isinstance(literal, int | float)
        and not isinstance(literal, bool)
    )
