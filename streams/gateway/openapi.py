"""The gateway's API as OpenAPI 3.1: data, from which clients and tests are made."""

from importlib.metadata import version
from typing import Any, Final

from processors.validation import schemas
from processors.vocabulary.limits import SIGNAL_BYTES_MAX
from processors.vocabulary.reasons import Reason
from streams.gateway import openapi_more as more
from streams.gateway import openapi_watch

VERSION: Final = "3.1.0"
STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
PROBLEM: Final = "application/problem+json"
JSON: Final = "application/json"
SIGNALS: Final = "/v1/signals"
_Map = dict[str, Any]


def _object(required: tuple[str, ...], **properties: _Map) -> _Map:
    return {"type": "object", "required": list(required), "properties": properties}


def _ref(kind: str, name: str) -> _Map:
    return {"$ref": f"#/components/{kind}/{name}"}


_TEXT: Final[_Map] = {"type": "string"}
_COUNT: Final[_Map] = {"type": "integer", "minimum": 0}
_PROBLEMS: Final[_Map] = {
    "type": "array",
    "items": _object(("field", "message"), field=_TEXT, message=_TEXT),
    "description": "field by field what is wrong",
}


def _schemas() -> _Map:
    event = {name: value for name, value in schemas.envelope().items() if name != "$schema"}
    accepted = {
        "id": {**_TEXT, "description": "the event's own, or the one it was given"},
        "tenant": _TEXT,
        "lane": _COUNT,
        "offset": _COUNT,
        "ref": {"type": "string", "pattern": "^[0-9a-f]{32}$", "description": "what the signal is called here"},
    }
    problem = {
        "type": {"type": "string", "pattern": "^urn:hopline:problem:"},
        "title": _TEXT,
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": _TEXT,
        "problems": _PROBLEMS,
        "retry_after_ms": {"type": "integer", "minimum": 1},
    }
    limit = {"channel": _TEXT, "tier": _TEXT, "rate_per_second": {"type": "number"}, "burst": _COUNT}
    use = {"caller": _TEXT, "channel": _TEXT, "burst": _COUNT, "remaining": _COUNT}
    return {
        "CloudEvent": event,
        "CloudEvents": {"type": "array", "items": _ref("schemas", "CloudEvent")},
        "Accepted": _object(tuple(accepted), **accepted),
        "Batch": _object(
            ("accepted", "refused", "items"),
            accepted=_COUNT,
            refused=_COUNT,
            items={
                "type": "array",
                "items": _object(("index", "status"), index=_COUNT, status={"type": "integer"}),
                "description": "for each event in its order an acceptance with status 202, or a problem",
            },
        ),
        "Problem": _object(("type", "title", "status", "detail", "problems"), **problem),
        "Schemas": _object(
            ("schemas",),
            schemas={
                "type": "array",
                "items": _object(
                    ("name", "kind", "version", "summary"),
                    name=_TEXT,
                    kind={"enum": ["envelope", "directive", "signal"]},
                    version={"type": "integer", "minimum": 1},
                    summary=_TEXT,
                ),
            },
        ),
        "Limits": _object(
            ("limits", "use", "use_left_out"),
            limits={"type": "array", "items": _object(tuple(limit), **limit)},
            use={"type": "array", "items": _object(tuple(use), **use)},
            use_left_out=_COUNT,
        ),
        "Health": _object(("status",), status=_TEXT, why=_TEXT),
    }


_PROBLEM_TEXTS: Final = {
    "400": "Not an event, or not one that can be taken; `problems` says by field why.",
    "401": "A key is asked for, and none was sent or not one that is known.",
    "403": "The caller may not do this, or called the gateway by a name that it does not serve.",
    "404": "There is nothing of this name.",
    "408": "The body did not arrive in time.",
    "413": f"More than {SIGNAL_BYTES_MAX} bytes for one event, or more than a batch may have.",
    "409": "The idempotency key was used for something else.",
    "415": "Neither a CloudEvent nor a batch of them, or compressed.",
    "429": "More than this caller may send, a pause after invalid requests, or the gateway is full.",
    "500": "A bug of the gateway; its log says how.",
    "503": "Kafka, history or the watch cannot be reached; nothing that was accepted is lost. "
    "An event of unknown fate is named.",
}
_RETRY: Final = {
    "Retry-After": {"schema": {"type": "integer", "minimum": 1}, "description": "seconds; `retry_after_ms` is exact"}
}
_LIMITED: Final = {
    "RateLimit-Policy": {"schema": _TEXT, "description": "the bucket: its size, and the seconds it takes to be full"},
    "RateLimit": {"schema": _TEXT, "description": "what is left in it, and in how many seconds it is full"},
    "RateLimit-Warning": {"schema": _TEXT, "description": "there if less than a fifth is left"},
}


def _problem_responses() -> _Map:
    found: _Map = {}
    for status, text in _PROBLEM_TEXTS.items():
        answer: _Map = {"description": text, "content": {PROBLEM: {"schema": _ref("schemas", "Problem")}}}
        if status in {"429", "503"}:
            answer["headers"] = {**_RETRY, **(_LIMITED if status == "429" else {})}
        found[status] = answer
    return found


def _failing(*statuses: str) -> _Map:
    return {status: _ref("responses", status) for status in statuses}


def _answer(text: str, schema: str, content_type: str = JSON, **more: Any) -> _Map:
    return {"description": text, "content": {content_type: {"schema": _ref("schemas", schema)}}, **more}


def _reading(summary: str, schema: str, *failures: str) -> _Map:
    return {
        "summary": summary,
        "responses": {"200": _answer(summary, schema), **_failing("401", "403", *failures, "429", "500")},
    }


def _signals() -> _Map:
    location = {"Location": {"schema": {"type": "string"}, "description": "where the signal will be found"}}
    accepted = {
        "description": "Kafka has it durably, or all of the batch.",
        "headers": {**location, **_LIMITED},
        "content": {JSON: {"schema": {"anyOf": [_ref("schemas", "Accepted"), _ref("schemas", "Batch")]}}},
    }
    return {
        "summary": "Send one event or a batch",
        "description": (
            "Structured, batch, or binary: the last has any other content type and the attributes in `ce-` headers. "
            "202 means that Kafka has it durably on all in-sync replicas."
        ),
        "operationId": "sendSignals",
        "parameters": [
            {"name": "traceparent", "in": "header", "schema": _TEXT, "description": "W3C trace context"},
        ],
        "requestBody": {
            "required": True,
            "content": {
                STRUCTURED: {"schema": _ref("schemas", "CloudEvent")},
                BATCH: {"schema": _ref("schemas", "CloudEvents")},
            },
        },
        "responses": {
            "202": accepted,
            "207": _answer("Some of the batch were accepted; `items` says which.", "Batch"),
            **_failing("400", "401", "403", "408", "413", "415", "429", "500", "503"),
        },
    }


def document() -> _Map:
    """Return the whole document."""
    schema = _reading("One schema, as JSON Schema", "Schemas", "404")
    schema["responses"]["200"] = {
        "description": "A JSON Schema",
        "content": {"application/schema+json": {"schema": {"type": "object"}}},
    }
    schema["parameters"] = [{"name": "name", "in": "path", "required": True, "schema": _TEXT}]
    schema["operationId"] = "getSchema"
    metrics = {
        "summary": "Metrics for Prometheus",
        "responses": {
            "200": {"description": "the exposition", "content": {"text/plain": {"schema": _TEXT}}},
            **_failing("401", "403", "429", "500"),
        },
    }
    ready: _Map = {
        "summary": "Whether events can be taken now",
        "responses": {"200": _answer("They can.", "Health"), "503": _answer("They cannot.", "Health")},
    }
    ready["responses"] |= _failing("403", "500")
    alive = {
        "summary": "Whether the process is there",
        "responses": {"200": _answer("It is.", "Health"), **_failing("403", "500")},
    }
    return {
        "openapi": VERSION,
        "info": {
            "title": "Hopline's gateway",
            "version": version("hopline"),
            "description": "CloudEvents into Kafka. Problems are RFC 9457; their kinds besides HTTP's own: "
            + ", ".join(sorted({reason.value for reason in Reason})),
        },
        "servers": [{"url": "/"}],
        "paths": {
            **more.paths(_failing),
            **openapi_watch.paths(_failing),
            SIGNALS: {"post": _signals(), "get": more.search(_failing)},
            "/v1/schemas": {"get": {**_reading("All schemas", "Schemas"), "operationId": "listSchemas"}},
            "/v1/schemas/{name}": {"get": schema},
            "/v1/limits": {"get": {**_reading("Limits in force and their use", "Limits"), "operationId": "getLimits"}},
            "/openapi.json": {
                "get": {
                    "summary": "This document",
                    "operationId": "getOpenapi",
                    "responses": {
                        "200": {"description": "OpenAPI 3.1", "content": {JSON: {"schema": {"type": "object"}}}},
                        **_failing("401", "403", "429", "500"),
                    },
                }
            },
            "/healthz": {"get": {**alive, "operationId": "getHealth"}},
            "/readyz": {"get": {**ready, "operationId": "getReadiness"}},
            "/metrics": {"get": {**metrics, "operationId": "getMetrics"}},
        },
        "components": {
            "schemas": _schemas() | more.schemas() | openapi_watch.schemas(),
            "responses": _problem_responses(),
        },
    }
