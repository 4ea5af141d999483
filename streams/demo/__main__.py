"""`python -m streams.demo`: a steady trickle of demo signals until told to stop."""

import argparse
import asyncio
import logging
import signal
import sys
from contextlib import suppress
from typing import Final

import uvloop
from aiokafka.errors import KafkaError

from streams import cluster, logs
from streams.clock import wall_ms
from streams.demo.mix import TRICKLE_BAD_RATIO, stream
from streams.demo.source import Source
from streams.settings import Settings, SettingsError, load

PER_SECOND: Final = 50.0
TENANTS: Final = 20


async def _run(settings: Settings, options: argparse.Namespace) -> None:
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    bootstrap = cluster.bootstrap(settings)
    kafka = settings.cluster(bootstrap)
    # Ids of their own at each start, or all would be duplicates of the last one.
    run = f"{wall_ms():x}"
    samples = stream(options.seed, options.tenants, run=run, bad_ratio=TRICKLE_BAD_RATIO)
    async with Source(kafka, settings.topics, lanes=settings.lanes, gateway_url=options.gateway) as source:
        work = asyncio.create_task(source.trickle(samples, options.rate, most=options.signals))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, work.cancel)
        with suppress(asyncio.CancelledError):
            await work


def main() -> int:
    """Send until told to stop; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m streams.demo", description=__doc__)
    parser.add_argument("--gateway", required=True, help="the gateway's address, such as http://127.0.0.1:8080")
    parser.add_argument("--rate", type=float, default=PER_SECOND, help="signals a second")
    parser.add_argument("--tenants", type=int, default=TENANTS)
    parser.add_argument("--signals", type=int, default=None, help="end after so many")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    try:
        settings = load().settings
        logs.begin(settings, "source")
        uvloop.run(_run(settings, options))
    except (SettingsError, cluster.NoClusterError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except (KafkaError, TimeoutError, OSError) as error:
        sys.stderr.write(f"error: Kafka cannot be reached: {type(error).__name__}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
