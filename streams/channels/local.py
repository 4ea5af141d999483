"""Channels that go nowhere else: this process's log, and the console that is open on the page."""

import logging
from collections.abc import Callable
from typing import Final

from processors.alerting.notice import Notice, What
from processors.alerting.rule import Severity
from streams.channels import words
from streams.channels.sending import Answer

log = logging.getLogger(__name__)

_LEVELS: Final = {
    Severity.CRITICAL: logging.ERROR,
    Severity.WARNING: logging.WARNING,
    Severity.INFO: logging.INFO,
}


class Log:
    """See `Sender`. One line an alert."""

    address = "this process's log"

    async def send(self, notice: Notice) -> Answer:
        """See `Sender.send`."""
        for entry in notice.entries:
            level = logging.INFO if entry.what is What.RESOLVED or notice.test else _LEVELS[entry.news.severity]
            test = f"{words.TEST} " if notice.test else ""
            log.log(level, "%s%s", test, " · ".join(words.lines(entry)))
        return Answer(ok=True, words="logged")

    async def close(self) -> None:
        """See `Sender.close`."""


class Console:
    """See `Sender`. What it is handed to must not wait."""

    address = "the page"

    def __init__(self, hand: Callable[[Notice], None]) -> None:
        self._hand = hand

    async def send(self, notice: Notice) -> Answer:
        """See `Sender.send`."""
        self._hand(notice)
        return Answer(ok=True, words="handed to who has the page open")

    async def close(self) -> None:
        """See `Sender.close`."""
