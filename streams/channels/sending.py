"""What a channel is to the rest: something that takes a notice, says what came of it, and never says a secret."""

from dataclasses import dataclass
from typing import Final, Protocol

from processors.alerting.notice import Notice
from streams import hiding

WORDS_CHARACTERS_MAX: Final = 300
READ_CHARACTERS_MAX: Final = 1_000
SECRET_CHARACTERS_MIN: Final = 4
"""Shorter ones would blank out half of what is said; what must not be shown is never so short."""
HIDDEN: Final = "***"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of telling a channel something."""

    ok: bool
    words: str
    """For people: what the other side said, or why it said nothing. No secret is in it."""
    retry_after_ms: int = 0
    alone: bool = False
    """The other side took offence at this notice; others need not wait for it."""


class Sender(Protocol):
    """One way to tell people. Whatever it raises counts as a failure."""

    @property
    def address(self) -> str:
        """Where it goes, as far as people may see that."""

    async def send(self, notice: Notice) -> Answer:
        """Tell it. The same notice may come twice; its id says so."""

    async def close(self) -> None:
        """Let go of what is open; never waits long."""


class Hidden:
    """Takes secrets out of words that come from elsewhere: an answer may repeat what it was asked."""

    def __init__(self) -> None:
        self._secrets: list[str] = []

    def add(self, *secrets: str) -> None:
        """Let these be shown no more, by any channel that shares this."""
        hiding.hide(*secrets)
        found = {*self._secrets, *(one for one in secrets if len(one) >= SECRET_CHARACTERS_MIN)}
        # The longest first: one may be part of another.
        self._secrets = sorted(found, key=len, reverse=True)

    def words(self, text: str) -> str:
        """Return a text for people, on one line, bounded."""
        # Before it is cut: half of a secret would not be found.
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        # And then from the beginning: at the end of what was read there may be half of one.
        shown = "".join(letter if letter.isprintable() else " " for letter in text[:READ_CHARACTERS_MAX])
        return " ".join(shown.split())[:WORDS_CHARACTERS_MAX]
