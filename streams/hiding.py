"""What must not be written: secrets that this process knows, and what looks like one."""

import json
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, unquote, urlsplit

CHARACTERS_MIN: Final = 6
"""A secret that is shorter is not looked for: it would blacken half of each line."""
SECRETS_MAX: Final = 1_000
"""Beside those of settings. The oldest are forgotten: each costs a little with each line that is written."""
TEXT_CHARACTERS_MAX: Final = 65_536
"""Of what is looked through."""
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
        self._kept: dict[str, None] = {}
        self._others: dict[str, None] = {}
        self._forms: list[str] | None = []

    def add(self, texts: Iterable[str], *, kept: bool) -> None:
        """Know more of them."""
        into = self._kept if kept else self._others
        fresh = [text for text in texts if len(text) >= CHARACTERS_MIN and text not in into]
        if not fresh:
            return
        into.update(dict.fromkeys(fresh))
        while len(self._others) > SECRETS_MAX:
            del self._others[next(iter(self._others))]
        self._forms = None

    def sub(self, text: str) -> str:
        """Return a text without them."""
        if self._forms is None:
            forms = {form for known in (*self._kept, *self._others) for form in _forms(known)}
            # The longest first: one may be part of another.
            self._forms = sorted(forms, key=len, reverse=True)
        for form in self._forms:
            if form in text:
                text = text.replace(form, HIDDEN)
        return text


def _forms(text: str) -> tuple[str, ...]:
    """Return how a text may be written: as it is, in Python's and JSON's quotes, in an address."""
    return text, repr(text)[1:-1], json.dumps(text)[1:-1], quote(text, safe="")


_KNOWN: Final = _Known()


def hide(*secrets: str) -> None:
    """Never write these from now on: for what is no setting, such as a secret from a file that settings name."""
    _KNOWN.add(secrets, kept=False)


def hide_setting(text: str) -> None:
    """Never write a setting that is secret; of an address, nor its password alone."""
    password = ""
    if "://" in text:
        try:
            password = urlsplit(text).password or ""
        except ValueError:
            password = ""
    _KNOWN.add((text, password, unquote(password)), kept=True)


def hidden(text: str) -> str:
    """Return a text with all that is secret in it replaced."""
    text = _KNOWN.sub(text[:TEXT_CHARACTERS_MAX])
    if "://" in text:
        text = _ADDRESS.sub(rf"\1:{HIDDEN}@", text)
    return _NAMED.sub(rf"\1{HIDDEN}", text)
