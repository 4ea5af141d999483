"""Alerts from fault to channel, with a real Kafka, Prometheus and Alertmanager: `python -m tests.alerting --json`."""

import argparse
import asyncio
import json
import logging
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import uvloop

from streams.broker.errors import BrokerError
from tests.alerting import servers
from tests.alerting.run import Run, Wish
from tests.alerting.verdict import Verdict


def main(arguments: list[str] | None = None) -> int:
    """Run, print one JSON object as the last line, and return 0 only if every bound holds."""
    parser = argparse.ArgumentParser(prog="python -m tests.alerting", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two faults only: some four minutes instead of twenty")
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON object")
    parser.add_argument("--keep", action="store_true", help="keep data and logs")
    parser.add_argument("--prometheus-only", action="store_true", help="without the built-in engine")
    options = parser.parse_args(arguments)
    if missing := servers.missing():
        said = f"not installed: {', '.join(missing)}; on Debian: apt-get install prometheus prometheus-alertmanager"
        sys.stdout.write(json.dumps({"skipped": said}) + "\n")
        return 0
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(message)s")
    logging.getLogger("tests.alerting").setLevel(logging.INFO)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    folder = Path(tempfile.mkdtemp(prefix="hopline-alerting-"))
    wish = Wish(folder, quick=options.quick, watch=not options.prometheus_only)
    try:
        verdict = uvloop.run(_run(wish))
    except BrokerError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except asyncio.CancelledError:
        sys.stderr.write("asked to end: all that was started has ended\n")
        return 128 + signal.SIGTERM
    finally:
        if options.keep:
            sys.stderr.write(f"data and logs are kept in {folder}\n")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    _say(verdict, as_json=options.json)
    return 0 if verdict.ok else 1


async def _run(wish: Wish) -> Verdict:
    task = asyncio.current_task()
    if task is not None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await Run(wish).run()


def _say(verdict: Verdict, *, as_json: bool) -> None:
    figures = verdict.figures()
    if not as_json:
        for one in sorted(verdict.told, key=lambda one: -one.alert_seconds):
            cleared = "not cleared" if one.cleared_seconds is None else f"cleared {one.cleared_seconds:.1f} s after"
            sys.stdout.write(
                f"{one.alert:24} {one.engine:11} told {one.alert_seconds:5.1f} s after its condition and `for`, "
                f"{one.fault_seconds:6.1f} s after the fault; {cleared}\n"
            )
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    sys.exit(main())
