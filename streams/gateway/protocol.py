"""Connections as the gateway takes them: what HTTP itself refuses is answered as a problem, too."""

from typing import Final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from multidict import CIMultiDict
from typing_extensions import override

from streams.gateway import problems

STATUS_MAX: Final = 599


class Connection(RequestHandler):
    """One connection. aiohttp's own answers to what is no HTTP have neither our form nor our headers."""

    __slots__ = ("headers",)

    headers: "CIMultiDict[str]"

    @override
    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if status >= 500:  # noqa: PLR2004 - HTTP's own
            self.log_exception("a request failed outside of its handler", exc_info=exc)
        text = "The request is not HTTP as it should be." if status < 500 else "The gateway failed on this request."  # noqa: PLR2004
        failure = problems.plain(status, text)
        response = web.Response(
            status=status, body=failure.body(), content_type=problems.CONTENT_TYPE, headers=self.headers.copy()
        )
        response.force_close()
        return response
