"""`hopline top`: the pipeline at a glance, as the watch sees it: rates, lag, latency, what fails, what fires."""

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from processors import HOPS
from streams.cli.access import loaded, run
from streams.cli.errors import CommandError
from streams.cli.live import Screen
from streams.cli.output import json_option, print_json, table
from streams.cli.watch_asking import ask_watch, watch_url
from streams.settings import Settings

SECONDS: Final = 2.0
TENANTS_SHOWN: Final = 5
ALERTS_SHOWN: Final = 10
_HOP_HEAD: Final = ("HOP", "IN/S", "ERRORS/S", "SLOW/S", "LAG", "BUSY", "P50 MS", "P90 MS", "P99 MS", "STATE")
_NOTHING: Final = "–"


@click.command()
@click.option("--once", is_flag=True, help="Print one table and end.")
@click.option(
    "--every", "seconds", type=click.FloatRange(min=0.5, max=60), default=SECONDS, show_default=True, help="Seconds."
)
@json_option
def top(*, once: bool, seconds: float, as_json: bool) -> None:
    """Show each hop's rate, errors, lag and latency, the busiest tenants, and the alerts that fire; Ctrl-C ends it.

    The watch is asked (`hopline up` starts one). With --json one document a round, one line each.
    """
    settings = loaded().settings
    try:
        run(_show(settings, seconds=seconds, once=once, as_json=as_json))
    except KeyboardInterrupt:
        return


async def _show(settings: Settings, *, seconds: float, once: bool, as_json: bool) -> None:
    screen = Screen()
    failed = False
    while True:
        try:
            found = await _ask(settings)
            failed = False
        except CommandError as error:
            # A watch that is begun anew is away for a moment; one that was never there is not waited for.
            if once or failed:
                raise
            failed = True
            screen.tell(f"{error.message}; asking again")
        else:
            if as_json:
                print_json(found)
            elif once:
                click.echo("\n".join(lines(found)))
            elif screen.is_terminal:
                screen.show(["", f"hopline top · {watch_url(settings)} · {_clock(found['at_ms'])}", "", *lines(found)])
            else:
                for line in lines(found):
                    screen.tell(line)
        if once:
            return
        await asyncio.sleep(seconds)


async def _ask(settings: Settings) -> dict[str, Any]:
    overview, seen, raised = await asyncio.gather(
        ask_watch(settings, "/api/metrics"), ask_watch(settings, "/v1/map"), ask_watch(settings, "/v1/alerts")
    )
    return {"at_ms": overview["at_ms"], "metrics": overview, "map": seen, "alerts": raised["alerts"]}


def lines(found: Mapping[str, Any]) -> list[str]:
    """Return the tables as lines."""
    metrics, nodes = found["metrics"], {node["id"]: node for node in found["map"]["nodes"]}
    return [
        *table(_HOP_HEAD, [_hop(hop, metrics, nodes.get(hop, {})) for hop in HOPS]),
        "",
        *_slowest(metrics),
        *_errors(metrics),
        *_processes(nodes),
        "",
        *_tenants(metrics["tenants"]),
        "",
        *_alerts(found["alerts"], found["at_ms"]),
    ]


def _hop(hop: str, metrics: Mapping[str, Any], node: Mapping[str, Any]) -> Sequence[object]:
    agent, latency = metrics["agents"].get(hop, {}), metrics["latency_seconds"].get(hop, {})
    return (
        hop,
        _rate(agent.get("per_second")),
        _rate(agent.get("dead_per_second")),
        _rate(agent.get("slow_per_second")),
        _whole(node.get("figures", {}).get("lag")),
        _percent(agent.get("utilisation")),
        *(_milliseconds(latency.get(name)) for name in ("p50", "p90", "p99")),
        node.get("state", "unknown"),
    )


def _slowest(metrics: Mapping[str, Any]) -> list[str]:
    """Say which hop takes longest, for the slowest one in a hundred."""
    known = {hop: found["p99"] for hop, found in metrics["latency_seconds"].items() if "p99" in found}
    if not known:
        return ["slowest    nothing came lately"]
    hop = max(known, key=lambda name: known[name])
    return [f"slowest    {hop}: one in a hundred takes longer than {_milliseconds(known[hop])} ms"]


def _errors(metrics: Mapping[str, Any]) -> list[str]:
    errors = metrics["errors"]
    reasons = sorted(errors["by_reason"].items(), key=lambda item: -item[1])
    named = ", ".join(f"{reason} {_rate(rate)}/s" for reason, rate in reasons[:TENANTS_SHOWN] if rate > 0)
    return [f"errors     {_percent(errors['ratio'])} of what comes in{': ' + named if named else ''}"]


def _processes(nodes: Mapping[str, Any]) -> list[str]:
    shown = [f"{node['title'].lower()} {node['state']}" for node in nodes.values() if node["kind"] == "process"]
    return [f"processes  {', '.join(shown)}"]


def _tenants(tenants: Mapping[str, Mapping[str, float]]) -> list[str]:
    busiest = sorted(tenants.items(), key=lambda item: -item[1]["per_second"])[:TENANTS_SHOWN]
    rows = [(name, _rate(one["per_second"]), _percent(one["error_ratio"])) for name, one in busiest]
    return table(("TENANT", "SIGNALS/S", "ERRORS"), rows)


def _alerts(alerts: Sequence[Mapping[str, Any]], now_ms: int) -> list[str]:
    firing = [alert for alert in alerts if alert["state"] == "firing" and alert["severity"] != "info"]
    waiting = sum(alert["state"] == "pending" for alert in alerts)
    head = f"alerts     {len(firing)} raised, {waiting} waiting"
    firing.sort(key=lambda alert: (alert["severity"], -alert["since_ms"]))
    rows = [
        f"  {alert['severity']:<8}  {alert['alert']}{_labels(alert['labels'])}  for {_lasting(alert, now_ms)}"
        f"{'  silenced' if alert['silenced'] else ''}  {alert['summary']}"
        for alert in firing[:ALERTS_SHOWN]
    ]
    more = [f"  and {len(firing) - ALERTS_SHOWN} more: `hopline alerts list`"] if len(firing) > ALERTS_SHOWN else []
    return [head, *rows, *more]


def _labels(labels: Mapping[str, str]) -> str:
    shown = ", ".join(f"{name}={value}" for name, value in sorted(labels.items()))
    return f" ({shown})" if shown else ""


def _lasting(alert: Mapping[str, Any], now_ms: int) -> str:
    seconds = max(0, (now_ms - alert["since_ms"]) // 1_000)
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _rate(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:.1f}"


def _whole(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:.0f}"


def _percent(value: float | None) -> str:
    return _NOTHING if value is None or not math.isfinite(value) else f"{100 * value:.1f} %"


def _milliseconds(seconds: float | None) -> str:
    return _NOTHING if seconds is None else f"{1_000 * seconds:.1f}"


def _clock(at_ms: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at_ms / 1_000))
