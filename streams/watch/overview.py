"""`GET /api/metrics`: queue depth, latency percentiles, how busy the agents are, error rates, each tenant's share."""

from typing import Any, Final

from processors.step import Outcome
from processors.telemetry import catalogue
from streams.watch.figures import Now
from streams.watch.map import WORKER

SHARES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


def overview(now: Now, *, only: str = "") -> dict[str, Any]:
    """Return all of it; for one tenant's eyes that tenant's figures only."""
    found: dict[str, Any] = {"at_ms": now.at_ms, "tenants": _tenants(now)}
    if only:
        return found
    into = now.rates(catalogue.HOP_INPUT, "hop")
    dead = now.rates(catalogue.DEAD_LETTERS, "hop")
    total = sum(into.values())
    return {
        **found,
        "queues": now.sums(catalogue.LAG_RECORDS, "topic"),
        "queue_seconds": now.worst(catalogue.LAG_SECONDS, "topic"),
        "latency_seconds": _latency(now),
        "agents": _agents(now, into, dead),
        "errors": {
            "ratio": sum(dead.values()) / total if total else 0.0,
            "per_second": sum(dead.values()),
            "by_reason": now.rates(catalogue.DEAD_LETTERS, "reason"),
            "gateway_by_reason": now.rates(catalogue.GATEWAY_REFUSED, "reason"),
        },
    }


def _latency(now: Now) -> dict[str, dict[str, float]]:
    """Return for each hop how long a record takes from its entry into the log to its commit."""
    found: dict[str, dict[str, float]] = {}
    for name, share in SHARES.items():
        for flow, seconds in now.quantiles(share, catalogue.END_TO_END, "flow").items():
            found.setdefault(flow, {})[name] = seconds
    return found


def _agents(now: Now, into: dict[str, float], dead: dict[str, float]) -> dict[str, dict[str, float]]:
    """Return for each hop which share of its workers' time it steps, and what it does."""
    workers = now.one(f'count (up{{job="{WORKER}"}} == 1)') or 0.0
    busy = now.busy(catalogue.HOP_DURATION, "hop")
    slow = now.rates(catalogue.SLOW, "hop")
    return {
        hop: {
            "utilisation": busy.get(hop, 0.0) / workers if workers else 0.0,
            "per_second": into.get(hop, 0.0),
            "dead_per_second": dead.get(hop, 0.0),
            "slow_per_second": slow.get(hop, 0.0),
        }
        for hop in sorted({*into, *busy})
    }


def _tenants(now: Now) -> dict[str, dict[str, float]]:
    """Return each tenant's rates by outcome; those without a label of their own are added up under one name."""
    found: dict[str, dict[str, float]] = {}
    for labels, rate in now.ask(f"sum by (tenant, outcome) (rate({catalogue.SIGNALS.name}[{now.window_seconds}s]))"):
        one = found.setdefault(labels.get("tenant", ""), {"per_second": 0.0, "error_ratio": 0.0})
        one["per_second"] += rate
        one[f"{labels.get('outcome', '')}_per_second"] = rate
    for one in found.values():
        failed = sum(one.get(f"{outcome}_per_second", 0.0) for outcome in (Outcome.DEAD, Outcome.REJECTED))
        one["error_ratio"] = failed / one["per_second"] if one["per_second"] else 0.0
    return found
