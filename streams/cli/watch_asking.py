"""How commands ask the watch: where it is, and what to do when it does not answer."""

import json
from typing import Any, Final

import aiohttp

from streams import cluster
from streams.cli.errors import MISUSED, CommandError
from streams.settings import Settings
from streams.watch.asked import address_of

ASK_SECONDS_MAX: Final = 15.0
ANSWER_BYTES_MAX: Final = 16 * 1_048_576
_BAD_REQUEST: Final = 400
_OK: Final = 200


def watch_url(settings: Settings) -> str:
    """Return where the watch is: as set, as a running `hopline up` says, or at its port."""
    running = None if settings.watch_url else cluster.read(settings)
    return running.watch_url if running is not None and running.watch_url else address_of(settings)


async def ask_watch(settings: Settings, path: str, **parameters: str | int) -> dict[str, Any]:
    """Return the watch's answer. Raises `CommandError`."""
    url = watch_url(settings)
    timeout = aiohttp.ClientTimeout(total=ASK_SECONDS_MAX)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=False) as http,
            http.get(f"{url}{path}", params=parameters, allow_redirects=False) as answer,
        ):
            content = await answer.content.read(ANSWER_BYTES_MAX)
            while not answer.content.at_eof() and len(content) < ANSWER_BYTES_MAX:
                content += await answer.content.read(ANSWER_BYTES_MAX - len(content))
            status = answer.status
        found: dict[str, Any] = json.loads(content)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise CommandError(
            f"the watch at {url} does not answer ({type(error).__name__})",
            "start it (`make up`, or `python -m streams.watch`), or set HOPLINE_WATCH_URL to where it is",
        ) from error
    if status != _OK:
        code = MISUSED if status == _BAD_REQUEST else 1
        raise CommandError(f"the watch at {url} says: {found.get('error', status)}", "see docs/watch.md", code=code)
    return found
