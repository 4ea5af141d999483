"""What must not be written: secrets that this process knows, and what looks like one."""

import re
from typing import Final
from urllib.parse import unquote, urlsplit

CHARACTERS_MIN: Final = 6
"""A secret that is shorter is not looked for: it would blacken half of each line."""
SECRETS_MAX: Final = 10_000
HIDDEN: Final = "***"
# Each repetition has a bound: what is looked through may come from anybody.
_ADDRESS: Final = re.compile(r"(\b[a-z][a-z0-9+.-]{0,20}://[^\s/:@]{0,100}):[^\s/@]{1,200}@", re.IGNORECASE)
_NAMED: Final = re.compile(
    r"""(?ix) ( (?: password | passwd | secret | token | api[_-]?key | authorization ) [\w-]{0,40}
        ["']? \s{0,4} [:=] \s{0,4} ["']? (?: (?:bearer|basic) \s{1,4} )? ) [^\s"',;&})\]]{4,2000}"""
)


class _Known:
    """The secrets that are known. One for a process."""

    def __init__(self) -> None:
        self._texts: dict[str, None] = {}
        self._pattern: re.Pattern[str] | None = None

    def add(self, texts: tuple[str, ...]) -> None:
        """Know more of them."""
        fresh = [text for text in texts if len(text) >= CHARACTERS_MIN and text not in self._texts]
        if fresh and len(self._texts) + len(fresh) <= SECRETS_MAX:
            self._texts.update(dict.fromkeys(fresh))
            # The longest first: one may be the beginning of another.
            self._pattern = re.compile("|".join(map(re.escape, sorted(self._texts, key=len, reverse=True))))

    def sub(self, text: str) -> str:
        """Return a text without them."""
        return text if self._pattern is None else self._pattern.sub(HIDDEN, text)


_KNOWN: Final = _Known()


def hide(*secrets: str) -> None:
    """Never write these from now on. `streams.secret` and `streams.logs` do so for all that settings hold."""
    _KNOWN.add(secrets)


def hide_setting(text: str) -> None:
    """Never write a setting that is secret; of an address, its password."""
    password = ""
    if "://" in text:
        try:
            password = urlsplit(text).password or ""
        except ValueError:
            password = ""
    _KNOWN.add((text, password, unquote(password)))


def hidden(text: str) -> str:
    """Return a text with all that is secret in it replaced."""
    text = _KNOWN.sub(text)
    if "://" in text:
        text = _ADDRESS.sub(rf"\1:{HIDDEN}@", text)
    return _NAMED.sub(rf"\1{HIDDEN}", text)
