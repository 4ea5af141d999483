"""What a client can ask the gateway about itself: its API, its schemas, its limits."""

from http import HTTPStatus
from typing import Final

import msgspec
from aiohttp import web

from processors.validation import schemas
from processors.vocabulary.permissions import LIMIT_READ
from streams.gateway import openapi, problems
from streams.gateway.admission import Admission
from streams.gateway.caller import KEY as CALLER
from streams.gateway.limits import RefusedError
from streams.gateway.problems import Failure

OPENAPI_PATH: Final = "/openapi.json"
SCHEMAS_PATH: Final = "/v1/schemas"
LIMITS_PATH: Final = "/v1/limits"
SCHEMA_TYPE: Final = "application/schema+json"
_encode: Final = msgspec.json.Encoder().encode


class Discovery:
    """The routes that only read."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._document = _encode(openapi.document())

    def register(self, app: web.Application) -> None:
        """Put them into an application."""
        app.router.add_get(OPENAPI_PATH, self._openapi)
        app.router.add_get(SCHEMAS_PATH, self._schemas)
        app.router.add_get(SCHEMAS_PATH + "/{name}", self._schema)
        app.router.add_get(LIMITS_PATH, self._limits)

    async def _openapi(self, _: web.Request) -> web.StreamResponse:
        return _json(self._document)

    async def _schemas(self, _: web.Request) -> web.StreamResponse:
        return _json(_encode({"schemas": [schema.head() for schema in schemas.catalogue().values()]}))

    async def _schema(self, request: web.Request) -> web.StreamResponse:
        found = schemas.catalogue().get(request.match_info["name"])
        if found is None:
            failure = problems.plain(404, f"There is no schema of this name; {SCHEMAS_PATH} lists them.")
            raise RefusedError(failure)
        return _json(_encode(found.schema), SCHEMA_TYPE)

    async def _limits(self, request: web.Request) -> web.StreamResponse:
        caller = request[CALLER]
        if not caller.may(LIMIT_READ):
            raise RefusedError(_lacking(LIMIT_READ))
        return _json(_encode(self._admission.shown(caller)))


def _lacking(permission: str) -> Failure:
    return problems.plain(HTTPStatus.FORBIDDEN, f"The caller lacks the permission {permission}.")


def _json(content: bytes, content_type: str = "application/json") -> web.Response:
    return web.Response(body=content, content_type=content_type)
