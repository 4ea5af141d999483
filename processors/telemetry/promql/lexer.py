"""Cut an expression into tokens."""

import re
from enum import StrEnum
from typing import Final, NamedTuple

from processors.telemetry.promql.errors import PromqlError
from processors.telemetry.promql.limits import DURATION_MAX_MS, TEXT_MAX


class Lexeme(StrEnum):
    """What sort of thing a token is."""

    NAME = "a name"
    NUMBER = "a number"
    DURATION = "a duration"
    STRING = "a string"
    SIGN = "a sign"
    END = "the end"


class Token(NamedTuple):
    """A piece of the text."""

    lexeme: Lexeme
    text: str
    position: int

    @property
    def shown(self) -> str:
        return "the end" if self.lexeme is Lexeme.END else f"`{self.text}`"


_BLANK: Final = re.compile(r"(?:[ \t\r\n]+|#[^\r\n]*)+")
_DURATION: Final = re.compile(r"[0-9]+(?:ms|[smhdwy])(?:[0-9]+(?:ms|[smhdw]))*(?![A-Za-z0-9_])")
_NUMBER: Final = re.compile(
    r"(?:0[xX][0-9a-fA-F]+|(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?![A-Za-z0-9_])"
)
_NAME: Final = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
LABEL: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SIGN: Final = re.compile(r"=~|!~|==|!=|<=|>=|[-+*/%^=<>(){}\[\],:@]")
_STRING: Final = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|`[^`]*`")
_UNITS_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_UNITS_MS_ALL: Final = {**_UNITS_MS, "w": 7 * 86_400_000, "y": 365 * 86_400_000}
_DURATION_PARTS: Final = re.compile(
    "".join(rf"(?:(?P<{unit}>[0-9]+){unit})?" for unit in ("y", "w", "d", "h", "m", "s", "ms"))
)
_ESCAPES: Final = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, "'": 39, '"': 34}
_ESCAPE: Final = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))", re.DOTALL)
_BYTE_MAX: Final = 255
_UNICODE_MAX: Final = 0x10FFFF
_SURROGATES: Final = range(0xD800, 0xE000)


def tokens(text: str) -> list[Token]:
    """Cut the text. Raises `PromqlError`."""
    if len(text) > TEXT_MAX:
        raise PromqlError(f"an expression has at most {TEXT_MAX} characters, this one {len(text)}")
    found: list[Token] = []
    at = 0
    inside = ""
    while at < len(text):
        blank = _BLANK.match(text, at)
        if blank is not None:
            at = blank.end()
            continue
        token = _next(text, at, inside)
        found.append(token)
        at += len(token.text)
        if token.lexeme is Lexeme.SIGN and token.text in "[]{}":
            # A colon belongs to names, except between the durations of a subquery; in braces there are only labels.
            inside = token.text if token.text in "[{" else ""
    found.append(Token(Lexeme.END, "", len(text)))
    return found


def _next(text: str, at: int, inside: str) -> Token:
    for lexeme, pattern in (
        (Lexeme.STRING, _STRING),
        (Lexeme.DURATION, _DURATION),
        (Lexeme.NUMBER, _NUMBER),
        (Lexeme.NAME, LABEL if inside else _NAME),
        (Lexeme.SIGN, _SIGN),
    ):
        match = pattern.match(text, at)
        if match is not None:
            return Token(lexeme, match.group(), at)
    if text[at] in "\"'`":
        raise PromqlError(f"the string that begins with {text[at]} does not end", at)
    if text[at].isdigit():
        raise PromqlError("this is neither a number nor a duration such as 5m or 1h30m", at)
    raise PromqlError(f"the character {text[at]!r} has no meaning here", at)


def duration_ms(token: Token) -> int:
    """Read `1h30m`. Units come once each, the largest first."""
    parts = _DURATION_PARTS.fullmatch(token.text)
    if parts is None:
        raise PromqlError(
            f"{token.text} is no duration: units come once each, the largest first, as in 1h30m", token.position
        )
    total = sum(int(number) * _UNITS_MS_ALL[unit] for unit, number in parts.groupdict().items() if number is not None)
    if not 0 < total <= DURATION_MAX_MS:
        raise PromqlError("a duration is more than 0 and at most 100 years", token.position)
    return total


def number(token: Token) -> float:
    """Read a number as Go does: 0x1f is 31, 017 is 15."""
    text = token.text
    if text[:2] in {"0x", "0X"}:
        return float(int(text, 16))
    if text[0] == "0" and text.isdigit() and not set("89") & set(text):
        return float(int(text, 8))
    return float(text)


def string(token: Token) -> str:
    """Take away the quotes, and read what is escaped."""
    quote, body = token.text[0], token.text[1:-1]
    if quote == "`" or "\\" not in body:
        return body
    written = bytearray()
    at = 0
    for match in _ESCAPE.finditer(body):
        written += body[at : match.start()].encode()
        written += _escaped(match, quote, token)
        at = match.end()
    written += body[at:].encode()
    try:
        return written.decode()
    except UnicodeDecodeError as error:
        raise PromqlError("this string is no UTF-8", token.position) from error


def _escaped(match: re.Match[str], quote: str, token: Token) -> bytes:
    byte, short, long, octal, plain = match.groups()
    if byte is not None:
        return bytes((int(byte, 16),))
    if octal is not None and int(octal, 8) <= _BYTE_MAX:
        return bytes((int(octal, 8),))
    if short is not None or long is not None:
        code = int(short or long, 16)
        if code <= _UNICODE_MAX and code not in _SURROGATES:
            return chr(code).encode()
    other_quote = {"'": '"', '"': "'"}[quote]
    if plain is not None and plain in _ESCAPES and plain != other_quote:
        return bytes((_ESCAPES[plain],))
    raise PromqlError(f"{match.group()} is not known in a string; write \\\\ for a backslash", token.position)
