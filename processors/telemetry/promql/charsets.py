r"""Sets of characters of a regular expression: `[a-z_]`, `\d`, `[[:alpha:]]`, `.`. ASCII classes, as in RE2."""

from dataclasses import dataclass
from typing import Final

_DIGIT: Final = ((48, 57),)
_WORD: Final = ((48, 57), (65, 90), (95, 95), (97, 122))
_SPACE: Final = ((9, 10), (12, 13), (32, 32))
CLASSES: Final = {"d": _DIGIT, "w": _WORD, "s": _SPACE}
"""After a backslash; as a capital letter it is all the others."""
POSIX: Final = {
    "alnum": ((48, 57), (65, 90), (97, 122)),
    "alpha": ((65, 90), (97, 122)),
    "ascii": ((0, 127),),
    "blank": ((9, 9), (32, 32)),
    "cntrl": ((0, 31), (127, 127)),
    "digit": _DIGIT,
    "graph": ((33, 126),),
    "lower": ((97, 122),),
    "print": ((32, 126),),
    "punct": ((33, 47), (58, 64), (91, 96), (123, 126)),
    "space": ((9, 13), (32, 32)),
    "upper": ((65, 90),),
    "word": _WORD,
    "xdigit": ((48, 57), (65, 70), (97, 102)),
}
LAST: Final = 0x10FFFF

Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class CharSet:
    """Characters by their numbers, or all others."""

    ranges: Ranges
    negated: bool = False
    any_case: bool = False

    def has(self, char: str) -> bool:
        spellings = {char, char.lower(), char.upper()} if self.any_case else (char,)
        inside = any(
            low <= ord(spelling) <= high for spelling in spellings if len(spelling) == 1 for low, high in self.ranges
        )
        return inside is not self.negated


def others(ranges: Ranges) -> Ranges:
    """Return all characters that are in none of the ranges."""
    found: list[tuple[int, int]] = []
    begin = 0
    for low, high in sorted(ranges):
        if low > begin:
            found.append((begin, low - 1))
        begin = max(begin, high + 1)
    if begin <= LAST:
        found.append((begin, LAST))
    return tuple(found)


ANY: Final = CharSet(((0, LAST),))
NO_NEWLINE: Final = CharSet(((10, 10),), negated=True)
