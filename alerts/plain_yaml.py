"""Write YAML that people read: keys in their order, block text for what is long, everything else as JSON has it.

Thirty lines instead of a library: rules are written where Hopline is installed, and YAML is read there by others only.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias

Value: TypeAlias = "str | int | bool | Mapping[str, Value] | Sequence[Value]"
TEXT_CHARACTERS_MAX: Final = 100
"""Lists of text that are longer stand one below the other."""
_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*|[0-9]+(ms|s|m|h|d)")
_WORDS: Final = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}
"""What YAML, some version of it, takes for something other than text."""


def dump(value: Mapping[str, Value], *, head: str) -> str:
    """Return the document, below a comment that says what it is."""
    lines = [f"# {line}".rstrip() for line in head.splitlines()]
    return "\n".join([*lines, *_mapping(value)]) + "\n"


def _mapping(value: Mapping[str, Value]) -> Iterator[str]:
    for key, inner in value.items():
        yield from _behind(f"{_text(key)}:", inner)


def _behind(head: str, value: Value) -> Iterator[str]:
    """Yield the lines of a value that stands behind a key or a dash."""
    if isinstance(value, str):
        if "\n" in value and _reads_as_it_stands(value.split("\n")):
            yield f"{head} |-"
            yield from _indented(iter(value.split("\n")))
        else:
            yield f"{head} {_text(value)}"
    elif isinstance(value, bool | int):
        yield f"{head} {json.dumps(value)}"
    elif not value:
        yield f"{head} {'{}' if isinstance(value, Mapping) else '[]'}"
    elif isinstance(value, Mapping):
        yield head
        yield from _indented(_mapping(value))
    elif all(isinstance(each, str) for each in value) and sum(map(len, map(str, value))) < TEXT_CHARACTERS_MAX:
        yield f"{head} [{', '.join(_text(str(each)) for each in value)}]"
    else:
        yield head
        for each in value:
            yield from _item(each)


def _text(value: str) -> str:
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    if '"' in value and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    shown = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in shown) + '"'


def _reads_as_it_stands(lines: Sequence[str]) -> bool:
    """Tell whether these lines can be a block: its first one says how far all of them are indented."""
    return not lines[0].startswith(" ") and all(line and line.isprintable() for line in lines)


def _item(value: Value) -> Iterator[str]:
    """Yield an element of a list; a mapping begins on the line of its dash."""
    lines = list(_mapping(value)) if isinstance(value, Mapping) and value else list(_behind("", value))
    yield f"  - {lines[0].lstrip()}"
    for line in lines[1:]:
        yield f"    {line}"


def _indented(lines: Iterator[str]) -> Iterator[str]:
    return (f"  {line}" if line else line for line in lines)
