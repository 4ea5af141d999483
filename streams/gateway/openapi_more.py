"""The gateway's API besides sending: history, the live tail, directives. A part of the document in `openapi.py`."""

from collections.abc import Callable
from typing import Any, Final

from streams.history.reading import LIMIT_MAX
from streams.history.rows import STATUSES
from streams.live.reader import TOPICS

JSON: Final = "application/json"
_Map = dict[str, Any]
_Failing = Callable[..., _Map]
_TEXT: Final[_Map] = {"type": "string"}
_TIME: Final[_Map] = {"type": "string", "format": "date-time"}
_TIMES: Final = {"notbefore": _TIME, "expires": _TIME}
_REF: Final[_Map] = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
_LISTED: Final[_Map] = {"type": "array", "items": {"type": "object"}}


def _query(name: str, text: str, schema: _Map = _TEXT) -> _Map:
    return {"name": name, "in": "query", "schema": schema, "description": text}


def _in_path(name: str, text: str, schema: _Map = _TEXT) -> _Map:
    return {"name": name, "in": "path", "required": True, "schema": schema, "description": text}


_TENANT: Final = _query("tenant", "whose; a key of a tenant may leave it out")
_SIGNAL: Final = _in_path("ref", "the reference that the 202 gave")


def _object(*required: str, **properties: _Map) -> _Map:
    return {"type": "object", "required": list(required), "properties": properties}


def schemas() -> _Map:
    """Return the schemas that the operations here refer to."""
    directive = dict.fromkeys(("tenant", "key", "directive", "status"), _TEXT)
    return {
        "Signal": _object("ref", "status", "ends", ref=_REF, status=_TEXT, ends=_LISTED, outcomes=_LISTED),
        "Signals": _object(
            "signals", "cursor", "complete", signals=_LISTED, cursor={"type": ["string", "null"]},
            complete={"type": "boolean"}, behind_seconds={"type": "number"},
        ),
        "Causes": _object("signals", "edges", "stopped", signals=_LISTED, edges=_LISTED, stopped={"type": "array"}),
        "Wish": {
            **_object("name", **dict.fromkeys(("name", "tenant", "key"), _TEXT), data={"type": "object"}, **_TIMES),
            "additionalProperties": False,
        },
        "Directive": _object(*directive, **directive),
        "Directives": _object("tenant", "directives", tenant=_TEXT, directives=_LISTED),
        "Kinds": _object("kinds", kinds=_LISTED),
    }  # fmt: skip


def _operation(summary: str, id_: str, answers: _Map, failing: _Map, *parameters: _Map) -> _Map:
    return {"summary": summary, "operationId": id_, "parameters": list(parameters), "responses": {**answers, **failing}}


def _ok(schema: str, status: str = "200", text: str = "as asked") -> _Map:
    return {status: {"description": text, "content": {JSON: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}}}


def search(failing: _Failing) -> _Map:
    """Return the search of history."""
    parameters = [
        _TENANT,
        _query("since", "from this time on", _TIME),
        _query("until", "up to this time", _TIME),
        _query("type", "a pattern: * is one segment, ** any, {a,b} either"),
        _query("subject", "exactly this one"),
        _query("source", "exactly this one"),
        _query("correlation", "exactly this correlation id"),
        _query("status", "how it ended", {"enum": list(STATUSES)}),
        _query("reason", "why it was dead-lettered"),
        _query("where", 'on data, such as data.total >= 10 and data.city = "Bern"'),
        _query("text", "words that the data has, all of them"),
        _query("limit", "rows of the page", {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX}),
        _query("cursor", "where the page before ended"),
    ]
    failures = failing("400", "401", "403", "429", "500", "503")
    return _operation("Search signals, the newest first", "searchSignals", _ok("Signals"), failures, *parameters)


def paths(failing: _Failing) -> _Map:
    """Return the paths with their operations."""
    return {**_history(failing), **_directives(failing)}


def _history(failing: _Failing) -> _Map:
    reading = failing("400", "401", "403", "404", "429", "500", "503")
    show = _operation("What became of a signal", "getSignal", _ok("Signal"), reading, _SIGNAL, _TENANT)
    depth = _query("depth", "steps each way", {"type": "integer", "minimum": 1})
    summary = "What led to a signal and what came of it"
    causes = _operation(summary, "getCauses", _ok("Causes"), reading, _SIGNAL, _TENANT, depth)
    topic = _query("topic", "one of the two; both without it", {"enum": list(TOPICS)})
    events = {"description": "server-sent events", "content": {"text/event-stream": {"schema": _TEXT}}}
    tail = _operation(
        "What happens now, as events or over a WebSocket",
        "tail",
        {"200": events},
        reading,
        _TENANT,
        _query("type", "a pattern"),
        topic,
    )
    return {
        "/v1/signals/{ref}": {"get": show},
        "/v1/signals/{ref}/causes": {"get": causes},
        "/v1/tail": {"get": tail},
    }


def _directives(failing: _Failing) -> _Map:
    reading = failing("400", "401", "403", "404", "429", "500", "503")
    asking = failing("400", "401", "403", "404", "408", "409", "413", "415", "429", "500", "503")
    ended = _ok("Directive", text="it has ended") | _ok("Directive", "202", "it is asked for; `Location` has it")
    key = _in_path("key", "the idempotency key, percent-encoded")
    wait = {"name": "Prefer", "in": "header", "schema": _TEXT, "description": "wait=SECONDS for the end, up to 30"}
    again = {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "pattern": "^[!-~]{1,256}$"}}
    limit = _query("limit", "how many", {"type": "integer", "minimum": 1})
    ask = _operation("Ask for a directive", "askForDirective", ended, asking, wait, again)
    ask["requestBody"] = {"required": True, "content": {JSON: {"schema": {"$ref": "#/components/schemas/Wish"}}}}
    summary = "A tenant's directives, last changed first"
    listed = _operation(summary, "listDirectives", _ok("Directives"), reading, _TENANT, limit)
    show = _operation("Where a directive stands", "getDirective", _ok("Directive"), reading, key, _TENANT)
    summary = "Cancel a directive that waits"
    cancel = _operation(summary, "cancelDirective", ended, asking, key, _TENANT, wait, again)
    listing = failing("401", "403", "429", "500", "503")
    return {
        "/v1/directives": {"post": ask, "get": listed},
        "/v1/directives/{key}": {"get": show, "delete": cancel},
        "/v1/directive-kinds": {"get": _operation("What can be asked for", "listKinds", _ok("Kinds"), listing)},
    }
