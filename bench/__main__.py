"""Run one benchmark and print one JSON object: `python -m bench lane|latency|… [--json] [--quick]`."""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import uvloop

from bench import directives, gateway, harness, history, lane, latency, recovery, scale, telemetry
from bench.harness import Options, Result, say
from bench.processes import ChildDiedError, PeersMissingError

Bench = Callable[[Options], Awaitable[Result]]
BENCHES: Final[Mapping[str, Bench]] = {
    "lane": lane.run,
    "latency": latency.run,
    "recovery": recovery.run,
    "scale": scale.run,
    "directives": directives.run,
    "history": history.run,
    "gateway": gateway.run,
    "telemetry": telemetry.run,
}


def main() -> int:
    """Run what the command line names; 0 if it ran and every output was right."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("bench", choices=BENCHES)
    parser.add_argument("--json", action="store_true", help="only the result: no progress, no table")
    parser.add_argument("--quick", action="store_true", help="small and once: shows that it works, in 15 s")
    parser.add_argument("--rounds", type=int, default=0, help="default: 5")
    parser.add_argument("--keep", action="store_true", help="keep the run's folder, with the logs of all processes")
    parser.add_argument(
        "--kafka",
        default=os.environ.get("HOPLINE_KAFKA", ""),
        help="an existing cluster (default: HOPLINE_KAFKA, else an embedded one made for the run)",
    )
    asked = parser.parse_args()
    if asked.json:
        harness.silence()
    options = Options(quick=asked.quick, kafka=asked.kafka, keep=asked.keep, rounds=asked.rounds)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            result = runner.run(_run(BENCHES[asked.bench], options))
    except (PeersMissingError, ChildDiedError) as error:
        print(error, file=sys.stderr)
        return 2
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("ended before it was done; what it started has been ended, too", file=sys.stderr)
        return 130
    result = {"bench": asked.bench, "quick": asked.quick, **result}
    say(json.dumps(result, indent=2))
    print(json.dumps(result))
    return 0 if result.get("verified", True) else 1


async def _run(bench: Bench, options: Options) -> Result:
    running = asyncio.current_task()
    if running is not None:
        # Being ended must end what was started, too.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    return await bench(options)


if __name__ == "__main__":
    sys.exit(main())
