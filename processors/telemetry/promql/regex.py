"""Match whole texts by regular expressions, in time that grows with the text only.

Python's own `re` goes back and tries again: `(a+)+b` against a long value stops the process, and anybody who may ask
may write that. So this is Pike's machine: all ways at once, character by character. Results are kept, for the values
of labels are few.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

from processors.telemetry.promql.charsets import CharSet
from processors.telemetry.promql.errors import PromqlError
from processors.telemetry.promql.limits import PATTERN_MAX, PROGRAM_MAX
from processors.telemetry.promql.pattern import Choice, Edge, Group, One, Repeat, Row, Tree, read

KEPT_MAX: Final = 5_000
"""Results that a pattern keeps."""
PATTERNS_MAX: Final = 256
_SPECIAL: Final = re.compile(r"[\\.+*?()\[\]{}^$]")
_REFERENCE: Final = re.compile(r"\$(?:\$|\{([A-Za-z0-9_]+)\}|([A-Za-z0-9_]+))")


@dataclass(frozen=True, slots=True)
class Save:
    """Remember the place."""

    slot: int


@dataclass(slots=True)
class Fork:
    """Go on at both, the first preferred."""

    first: int
    second: int


Step: TypeAlias = CharSet | Edge | Save | Fork | None
"""None: the end."""
Places: TypeAlias = tuple[int, ...]


class Regex:
    """A compiled pattern. It matches a text as a whole."""

    __slots__ = ("_emitted", "_kept", "_literals", "_program", "groups", "names")

    def __init__(self, text: str) -> None:
        if len(text) > PATTERN_MAX:
            raise PromqlError(f"a regular expression has at most {PATTERN_MAX} characters")
        tree, self.names, self.groups = read(text)
        self._program: list[Step] = []
        self._emitted = 0
        self._emit(tree)
        self._program.append(None)
        self._kept: dict[str, bool] = {}
        self._literals = None if _SPECIAL.search(text) else frozenset(text.split("|"))

    def matches(self, text: str) -> bool:
        if self._literals is not None:
            return text in self._literals
        known = self._kept.get(text)
        if known is None:
            if len(self._kept) >= KEPT_MAX:
                self._kept.clear()
            known = self._kept[text] = self._run(text, keep=False) is not None
        return known

    def expand(self, text: str, replacement: str) -> str | None:
        """Return the replacement with `$1` and `${name}` put in, or None if the text does not match."""
        places = self._run(text, keep=True)
        if places is None:
            return None

        def group(match: re.Match[str]) -> str:
            name = match.group(1) or match.group(2)
            if name is None:
                return "$"
            number = int(name) if name.isdigit() else self.names.get(name, -1)
            if not 0 <= number <= self.groups:
                return ""
            begin, end = (0, len(text)) if number == 0 else places[2 * number - 2 : 2 * number]
            return text[begin:end] if begin >= 0 and end >= 0 else ""

        return _REFERENCE.sub(group, replacement)

    # ---- the program
    def _emit(self, tree: Tree) -> None:
        program = self._program
        self._emitted += 1  # what is empty becomes no instruction, but takes time all the same
        if len(program) > PROGRAM_MAX or self._emitted > 4 * PROGRAM_MAX:
            raise PromqlError("this regular expression is too large: its counts multiply")
        match tree:
            case One(chars=chars):
                program.append(chars)
            case Edge():
                program.append(tree)
            case Row(parts=parts):
                for part in parts:
                    self._emit(part)
            case Choice(parts=parts):
                self._emit_choice(parts)
            case Group(part=part, number=number):
                program.append(Save(2 * number - 2))
                self._emit(part)
                program.append(Save(2 * number - 1))
            case Repeat():
                self._emit_repeat(tree)

    def _emit_choice(self, parts: tuple[Tree, ...]) -> None:
        program = self._program
        ends: list[Fork] = []
        for part in parts[:-1]:
            fork = Fork(len(program) + 1, 0)
            program.append(fork)
            self._emit(part)
            ends.append(Fork(0, 0))
            program.append(ends[-1])
            fork.second = len(program)
        self._emit(parts[-1])
        for end in ends:
            end.first = end.second = len(program)

    def _emit_repeat(self, repeat: Repeat) -> None:
        program = self._program
        for _ in range(repeat.least):
            self._emit(repeat.part)
        if repeat.most is None:
            begin = len(program)
            fork = self._fork()
            self._emit(repeat.part)
            program.append(Fork(begin, begin))
            self._aim(fork, len(program), greedy=repeat.greedy)
            return
        forks: list[Fork] = []
        for _ in range(repeat.most - repeat.least):
            forks.append(self._fork())
            self._emit(repeat.part)
        for fork in forks:
            self._aim(fork, len(program), greedy=repeat.greedy)

    def _fork(self) -> Fork:
        fork = Fork(len(self._program) + 1, 0)
        self._program.append(fork)
        return fork

    @staticmethod
    def _aim(fork: Fork, end: int, *, greedy: bool) -> None:
        fork.first, fork.second = (fork.first, end) if greedy else (end, fork.first)

    # ---- the machine
    def _run(self, text: str, *, keep: bool) -> Places | None:
        """Return where the groups began and ended, or None. Threads stand in order of preference."""
        program = self._program
        threads = self._follow([(0, (-1,) * (2 * self.groups))], text, 0, keep=keep)
        for index, char in enumerate(text):
            moved: list[tuple[int, Places]] = []
            for counter, places in threads:
                step = program[counter]
                if isinstance(step, CharSet) and step.has(char):
                    moved.append((counter + 1, places))
            if not moved:
                return None
            threads = self._follow(moved, text, index + 1, keep=keep)
        return next((places for counter, places in threads if program[counter] is None), None)

    def _follow(self, moved: list[tuple[int, Places]], text: str, at: int, *, keep: bool) -> list[tuple[int, Places]]:
        """Go through all that takes no character. Each place of the program once: the preferred way wins."""
        program = self._program
        seen: set[int] = set()
        threads: list[tuple[int, Places]] = []
        waiting = moved[::-1]
        while waiting:
            counter, places = waiting.pop()
            if counter in seen:
                continue
            seen.add(counter)
            match program[counter]:
                case Fork(first=first, second=second):
                    waiting.append((second, places))
                    waiting.append((first, places))
                case Save(slot=slot):
                    kept = (*places[:slot], at, *places[slot + 1 :]) if keep else places
                    waiting.append((counter + 1, kept))
                case Edge(what=what):
                    if _stands(what, text, at):
                        waiting.append((counter + 1, places))
                case _:
                    threads.append((counter, places))
        return threads


def _stands(edge: str, text: str, at: int) -> bool:
    if edge == "begin":
        return at == 0
    if edge == "end":
        return at == len(text)
    before = at > 0 and _is_word(text[at - 1])
    after = at < len(text) and _is_word(text[at])
    return (before is not after) is (edge == "word")


def _is_word(char: str) -> bool:
    return char == "_" or (char.isascii() and char.isalnum())


@lru_cache(maxsize=PATTERNS_MAX)
def compiled(text: str) -> Regex:
    """Return the pattern, compiled. Raises `PromqlError`."""
    return Regex(text)
