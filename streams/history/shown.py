"""A row of history as it is shown: names and texts for people, JSON for programs, flat cells for CSV."""

from typing import Any, Final

import msgspec

from processors.vocabulary.timestamps import rfc3339
from streams.history.causality import Graph
from streams.history.rows import AUDITED, DEAD, HANDLED, Row

CSV_COLUMNS: Final = (
    "ref", "at", "status", "tenant", "type", "source", "id", "subject", "correlationid", "causationid", "time", "by",
    "reason", "hop", "topic", "lane", "offset", "entered", "origin", "data",
)  # fmt: skip
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def shown(row: Row) -> dict[str, Any]:
    """Return a row as JSON shows it. What is empty is left out."""
    found: dict[str, Any] = {
        "ref": row.ref,
        "at": rfc3339(row.at_ms),
        "status": row.status,
        "tenant": row.tenant,
        "type": row.type,
        "source": row.source,
        "id": row.id,
        "subject": row.subject,
        "correlationid": row.correlation,
        "causationid": row.cause,
        "time": row.time,
        "by": row.by,
        "reason": row.reason,
        "hop": row.hop,
        "topic": row.topic,
        "lane": row.lane,
        "offset": row.offset,
        "entered": rfc3339(row.entered_ms) if row.entered_ms else "",
        "origin": row.origin,
        "problems": _json(row.problems.encode()) if row.problems else "",
        "stack": row.stack,
        "datacontenttype": row.content_type,
    }
    found = {name: value for name, value in found.items() if value != ""}
    if row.data is not None:
        found["data"] = _json(row.data)
    if row.cut:
        found["data_cut"] = True
    return found


def cells(row: Row) -> list[str]:
    """Return a row as CSV has it. What a spreadsheet would take for a formula gets a quote before it."""
    found = shown(row)
    found["data"] = "" if row.data is None else row.data.decode(errors="replace")
    texts = [str(found.get(name, "")) for name in CSV_COLUMNS]
    return [f"'{text}" if text.startswith(_FORMULA) else text for text in texts]


def end_of(row: Row) -> str:
    """Return in words how a hop ended a record."""
    if row.status == HANDLED:
        return f"made by {row.by}" if row.by else "admitted"
    if row.status == DEAD:
        return f"dead-lettered by {row.hop}: {row.reason}"
    return f"{row.type} {row.reason}" if row.status == AUDITED else row.status


def shown_graph(graph: Graph) -> dict[str, Any]:
    """Return a graph as JSON shows it: what the data was is not repeated."""
    return {
        "signals": [
            {
                "ref": node.ref,
                "depth": node.depth,
                "ends": [{name: v for name, v in shown(row).items() if name != "data"} for row in node.rows],
            }
            for node in graph.nodes
        ],
        "edges": [{"cause": cause, "effect": effect} for cause, effect in graph.edges],
        "missing": list(graph.missing),
        "stopped": list(graph.stopped),
    }


def _json(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return data.decode(errors="replace")
