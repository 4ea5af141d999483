"""`hopline worker`: worker processes against the cluster, each kept running."""

import asyncio
import os
import signal
from contextlib import suppress
from functools import partial

import click

from streams.admin import ensure_topics
from streams.cli.access import Access, access, run
from streams.cli.children import Keeper, PlainChild, Program


@click.command()
@click.option("--processes", type=click.IntRange(min=1, max=64), default=1, show_default=True, help="How many.")
def worker(*, processes: int) -> None:
    """Run worker processes until told to stop; one that dies is started again.

    Process n works in slot HOPLINE_SLOT + n: its web server takes the port HOPLINE_WEB_PORT + slot, its local state a
    folder of its own.
    """
    at = access()
    run(_work(at, processes))


async def _work(at: Access, processes: int) -> None:
    settings = at.settings
    # Each worker does so, too; here what is wrong is said once, and in words.
    await ensure_topics(
        at.kafka,
        at.topics,
        lanes=settings.lanes,
        replication=settings.replication,
        min_insync_replicas=settings.min_insync_replicas,
    )
    keepers = []
    for number in range(processes):
        slot = settings.slot + number
        program = Program(f"worker-{slot}", ("-m", "streams.worker"), {**os.environ, "HOPLINE_SLOT": str(slot)})
        keepers.append(Keeper(program, partial(PlainChild.start, program), tell=partial(click.echo, err=True)))
    for keeper in keepers:
        keeper.begin()
    working = asyncio.gather(*(keeper.task for keeper in keepers))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, working.cancel)
    try:
        with suppress(asyncio.CancelledError):
            await working
    finally:
        # All at once, so that lanes are not handed to one that is about to end.
        await asyncio.gather(*(keeper.stop() for keeper in keepers))
