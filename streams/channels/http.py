"""One request to where a channel is told: bounded in time and bytes, no redirects, no secret in what is said of it."""

import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final

import aiohttp
from yarl import URL

from streams.channels.addresses import shown
from streams.channels.sending import Answer, Hidden

BODY_BYTES_MAX: Final = 4_096
"""Of an answer: what is more is not read."""
HEADER_BYTES_MAX: Final = 16_384
_NOT_OURS: Final = frozenset({400, 411, 413, 414, 415, 422})
"""The other side takes offence at this notice, and may take another."""
_LESS_THAN_OK: Final = 200
_MORE_THAN_OK: Final = 300
_MORE_THAN_MOVED: Final = 400


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    body: bytes
    retry_after_ms: int
    words: str

    @property
    def ok(self) -> bool:
        """Whether it was taken."""
        return _LESS_THAN_OK <= self.status < _MORE_THAN_OK

    def answer(self) -> Answer:
        """Return it as a channel's answer."""
        return Answer(self.ok, self.words, self.retry_after_ms, alone=self.status in _NOT_OURS)


class Http:
    """Speaks to one address."""

    def __init__(self, url: str, hidden: Hidden, *, timeout_seconds: float, ca_file: str = "") -> None:
        self._url = url
        self._seconds = timeout_seconds
        self._hidden = hidden
        self._ca_file = ca_file
        self._session: aiohttp.ClientSession | None = None
        self.address = shown(url)

    async def post(self, value: Any, headers: Mapping[str, str] | None = None, *, path: str = "") -> Reply:
        """Send JSON. What goes wrong on the way is raised as `aiohttp.ClientError`, `OSError` or `TimeoutError`."""
        return await self.ask("POST", json.dumps(value).encode(), headers, path=path)

    async def ask(
        self,
        method: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        path: str = "",
        body_bytes_max: int = BODY_BYTES_MAX,
    ) -> Reply:
        """Send one request, and read what comes back up to a bound."""
        content = {} if body is None else {"Content-Type": "application/json"}
        async with self._open().request(
            method,
            # As it was written: a signature or a token in it may not be quoted anew.
            URL(self._url.rstrip("/") + path if path else self._url, encoded=True),
            data=body,
            headers={**content, **(headers or {})},
            allow_redirects=False,
        ) as response:
            text = await _read(response.content, body_bytes_max)
            return Reply(response.status, text, _retry_after_ms(response.headers), self._words(response, text))

    def explained(self, error: Exception) -> Answer:
        """Return what went wrong on the way. Not the error's own words: they may repeat the URL."""
        match error:
            case TimeoutError():
                words = f"{self.address} did not answer within {self._seconds:g} s"
            case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
                words = f"{self.address} has a certificate that is not trusted; ca_file names who signed it"
            case aiohttp.ClientConnectorError():
                words = f"{self.address} cannot be reached: {error.os_error.strerror or 'no such host'}"
            case _:
                words = f"{self.address} broke off: {type(error).__name__}"
        return Answer(ok=False, words=self._hidden.words(words))

    async def close(self) -> None:
        """Close the connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _words(self, response: aiohttp.ClientResponse, text: bytes) -> str:
        said = f"{response.status} {response.reason or ''}".strip()
        if _MORE_THAN_OK <= response.status < _MORE_THAN_MOVED:
            return self._hidden.words(f"{said}: it has moved, and that is not followed; give the address where it is")
        body = text.decode(errors="replace").strip()
        return self._hidden.words(f"{said}: {body}" if body else said)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            context = ssl.create_default_context(cafile=self._ca_file or None)
            self._session = aiohttp.ClientSession(
                # Its own connections: no other channel waits for this one's.
                connector=aiohttp.TCPConnector(limit=2, ssl=context),
                timeout=aiohttp.ClientTimeout(total=self._seconds),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "hopline"},
                max_field_size=HEADER_BYTES_MAX,
                trust_env=False,
                auto_decompress=False,
            )
        return self._session


async def _read(stream: aiohttp.StreamReader, bytes_max: int) -> bytes:
    """Return the beginning of a body."""
    found = bytearray()
    while len(found) < bytes_max:
        part = await stream.read(bytes_max - len(found))
        if not part:
            break
        found += part
    return bytes(found)


def _retry_after_ms(headers: Mapping[str, str]) -> int:
    """Return how long to stay away; 0 if nothing is said of it, or nothing that can be read."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(int(text[:9]), 86_400) * 1_000
    try:
        seconds = parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0
    return round(min(max(seconds, 0), 86_400) * 1_000)
