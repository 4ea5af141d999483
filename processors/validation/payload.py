"""Read the data of a directive as what its kind asks for, and say by field what is wrong with it."""

import re
from collections.abc import Iterable
from typing import Final, TypeVar

import msgspec

from processors.vocabulary.reasons import Problem

P = TypeVar("P", bound=msgspec.Struct)

_PATH: Final = re.compile(r" - at `\$(.*)`$", re.DOTALL)
_UNKNOWN: Final = re.compile(r"Object contains unknown field `([^`]*)`")
_MISSING: Final = re.compile(r"Object missing required field `([^`]*)`")
_SHOWN_CHARACTERS_MAX: Final = 200


def payload(kind: type[P], data: bytes) -> tuple[P | None, tuple[Problem, ...]]:
    """Return the payload, or None and what is wrong with its shape."""
    try:
        return msgspec.json.decode(data or b"{}", type=kind), ()
    except (msgspec.DecodeError, RecursionError) as error:
        return None, (_problem(str(error)),)


def in_words(problems: Iterable[Problem]) -> str:
    """Return problems as one line."""
    return "; ".join(f"{problem.field} {problem.message}" for problem in problems)


def _problem(text: str) -> Problem:
    """Return msgspec's words as a problem of the field that they name."""
    found = _PATH.search(text)
    path, text = (found[1], text[: found.start()]) if found else ("", text)
    for pattern, message in ((_UNKNOWN, "is not known here"), (_MISSING, "is missing")):
        if field := pattern.search(text):
            return Problem(_shown(f"data{path}.{field[1]}"), message)
    return Problem(_shown(f"data{path}"), f"is wrong: {text}")


def _shown(path: str) -> str:
    return ascii(path)[1:-1][:_SHOWN_CHARACTERS_MAX]
