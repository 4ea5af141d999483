"""Slack's format for incoming webhooks; Mattermost, Rocket.Chat and others take it, too."""

from typing import Any, Final

from aiohttp import ClientError

from processors.alerting.notice import Entry, Notice
from streams.channels import words
from streams.channels.http import Http
from streams.channels.sending import Answer

BLOCKS_MAX: Final = 50
"""Of one message, says Slack."""
SECTION_CHARACTERS_MAX: Final = 3_000
_ESCAPES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


class Slack:
    """See `Sender`."""

    def __init__(self, http: Http, *, runbooks: str = "") -> None:
        self._http = http
        self._runbooks = runbooks
        self.address = http.address

    async def send(self, notice: Notice) -> Answer:
        """See `Sender.send`."""
        try:
            reply = await self._http.post(message(notice, self._runbooks))
        except (ClientError, OSError, ValueError) as error:
            return self._http.explained(error)
        return reply.answer()

    async def close(self) -> None:
        """See `Sender.close`."""
        await self._http.close()


def message(notice: Notice, runbooks: str = "") -> dict[str, Any]:
    """Return a notice as Slack takes it. Nothing in it calls anybody: `<!channel>` in a label is shown as it is."""
    title = words.title(notice)
    head = {"type": "header", "text": {"type": "plain_text", "text": title, "emoji": False}}
    room = BLOCKS_MAX - 2
    entries = notice.entries if len(notice.entries) <= room else notice.entries[: room - 1]
    sections = [_section(_text(entry, runbooks)) for entry in entries]
    if len(entries) < len(notice.entries):
        sections.append(_section(f"And {len(notice.entries) - len(entries)} more."))
    foot = {"type": "context", "elements": [{"type": "plain_text", "text": f"hopline · {notice.id}"}]}
    return {"text": _escaped(title), "blocks": [head, *sections, foot]}


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def _text(entry: Entry, runbooks: str) -> str:
    first, *rest = words.lines(entry, runbooks)
    return words.cut("\n".join((f"*{_escaped(first)}*", *map(_escaped, rest))), SECTION_CHARACTERS_MAX)


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES)
