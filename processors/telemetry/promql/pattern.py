"""Read a regular expression in RE2's syntax into a tree. What RE2 refuses (look-around, back-references) is refused."""

import re
from dataclasses import dataclass
from typing import Final, TypeAlias

from processors.telemetry.promql import charsets
from processors.telemetry.promql.charsets import CharSet, Ranges
from processors.telemetry.promql.errors import PromqlError

DEPTH_MAX: Final = 50
REPEAT_MAX: Final = 1_000
"""As in RE2."""
_COUNTED: Final = re.compile(r"\{([0-9]{1,5})(,([0-9]{0,5}))?\}")
_FLAGS: Final = re.compile(r"\(\?([is]*)(?:-([is]+))?([:)])")
_NAMED: Final = re.compile(r"\(\?P?<([A-Za-z_][A-Za-z0-9_]*)>")
_CODE: Final = re.compile(r"x([0-9a-fA-F]{2})|x\{([0-9a-fA-F]{1,6})\}|([0-7]{3})|0")
_CONTROLS: Final = {"a": 7, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}
_EDGES: Final = {"A": "begin", "z": "end", "b": "word", "B": "inside"}


@dataclass(frozen=True, slots=True)
class One:
    """One character of a set."""

    chars: CharSet


@dataclass(frozen=True, slots=True)
class Edge:
    """A place between characters: `begin`, `end`, `word`, `inside`."""

    what: str


@dataclass(frozen=True, slots=True)
class Row:
    """One after the other."""

    parts: tuple["Tree", ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """The first that leads to a match."""

    parts: tuple["Tree", ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """Again and again; `most` None is without end."""

    part: "Tree"
    least: int
    most: int | None
    greedy: bool


@dataclass(frozen=True, slots=True)
class Group:
    """What is remembered under a number."""

    part: "Tree"
    number: int


Tree: TypeAlias = One | Edge | Row | Choice | Repeat | Group


def read(text: str) -> tuple[Tree, dict[str, int], int]:
    """Return the tree, the numbers of named groups, and how many groups there are. Raises `PromqlError`."""
    reader = _Reader(text)
    tree = reader.choice()
    if reader.at < len(text):
        raise PromqlError("this regular expression has a `)` too many")
    return tree, reader.names, reader.groups


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self.at = 0
        self.names: dict[str, int] = {}
        self.groups = 0
        self._depth = 0
        self._any_case = False
        self._dot_all = False

    def _peek(self) -> str:
        return self._text[self.at : self.at + 1]

    def choice(self) -> Tree:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise PromqlError(f"groups of a regular expression are at most {DEPTH_MAX} deep")
        before = (self._any_case, self._dot_all)
        parts = [self._row()]
        while self._peek() == "|":
            self.at += 1
            parts.append(self._row())
        self._any_case, self._dot_all = before
        self._depth -= 1
        return parts[0] if len(parts) == 1 else Choice(tuple(parts))

    def _row(self) -> Tree:
        parts: list[Tree] = []
        while self._peek() not in {"", "|", ")"}:
            part = self._atom()
            if part is not None:
                parts.append(self._repeats(part))
            elif self._peek() in {"*", "+", "?"}:
                raise PromqlError(f"nothing stands before `{self._peek()}` in this regular expression")
        return Row(tuple(parts))

    def _repeats(self, part: Tree) -> Tree:
        repeated = False
        while True:
            char = self._peek()
            counted = _COUNTED.match(self._text, self.at) if char == "{" else None
            if char == "" or (char not in "*+?" and counted is None):
                return part
            if repeated:
                raise PromqlError("this regular expression repeats a repetition; put the inner one into ( )")
            least, most = (1 if char == "+" else 0), (1 if char == "?" else None)
            self.at += 1
            if counted is not None:
                least = int(counted.group(1))
                most = least if counted.group(2) is None else int(counted.group(3)) if counted.group(3) else None
                self.at = counted.end()
            if max(least, most or 0) > REPEAT_MAX or (most is not None and most < least):
                raise PromqlError(f"a count in a regular expression rises, and to {REPEAT_MAX} at most")
            greedy = self._peek() != "?"
            self.at += not greedy
            part, repeated = Repeat(part, least, most, greedy), True

    def _atom(self) -> Tree | None:
        char = self._text[self.at]
        if char == "(":
            return self._group()
        if char == "[":
            return One(self._set())
        self.at += 1
        match char:
            case ".":
                return One(charsets.ANY if self._dot_all else charsets.NO_NEWLINE)
            case "^":
                return Edge("begin")
            case "$":
                return Edge("end")
            case "\\":
                return self._backslash()
            case "*" | "+" | "?":
                raise PromqlError(f"nothing stands before `{char}` in this regular expression")
            case _:
                return One(self._chars(((ord(char), ord(char)),)))

    def _chars(self, ranges: Ranges, *, negated: bool = False) -> CharSet:
        return CharSet(ranges, negated, self._any_case)

    def _group(self) -> Tree | None:
        flags = _FLAGS.match(self._text, self.at)
        if flags is not None:
            self.at = flags.end()
            outer = (self._any_case, self._dot_all)
            on, off = flags.group(1), flags.group(2) or ""
            self._any_case = ("i" in on or self._any_case) and "i" not in off
            self._dot_all = ("s" in on or self._dot_all) and "s" not in off
            if flags.group(3) == ")":
                return None
            inner = self.choice()
            self._any_case, self._dot_all = outer
            self._close()
            return inner
        named = _NAMED.match(self._text, self.at)
        if named is None and self._text.startswith("(?", self.at):
            raise PromqlError("a regular expression may have (?:…), (?i), (?s) and (?P<name>…), no other (?…)")
        self.at = self.at + 1 if named is None else named.end()
        self.groups += 1
        number = self.groups
        if named is not None:
            if named.group(1) in self.names:
                raise PromqlError(f"this regular expression has two groups named {named.group(1)}")
            self.names[named.group(1)] = number
        inner = self.choice()
        self._close()
        return Group(inner, number)

    def _close(self) -> None:
        if self._peek() != ")":
            raise PromqlError("a `(` of this regular expression is not closed")
        self.at += 1

    def _backslash(self) -> Tree:
        char = self._peek()
        if char in _EDGES:
            self.at += 1
            return Edge(_EDGES[char])
        return One(self._chars(self._escape()))

    def _escape(self) -> Ranges:
        """Read what comes after a backslash: a class, a number, or a character that means itself."""
        char = self._peek()
        code = _CODE.match(self._text, self.at)
        if code is not None:
            self.at = code.end()
            number = int(code.group(1) or code.group(2) or "0", 16) if not code.group(3) else int(code.group(3), 8)
            return ((number, number),)
        self.at += 1
        if char.lower() in charsets.CLASSES and char:
            ranges = charsets.CLASSES[char.lower()]
            return charsets.others(ranges) if char.isupper() else ranges
        if char in _CONTROLS and char:
            return ((_CONTROLS[char], _CONTROLS[char]),)
        if not char or (char.isascii() and char.isalnum()):
            raise PromqlError(f"\\{char} is not supported in a regular expression")
        return ((ord(char), ord(char)),)

    def _set(self) -> CharSet:
        self.at += 1
        negated = self._peek() == "^"
        self.at += negated
        ranges: list[tuple[int, int]] = []
        first = True
        while first or self._peek() != "]":
            first = False
            low = self._member()
            if self._peek() == "-" and self._text[self.at + 1 : self.at + 2] not in {"]", ""} and len(low) == 1:
                self.at += 1
                high = self._member()
                if len(high) != 1 or low[0][0] != low[0][1] or high[0][1] < low[0][0]:
                    raise PromqlError("a range of characters in a regular expression goes up, as in [a-z]")
                low = ((low[0][0], high[0][1]),)
            ranges.extend(low)
        self.at += 1
        return self._chars(tuple(ranges), negated=negated)

    def _member(self) -> Ranges:
        char = self._peek()
        if char == "":
            raise PromqlError("a `[` of this regular expression is not closed")
        if char == "[" and self._text.startswith("[:", self.at):
            end = self._text.find(":]", self.at)
            name = self._text[self.at + 2 : end if end >= 0 else None]
            ranges = charsets.POSIX.get(name.removeprefix("^"))
            if ranges is None:
                raise PromqlError(f"[:{name[:20]}:] is no class of characters")
            self.at = end + 2
            return charsets.others(ranges) if name.startswith("^") else ranges
        self.at += 1
        if char == "\\":
            return self._escape()
        return ((ord(char), ord(char)),)
