"""A webhook: each notice as JSON, signed, to an address of the operator's."""

import json
import time
from collections.abc import Callable
from typing import Final

from aiohttp import ClientError

from processors.alerting.notice import Notice
from processors.vocabulary.timestamps import rfc3339
from streams.channels import signing, words
from streams.channels.http import Http
from streams.channels.sending import Answer

VERSION: Final = 1


class Webhook:
    """See `Sender`."""

    def __init__(
        self,
        http: Http,
        key: bytes,
        *,
        authorization: str = "",
        runbooks: str = "",
        now: Callable[[], float] = time.time,
    ) -> None:
        self._http = http
        self._key = key
        self._headers = {"Authorization": authorization} if authorization else {}
        self._runbooks = runbooks
        self._now = now
        self.address = http.address

    async def send(self, notice: Notice) -> Answer:
        """See `Sender.send`."""
        now = self._now()
        content = {
            "version": VERSION,
            "id": notice.id,
            "title": words.title(notice),
            "test": notice.test,
            "attempt": notice.attempt,
            "sent_at": rfc3339(round(now * 1_000)),
            "alerts": [words.plain(entry, self._runbooks) for entry in notice.entries],
        }
        body = json.dumps(content).encode()
        # Signed anew each time: a receiver refuses what is old.
        signed = signing.headers(self._key, notice.id, int(now), body)
        try:
            reply = await self._http.ask("POST", body, {**self._headers, **signed})
        except (ClientError, OSError, ValueError) as error:
            return self._http.explained(error)
        return reply.answer()

    async def close(self) -> None:
        """See `Sender.close`."""
        await self._http.close()
