"""What the gateway passes on to the watch, for its OpenAPI document: charts, the map, alerts."""

from collections.abc import Callable
from typing import Any, Final

JSON: Final = "application/json"
_Map = dict[str, Any]
_Failing = Callable[..., _Map]
_TEXT: Final[_Map] = {"type": "string"}
_NUMBER: Final[_Map] = {"type": "number"}
_MAYBE: Final[_Map] = {"type": ["number", "null"]}
_MOMENT: Final[_Map] = {"type": "integer", "minimum": 0, "description": "milliseconds of the epoch"}
_OBJECTS: Final[_Map] = {"type": "array", "items": {"type": "object"}}
_LABELS: Final[_Map] = {"type": "object", "additionalProperties": _TEXT}
_NUMBERS: Final[_Map] = {"type": "object", "additionalProperties": _NUMBER}


def _query(name: str, text: str, schema: _Map = _TEXT, *, required: bool = False) -> _Map:
    return {"name": name, "in": "query", "schema": schema, "description": text, "required": required}


_TENANT: Final = _query("tenant", "whose; a key of a tenant may leave it out, and sees nothing else")


def _object(*required: str, **properties: _Map) -> _Map:
    return {"type": "object", "required": list(required), "properties": properties}


def _list(item: _Map) -> _Map:
    return {"type": "array", "items": item}


def schemas() -> _Map:
    """Return the schemas that the operations here refer to."""
    alert = _object(
        "id", "alert", "severity", "state", "labels", "value", "threshold", "since_ms", "summary", "description",
        "runbook", "silenced",
        id=_TEXT, alert=_TEXT, severity={"enum": ["critical", "warning", "info"]}, state=_TEXT, labels=_LABELS,
        value=_MAYBE, threshold=_MAYBE, since_ms=_MOMENT, summary=_TEXT, description=_TEXT, runbook=_TEXT,
        silenced={"type": "boolean"},
    )  # fmt: skip
    change = _object("at_ms", "id", "alert", "severity", "from", "to", "labels", "value", "threshold", at_ms=_MOMENT)
    node = _object("id", "title", "kind", "state", "figures", figures=_NUMBERS)
    edge = _object("from", "to", "per_second", per_second=_MAYBE)
    series = _object("legend", "labels", "points", legend=_TEXT, labels=_LABELS, points=_list({"type": "array"}))
    return {
        "Charts": _object("charts", charts=_list(_object("id", "title", "unit", "shape", "group", "queries"))),
        "Chart": _object(
            "id", "title", "unit", "shape", "from_ms", "to_ms", "step_ms", "series",
            from_ms=_MOMENT, to_ms=_MOMENT, step_ms={"type": "integer", "minimum": 1}, series=_list(series),
        ),
        "Map": _object("at_ms", "nodes", "edges", at_ms=_MOMENT, nodes=_list(node), edges=_list(edge)),
        "Alerts": _object("at_ms", "alerts", at_ms=_MOMENT, alerts=_list(alert)),
        "AlertChanges": _object("changes", changes=_list(change)),
        "AlertRules": _object("rules", rules=_OBJECTS),
        "Overview": _object("at_ms", "tenants", at_ms=_MOMENT, tenants={"type": "object"}),
        "PrometheusAnswer": _object("status", status={"enum": ["success", "error"]}),
    }  # fmt: skip


def paths(failing: _Failing) -> _Map:
    """Return the paths with their operations."""
    reading = failing("400", "401", "403", "429", "500", "503")
    one = failing("400", "401", "403", "404", "429", "500", "503")

    def read(summary: str, id_: str, schema: str, failures: _Map, *parameters: _Map) -> _Map:
        ok = {"description": "as asked", "content": {JSON: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}}
        return {
            "get": {
                "summary": summary,
                "operationId": id_,
                "parameters": [*parameters, _TENANT],
                "responses": {"200": ok, **failures},
            }
        }

    id_ = {"name": "id", "in": "path", "required": True, "schema": _TEXT, "description": "of one that is listed"}
    minutes = _query("minutes", "how far back", {"type": "integer", "minimum": 1, "maximum": 1_440})
    limit = _query("limit", "how many", {"type": "integer", "minimum": 1, "maximum": 1_000})
    since = _query("since_ms", "not before this time", _MOMENT)
    # What is wrong with PromQL is told in Prometheus' form, by which Grafana knows it.
    wrong = {
        "description": "Not a question that can be answered.",
        "content": {
            JSON: {"schema": {"$ref": "#/components/schemas/PrometheusAnswer"}},
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}},
        },
    }
    promql = {**reading, "400": wrong}
    text = _query("query", "PromQL", required=True)
    moments = [_query(name, "seconds of the epoch, or RFC 3339", required=True) for name in ("start", "end")]
    step = _query("step", "seconds, or such as 15s", required=True)
    events = {"description": "server-sent events", "content": {"text/event-stream": {"schema": _TEXT}}}
    listen = read("Alerts' changes as they happen", "listenToAlerts", "AlertChanges", reading)
    listen["get"]["responses"]["200"] = events
    return {
        "/v1/charts": read("The charts that there are", "listCharts", "Charts", reading),
        "/v1/charts/{id}": read("One chart with its figures", "getChart", "Chart", one, id_, minutes),
        "/v1/map": read("The pipeline with its figures now", "getMap", "Map", reading),
        "/v1/alerts": read("Alerts that wait or are raised", "listAlerts", "Alerts", reading),
        "/v1/alerts/history": read(
            "Changes of alerts, the newest first", "listAlertChanges", "AlertChanges", reading, limit, since
        ),
        "/v1/alerts/rules": read("The rules and their thresholds", "listAlertRules", "AlertRules", reading),
        "/v1/alerts/events": listen,
        "/api/metrics": read(
            "Queues, latency, utilisation, errors, and each tenant's figures", "getOverview", "Overview", reading
        ),
        "/api/v1/query": read(
            "As Prometheus' own; for keys that speak for all tenants", "query", "PrometheusAnswer", promql, text,
            _query("time", "seconds of the epoch, or RFC 3339"),
        ),
        "/api/v1/query_range": read(
            "As Prometheus' own; for keys that speak for all tenants", "queryRange", "PrometheusAnswer", promql,
            text, *moments, step,
        ),
    }  # fmt: skip
