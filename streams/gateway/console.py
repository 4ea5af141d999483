"""The page at `/console/`: files of `streams/console`, read once and served as they are. `docs/console.md`.

Anybody may load it, for it holds no data: what it shows it asks the API for, with the key of whoever looks.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from http import HTTPStatus
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import islice
from typing import Final

from aiohttp import web

log = logging.getLogger(__name__)

PATH: Final = "/console/"
INDEX: Final = "index.html"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing from elsewhere, nothing inline: what a label or a message holds can never run."""
TYPES: Final = {
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
}
"""What is served; a file of another kind is not."""
FILES_MAX: Final = 100
_PACKAGE: Final = "streams.console"
_ETAG_BYTES: Final = 12


@dataclass(frozen=True, slots=True)
class Page:
    """One file."""

    content: bytes
    content_type: str
    etag: str


class Console:
    """The routes, and the files in memory: a request names one of those, or none."""

    def __init__(self) -> None:
        self.pages = dict(islice(_read(files(_PACKAGE), ""), FILES_MAX))
        if INDEX not in self.pages:
            # A gateway that takes signals is worth more than its page.
            log.error("%s has no %s: the page is not served. Was Hopline installed whole?", _PACKAGE, INDEX)

    def register(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/", self._root)
        app.router.add_get(PATH.rstrip("/"), self._redirect)
        app.router.add_get(PATH + "{name:.*}", self._serve)

    async def _root(self, request: web.Request) -> web.StreamResponse:
        # A program that asks for nothing in particular is told as before what there is.
        if "text/html" not in request.headers.get("Accept", ""):
            raise web.HTTPNotFound
        return await self._redirect(request)

    async def _redirect(self, _: web.Request) -> web.StreamResponse:
        # Relative: a proxy may have put the gateway below a path of its own.
        return web.Response(status=HTTPStatus.FOUND, headers={"Location": PATH.lstrip("/")})

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        page = self.pages.get(request.match_info["name"] or INDEX)
        if page is None:
            raise web.HTTPNotFound
        headers = {
            # Asked for each time and answered by 304: after an upgrade nobody runs half of the old page.
            "Cache-Control": "no-cache",
            "ETag": page.etag,
            "Content-Security-Policy": POLICY,
        }
        known = request.headers.get("If-None-Match", "")
        # A proxy that compresses calls the tag weak.
        if page.etag in {each.strip().removeprefix("W/") for each in known.split(",")}:
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        return web.Response(body=page.content, content_type=page.content_type, charset="utf-8", headers=headers)


def _read(folder: Traversable, above: str) -> Iterator[tuple[str, Page]]:
    """Yield each file that is served, by its path below the page's."""
    for entry in folder.iterdir():
        name = above + entry.name
        if entry.is_dir():
            yield from _read(entry, name + "/")
        elif found := TYPES.get(entry.name.rpartition(".")[2]):
            content = entry.read_bytes()
            yield name, Page(content, found, f'"{blake2b(content, digest_size=_ETAG_BYTES).hexdigest()}"')
