"""The words of a signal's data: what full text finds. One definition for both databases and for the tests."""

import re
from typing import Final

import msgspec

WORDS_MAX: Final = 1_000
"""Distinct words of one row; what has more is found by its first ones."""
WORD_CHARACTERS_MAX: Final = 64

_FIND: Final = re.compile(r"[^\W_]+").findall
_ESCAPES: Final = re.compile(r"\\(?:u[0-9a-fA-F]{4}|.)").sub


def words(text: str) -> list[str]:
    """Return the distinct words of a text in their order: runs of letters and digits, whatever their case."""
    # Folding, for lower case depends on what stands beside a letter.
    return list(dict.fromkeys(word[:WORD_CHARACTERS_MAX] for word in _FIND(text.casefold())))


def words_of(data: bytes | None) -> tuple[list[str], bool]:
    """Return the words of a signal's data, names of fields included, and whether there were too many."""
    text = _readable(data)
    found = words(text)
    return found[:WORDS_MAX], len(found) > WORDS_MAX


def _readable(data: bytes | None) -> str:
    if not data:
        return ""
    try:
        if b"\\" in data:
            # What is escaped is read first: `\n` is no letter, and `\u00e9` is one.
            data = _unescaped(data)
        return data.decode()
    except UnicodeDecodeError:
        return ""


def _unescaped(data: bytes) -> bytes:
    try:
        plain = msgspec.json.encode(msgspec.json.decode(data)).decode()
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return data
    return _ESCAPES(" ", plain).encode()
