"""What the API answers, canned by its contract: a pipeline at work, some alerts, their rules and history."""

import math
from typing import Any, Final

MINUTE_MS: Final = 60_000
RUNBOOK: Final = "docs/runbooks/lag.md"
RUNBOOK_URL: Final = "https://runbooks.example/dead-letters"
STEPS: Final = 90
Json = dict[str, Any]

_NODES: Final = (
    # id, title, kind, state, per second, lag, p99 seconds, dead per second
    ("gateway", "gateway", "process", "ok", 1_204.0, None, 0.0123, None),
    ("signals.in", "signals.in", "topic", "ok", 1_204.0, 37, None, None),
    ("commands", "commands", "topic", "ok", 1.4, 0, None, None),
    ("ingest", "ingest", "hop", "warning", 1_201.0, 37, 0.0456, 6.2),
    ("directives", "directives", "hop", "ok", 1.4, 0, 0.0098, 0.0),
    ("signals", "signals", "topic", "ok", 1_188.0, 0, None, None),
    ("dead-letters", "dead-letters", "topic", "critical", 6.2, 311, None, None),
    ("audit", "audit", "topic", "ok", 1.4, 0, None, None),
    ("history", "history", "process", "ok", 1_195.0, 12, None, None),
    ("watch", "watch", "process", "unknown", None, None, None, None),
)
_EDGES: Final = (
    ("gateway", "signals.in", 1_204.0),
    ("gateway", "commands", 1.4),
    ("signals.in", "ingest", 1_204.0),
    ("commands", "directives", 1.4),
    ("ingest", "signals", 1_188.0),
    ("ingest", "dead-letters", 6.2),
    ("directives", "audit", 1.4),
    ("directives", "signals", 1.4),
    ("signals", "history", 1_188.0),
    ("dead-letters", "history", 6.2),
    ("audit", "history", 1.4),
)
_CHARTS: Final = (
    # group, title, description, unit, shape, legends
    ("overview", "Signals in and out", "What came in and went out, per second.", "reqps", "timeseries", "in out"),
    ("overview", "End to end", "From a record's entry into the log to its commit.", "s", "timeseries", "p50 p90 p99"),
    ("ingest", "Signals by outcome", "Records that the door ended, per second.", "reqps", "timeseries",
     "handled duplicate dead_lettered deferred"),
    ("ingest", "Lag", "Records that wait, by topic.", "short", "timeseries", "signals.in commands"),
    ("directives", "Directives by outcome", "What was asked for.", "reqps", "timeseries", "succeeded rejected"),
    ("overview", "Error budget left", "Of the month's.", "percentunit", "stat", "budget"),
    ("overview", "Memory", "Of each process.", "bytes", "bargauge", "worker-1 worker-2 gateway history"),
)  # fmt: skip


def slug(group: str, title: str) -> str:
    """Return a chart's id."""
    return f"{group}-{title}".lower().replace(" ", "-")


def pipeline(now_ms: int) -> Json:
    """Return `/v1/map`."""
    nodes = [
        {
            "id": id_,
            "title": title,
            "kind": kind,
            "state": state,
            "figures": {"per_second": rate, "lag": lag, "p99_seconds": p99, "dead_per_second": dead},
        }
        for id_, title, kind, state, rate, lag, p99, dead in _NODES
    ]
    edges = [{"from": source, "to": target, "per_second": rate} for source, target, rate in _EDGES]
    return {"at_ms": now_ms, "nodes": nodes, "edges": edges}


def charts() -> Json:
    """Return `/v1/charts`."""
    found = [
        {
            "id": slug(group, title),
            "title": title,
            "description": description,
            "unit": unit,
            "shape": shape,
            "group": group,
            "queries": [{"expr": f'rate(some_total{{hop="{group}"}}[1m])', "legend": "{{outcome}}"}],
        }
        for group, title, description, unit, shape, _ in _CHARTS
    ]
    return {"charts": found}


def chart(id_: str, minutes: int, now_ms: int) -> Json | None:
    """Return `/v1/charts/{id}`: waves, and a gap in the second series."""
    found = [row for row in _CHARTS if slug(*row[:2]) == id_]
    if not found:
        return None
    _, title, _, unit, shape, legends = found[0]
    step_ms = max(1_000, minutes * MINUTE_MS // STEPS)
    to_ms = now_ms // step_ms * step_ms
    from_ms = to_ms - STEPS * step_ms
    series = []
    for place, legend in enumerate(legends.split()):
        size = {"percentunit": 0.9, "bytes": 3e8}.get(unit, 1_200.0) / (place**1.7 * 6 + 1)
        size = 0.006 * (1 + 2.4 * place) if unit == "s" else size
        points: list[list[float | None]] = []
        for index in range(STEPS + 1):
            value = size * (1 + 0.16 * math.sin(index / 8 + place) + 0.06 * math.sin(index * 1.7 + place * 3))
            gap = place == 1 and 40 <= index < 48
            points.append([from_ms + index * step_ms, None if gap else value])
        series.append({"legend": legend, "labels": {"outcome": legend}, "points": points})
    head = {"id": id_, "title": title, "unit": unit, "shape": shape}
    return {**head, "from_ms": from_ms, "to_ms": to_ms, "step_ms": step_ms, "series": series}


def alert(now_ms: int, **changed: Any) -> Json:
    """Return one alert."""
    return {
        "id": "a1",
        "alert": "DeadLetters",
        "severity": "critical",
        "state": "firing",
        "labels": {"topic": "dead-letters", "tenant": "acme"},
        "value": 0.034,
        "threshold": 0.01,
        "since_ms": now_ms - 7 * MINUTE_MS,
        "summary": "Too many signals are set aside.",
        "description": "3.4 % of acme's signals were set aside in the last five minutes.",
        "runbook": RUNBOOK_URL,
        "silenced": False,
    } | changed


def alerts(now_ms: int) -> Json:
    """Return `/v1/alerts`: one critical, one warning, one pending, one silenced."""
    found = [
        alert(now_ms),
        alert(
            now_ms,
            id="a2",
            alert="HopSlow",
            severity="warning",
            labels={"hop": "ingest"},
            value=0.61,
            threshold=0.5,
            since_ms=now_ms - 2 * MINUTE_MS,
            summary="A hop is slow.",
            description="The slowest batches in twenty take 610 ms in ingest.",
            runbook=RUNBOOK,
        ),
        alert(
            now_ms,
            id="a3",
            alert="LagHigh",
            severity="warning",
            state="pending",
            labels={"topic": "signals.in"},
            value=34.0,
            threshold=30.0,
            since_ms=now_ms - 20_000,
            summary="Records wait for long.",
            description="The oldest of signals.in waits for 34 s.",
            runbook="lag.md",
        ),
        alert(
            now_ms,
            id="a4",
            alert="WorkerDown",
            severity="warning",
            labels={"instance": "worker-3"},
            value=None,
            threshold=None,
            since_ms=now_ms - 90 * MINUTE_MS,
            summary="A worker is gone.",
            description="worker-3 has told nothing for a minute.",
            runbook="docs/runbooks/workers.md",
            silenced=True,
        ),
    ]
    return {"at_ms": now_ms, "alerts": found}


def history(now_ms: int) -> Json:
    """Return `/v1/alerts/history`."""
    rows = (
        (7, "a1", "DeadLetters", "critical", "pending", "firing", {"tenant": "acme"}, 0.034, 0.01),
        (8, "a1", "DeadLetters", "critical", "", "pending", {"tenant": "acme"}, 0.021, 0.01),
        (44, "a9", "QueueGrowing", "warning", "firing", "cleared", {"topic": "signals.in"}, 12.0, 100.0),
        (51, "a9", "QueueGrowing", "warning", "pending", "firing", {"topic": "signals.in"}, 412.0, 100.0),
        (1_600, "a4", "WorkerDown", "critical", "pending", "firing", {"instance": "worker-3"}, None, None),
    )
    names = ("id", "alert", "severity", "from", "to", "labels", "value", "threshold")
    return {
        "changes": [{"at_ms": now_ms - ago * MINUTE_MS, **dict(zip(names, row, strict=True))} for ago, *row in rows]
    }


def rules() -> Json:
    """Return `/v1/alerts/rules`."""
    own = [("acme", 120.0), ("globex", 60.0)]
    rows: tuple[tuple[Any, ...], ...] = (
        ("DeadLetters", "critical", "dead / all", ">", "percentunit", 0.01, 0.01, [], 0, RUNBOOK_URL),
        ("LagHigh", "warning", "max by (topic) (lag)", ">", "s", 30.0, 45.0, own, 120, RUNBOOK),
        ("HopSlow", "warning", "quantile by (hop) (duration)", ">", "s", 0.5, 0.5, [], 300, RUNBOOK),
        ("WorkerDown", "critical", "up == 0", ">", "short", None, None, [], 60, "workers.md"),
    )  # fmt: skip
    names = (
        "alert",
        "severity",
        "signal",
        "compare",
        "unit",
        "default",
        "effective",
        "overrides",
        "for_seconds",
        "runbook",
    )
    found = [dict(zip(names, row, strict=True)) for row in rows]
    for rule in found:
        rule["overrides"] = [{"tenant": tenant, "value": value} for tenant, value in rule["overrides"]]
    return {"rules": found}


def metrics(now_ms: int) -> Json:
    """Return `/api/metrics`."""
    tenants = ("acme", "globex", "initech", "umbrella", "hooli")
    return {
        "at_ms": now_ms,
        "queues": {"signals.in": 37, "commands": 0, "signals": 0, "dead-letters": 311},
        "latency_seconds": {
            "ingest": {"p50": 0.0061, "p90": 0.0212, "p99": 0.0456},
            "directives": {"p50": 0.0042, "p90": 0.007, "p99": 0.0098},
        },
        "agents": {"ingest": {"utilisation": 0.42}, "directives": {"utilisation": 0.03}},
        "errors": {"ratio": 0.0051, "by_reason": {"invalid_json": 3.1, "unknown_tenant": 1.9, "too_large": 0.4}},
        "tenants": {
            name: {
                "per_second": 512.0 / (place + 1),
                "error_ratio": 0.034 if name == "acme" else 0.0,
                "lag": 37 - 7 * place,
            }
            for place, name in enumerate(tenants)
        },
    }
