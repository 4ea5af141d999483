"""What is asked of bytes as JSON text, without building what they hold: encoding, depth, names that stand twice."""

import json
import re
from typing import Final

import msgspec

from processors.vocabulary.reasons import Problem, Reason, Rejected

BLANKS: Final = b" \t\r\n"
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_UTF16_SHOWS_BYTES: Final = 4
_OPENING: Final = b"["[0]
_AS_BRACKETS: Final = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_BLANK: Final = re.compile(r"[ \t\r\n]*").match
_PLACE: Final = re.compile(r"\(byte (\d+)\)").search
_any: Final = msgspec.json.Decoder(msgspec.Raw).decode
# Numbers are not made: one of many digits would cost much, or be refused.
_walker: Final = json.JSONDecoder(parse_int=str, parse_float=str)


def judge_text(value: bytes, depth_max: int) -> Rejected | None:
    """Refuse what must not be given to a JSON parser: other encodings, and nesting without end."""
    if not value.isascii():
        if value.startswith(_BYTE_ORDER_MARK):
            return _refused(Reason.NOT_UTF8, "starts with a byte order mark; leave it out")
        try:
            value.decode()
        except UnicodeDecodeError as error:
            return _refused(Reason.NOT_UTF8, f"is not UTF-8 at byte {error.start}")
    if brackets_of(value) > depth_max and deeper_than(value, depth_max):
        return _refused(Reason.TOO_DEEP, f"is nested deeper than {depth_max} levels; flatten it")
    return None


def brackets_of(value: bytes) -> int:
    """Return how many opening brackets there are, and so how deep it can be at most."""
    # Counted by taking them out, which is five times as fast as bytes.count.
    return 2 * len(value) - len(value.replace(b"[", b"")) - len(value.replace(b"{", b""))


def deeper_than(value: bytes, depth_max: int) -> bool:
    """Tell whether arrays and objects are nested deeper than that. Brackets in strings do not count."""
    if b"\\" in value:
        value = value.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside = b"".join(value.split(b'"')[::2])
    brackets = outside.translate(_AS_BRACKETS, _NO_BRACKETS)
    left = brackets
    for _ in range(depth_max):
        if not left:
            return False
        left = left.replace(b"[]", b"")
    # Something is left: nested too deep, or not balanced, and then it matters how deep it goes before it breaks.
    depth = 0
    for bracket in brackets:
        depth += 1 if bracket == _OPENING else -1
        if depth > depth_max:
            return True
    return False


def not_json(value: bytes, error: msgspec.DecodeError) -> Rejected:
    """Return why a value is no JSON, with the place if it is known."""
    if b"\0" in value[:_UTF16_SHOWS_BYTES]:
        return _refused(Reason.NOT_UTF8, "is UTF-16 or UTF-32 by the look of it; encode it as UTF-8")
    text = str(error).removeprefix("JSON is malformed: ")
    found = _PLACE(text)
    if found and value[int(found[1]) :].lstrip(b"-").startswith((b"NaN", b"Infinity")):
        text = f"NaN and Infinity are not JSON; send null or a string (byte {found[1]})"
    return _refused(Reason.NOT_JSON, text)


def another_kind(value: bytes, message: str) -> Rejected:
    """Return why a value is not what it should be: another kind of JSON, or none at all further on."""
    try:
        _any(value)
    except msgspec.DecodeError as error:
        return not_json(value, error)
    return _refused(Reason.INVALID_ENVELOPE, message)


def each_once(value: bytes, members: dict[str, msgspec.Raw]) -> bool:
    """Tell whether no byte but blanks is left over, so that no member stands there twice.

    A member that the dict lost to a later one of its name leaves bytes over that are not blank. So does a name with
    an escape; then the answer is no although nothing may be wrong.
    """
    raws = b",".join(members.values())
    length = len("{}") + len("".join(members)) + len('"":') * len(members) + len(raws)
    if length == len(value):
        return True
    blanks = len(raws) - len(raws.translate(None, BLANKS))
    return len(value.translate(None, BLANKS)) == length - blanks


def names_of(text: str, count_max: int) -> list[str]:
    """Return the first names at the top level of an object that is known to be valid, repeated ones too."""
    names: list[str] = []
    at = _after_blanks(text, text.index("{") + 1)
    while text[at] != "}" and len(names) < count_max:
        name, at = _walker.raw_decode(text, at)
        names.append(name)
        _, at = _walker.raw_decode(text, _after_blanks(text, _after_blanks(text, at) + 1))
        at = _after_blanks(text, at)
        if text[at] == ",":
            at = _after_blanks(text, at + 1)
    return names


def _refused(reason: Reason, message: str) -> Rejected:
    return Rejected(reason, (Problem("value", message),))


def _after_blanks(text: str, at: int) -> int:
    found = _BLANK(text, at)
    return found.end() if found else at
