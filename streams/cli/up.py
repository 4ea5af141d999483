"""`hopline up`: everything on this machine from one command, with a live table, until told to stop."""

import asyncio
import signal
from contextlib import suppress

import click

from streams.cli.access import loaded, run
from streams.cli.errors import CommandError
from streams.cli.live import Screen, show_for_ever
from streams.cli.stack import Stack
from streams.demo.__main__ import PER_SECOND
from streams.settings import Loaded


@click.command()
@click.option("--processes", type=click.IntRange(min=1, max=64), default=1, show_default=True, help="Workers to start.")
@click.option("--no-demo", is_flag=True, help="Start no demo source.")
@click.option(
    "--rate",
    type=click.FloatRange(min=0.1, max=5_000),
    default=PER_SECOND,
    show_default=True,
    help="Demo signals a second.",
)
@click.option("--signals", type=click.IntRange(min=1), default=None, help="Demo signals in all; the rest goes on.")
@click.option(
    "--for", "seconds", type=click.FloatRange(min=0), default=None, metavar="SECONDS", help="End after so long."
)
def up(*, processes: int, no_demo: bool, rate: float, signals: int | None, seconds: float | None) -> None:
    """Start Kafka, workers, the gateway and a demo source; Ctrl-C stops all of it.

    With HOPLINE_KAFKA=host:port that cluster is used instead of an own one. What was kept is found again the next time.
    """
    run(_up(loaded(), processes=processes, rate=None if no_demo else rate, signals=signals, seconds=seconds))


async def _up(found: Loaded, *, processes: int, rate: float | None, signals: int | None, seconds: float | None) -> None:
    screen = Screen()
    ready = asyncio.Event()
    work = asyncio.create_task(_serve(found, screen, ready, processes=processes, rate=rate, signals=signals))
    loop = asyncio.get_running_loop()
    halting: list[bool] = []

    def halt() -> None:
        # Once only: a second Ctrl-C must not interrupt the stopping, which is bounded anyway.
        if not halting:
            halting.append(True)
            work.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, halt)
    if seconds is not None:
        waiting = asyncio.create_task(ready.wait())  # forever: it ends with the loop
        # From when it is up: starting takes longer on one machine than on another.
        waiting.add_done_callback(lambda _: loop.call_later(seconds, halt))
    with suppress(asyncio.CancelledError):
        await work
    screen.tell("Hopline has stopped; its data is kept")


async def _serve(
    found: Loaded, screen: Screen, ready: asyncio.Event, *, processes: int, rate: float | None, signals: int | None
) -> None:
    try:
        async with Stack(found, processes=processes, tell=screen.tell) as stack:
            if rate is not None:
                await stack.start_source(per_second=rate, signals=signals)
            for line in _where(stack, demo=rate is not None):
                screen.tell(line)
            ready.set()
            table = asyncio.create_task(show_for_ever(screen, [stack.gateway_url, *stack.worker_urls]))
            try:
                await _until_one_gives_up(stack, table)
            finally:
                table.cancel()
                await asyncio.wait((table,))
                screen.leave()
                screen.tell("stopping")
    except CommandError:
        screen.leave()
        raise


async def _until_one_gives_up(stack: Stack, table: "asyncio.Task[None]") -> None:
    """Wait for ever, unless a program cannot be kept running; a source that has sent all it should is no such."""
    tasks = {table, *(keeper.task for keeper in stack.keepers)}
    while tasks:
        done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            await task


def _where(stack: Stack, *, demo: bool) -> list[str]:
    """Return where to look."""
    url, settings = stack.gateway_url, stack.settings
    prefix = "" if str(settings.data_dir) == "data" else f"HOPLINE_DATA_DIR={settings.data_dir} "
    return [
        "",
        f"  Kafka    {stack.bootstrap}",
        f"  gateway  {url}/v1/signals  (POST; also /healthz /readyz /metrics)",
        f"  console  {url}/console/",
        *[f"  worker   {worker}/metrics  (also /healthz /readyz /lanes)" for worker in stack.worker_urls],
        f"  history  {stack.history_url}/metrics  (also /healthz /readyz; `hopline signals search`)",
        f"  watch    {stack.watch_url}/metrics  (also /healthz /readyz; `hopline top`, `hopline alerts list`)",
        f"  logs     {stack.logs}",
        "  try      " + ", ".join(f"{prefix}hopline {name}" for name in ("top", "tail", "alerts list", "ledger")),
        ""
        if demo
        else "  there is no demo source; `hopline send --tenant you --type com.example.hello` sends a signal",
        "Ctrl-C stops all of it.",
    ]
