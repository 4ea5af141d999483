"""`hopline demo`: signals through everything, and the proof of what became of each."""

import asyncio
import dataclasses
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import click

from streams.audit import audit
from streams.cli.access import loaded, run
from streams.cli.errors import FAILED, CommandError
from streams.cli.output import json_option, print_json
from streams.cli.stack import Stack
from streams.clock import wall_ms
from streams.demo import Expected, Route, Sample, expected, generate
from streams.demo.check import Check, Found, NotAccountedError
from streams.demo.source import NotSentError, Source
from streams.settings import Loaded, Settings

SEED: Final = 1
APPLY_SECONDS_MAX: Final = 60.0
SIGNALS: Final = 10_000
TENANTS: Final = 20
# What a user's own settings may change must not change what is expected.
_FIXED: Final = {
    "HOPLINE_STRICT_TENANTS": "false",
    "HOPLINE_TENANT_RATE_PER_SECOND": "0",
    "HOPLINE_DEDUPE_WINDOW_SECONDS": "86400",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the demo has shown."""

    wanted: Expected
    found: Found
    ledger_balanced: bool
    routes: dict[str, int]
    seconds: float

    @property
    def problems(self) -> list[str]:
        """What is not as it must be."""
        unbalanced = [] if self.ledger_balanced else ["the ledger does not balance: see `hopline ledger --verify`"]
        return self.found.problems(self.wanted) + unbalanced


@click.command()
@click.option(
    "--signals", type=click.IntRange(min=1, max=1_000_000), default=SIGNALS, show_default=True, help="How many."
)
@click.option(
    "--tenants", type=click.IntRange(min=1, max=1_000), default=TENANTS, show_default=True, help="Of how many."
)
@click.option("--processes", type=click.IntRange(min=1, max=64), default=1, show_default=True, help="Workers to start.")
@click.option("--seed", type=int, default=SEED, show_default=True, help="Another one is another mix.")
@click.option(
    "--data-dir", type=click.Path(path_type=Path), default=None, help="Keep the data here; by default it goes."
)
@json_option
def demo(*, signals: int, tenants: int, processes: int, seed: int, data_dir: Path | None, as_json: bool) -> None:
    """Send signals of many tenants, with doubled and bad ones among them, and count what became of each.

    An own reader of committed records decides: exit code 0 only if it finds exactly what the source says must be. With
    HOPLINE_KAFKA=host:port that cluster is used; nobody else may send to it meanwhile.
    """
    say = partial(click.echo, err=as_json)
    with ExitStack() as closing:
        folder = data_dir or Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="hopline-demo-")))
        found = _with_data_dir(loaded(), folder)
        began = time.monotonic()
        outcome = run(_demo(found, generate(seed, signals, tenants, run=_run_name()), processes, say))
        took = time.monotonic() - began
    if as_json:
        print_json(_content(outcome, took))
    else:
        _print(outcome, signals, tenants, took)
    if outcome.problems:
        sys.exit(FAILED)


def _run_name() -> str:
    # Ids of their own at each run, or all would be duplicates of the last one's where the data is kept.
    return f"{wall_ms():x}"


def _with_data_dir(found: Loaded, folder: Path) -> Loaded:
    values = {name: getattr(found.settings, name) for name in Settings.model_fields}
    return dataclasses.replace(found, settings=Settings(**{**values, "data_dir": folder}))


async def _demo(found: Loaded, samples: list[Sample], processes: int, say: Callable[[str], None]) -> Outcome:
    work = asyncio.current_task()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, work.cancel if work else loop.stop)
    try:
        async with Stack(found, processes=processes, tell=say, overrides=_FIXED) as stack:
            return await _prove(stack, samples, say)
    except asyncio.CancelledError:
        raise CommandError("the demo was interrupted", "its processes are stopped; start it again") from None
    except (NotSentError, NotAccountedError) as error:
        raise CommandError(
            str(error), f"see the logs in {found.settings.data_dir / 'logs'}; keep them with --data-dir"
        ) from error


async def _prove(stack: Stack, samples: list[Sample], say: Callable[[str], None]) -> Outcome:
    settings = stack.settings
    check = Check(stack.kafka, settings.topics, settings.lanes)
    mark = await check.mark()
    say(f"sending {len(samples)} signals")
    began = time.monotonic()
    async with Source(stack.kafka, settings.topics, lanes=settings.lanes, gateway_url=stack.gateway_url) as source:
        await source.send(samples)
    say("all are sent; waiting until the lanes have been through all of them")
    ended = await check.wait(APPLY_SECONDS_MAX)
    say("counting what became of them")
    balance = await audit(stack.kafka, settings.topics, settings.lanes, settings.ingest().policy)
    return Outcome(
        wanted=expected(samples, lanes=settings.lanes),
        found=await check.found(mark),
        ledger_balanced=balance.balanced,
        routes={route.value: sum(sample.route is route for sample in samples) for route in Route},
        seconds=ended - began,
    )


def _content(outcome: Outcome, took: float) -> dict[str, Any]:
    return {
        "ok": not outcome.problems,
        "problems": outcome.problems,
        "expected": dataclasses.asdict(outcome.wanted),
        "found": dataclasses.asdict(outcome.found),
        "ledger_balanced": outcome.ledger_balanced,
        "routes": outcome.routes,
        "seconds": round(outcome.seconds, 3),
        "signals_per_second": round(outcome.wanted.sent / outcome.seconds),
        "total_seconds": round(took, 1),
    }


def _print(outcome: Outcome, signals: int, tenants: int, took: float) -> None:
    wanted, found, routes = outcome.wanted, outcome.found, outcome.routes
    reasons = ", ".join(f"{reason} {count}" for reason, count in found.dead.items())
    rate = wanted.sent / outcome.seconds
    click.echo(
        f"""
{signals} signals of {tenants} tenants: {routes["kafka"]} straight to Kafka, {routes["gateway"]} over HTTP
  handled    {found.handled:>7}  in `signals`, {found.different} different ids
  duplicate  {found.duplicates:>7}  counted once
  dead       {sum(found.dead.values()):>7}  in `dead-letters`: {reasons}
  refused    {wanted.refused:>7}  by the gateway, with the reason; in no topic
  moved      {found.moved:>7}  into their tenant's lane first, then one of the above
ledger balanced: {"yes" if outcome.ledger_balanced else "NO"}
from the first signal sent to the last one applied: {outcome.seconds:.1f} s, {rate:.0f} signals/s
with starting and stopping everything: {took:.1f} s"""
    )
    for problem in outcome.problems:
        click.echo(f"WRONG  {problem}")
    click.echo("NOT as it must be" if outcome.problems else "An own reader found each signal where it must be, once.")
