"""Run one worker process: `python -m streams.worker`, configured by the environment."""

import gc
import logging
import sys
from typing import Final

import faust
import uvloop

from streams import logs
from streams.settings import SettingsError, load

GARBAGE_THRESHOLDS: Final = (50_000, 20, 50)
"""A batch makes tens of thousands of small objects that live until its commit and are in no cycle. With Python's own
thresholds (700, 10, 10) the collector looks at all of them over and over: a tenth of a loaded worker's time."""


def main() -> int:
    """Work until told to stop."""
    uvloop.install()
    try:
        settings = load().settings
        # Before the app is made, which may have something to say.
        logs.begin(settings, "worker")
        from streams.app import app  # noqa: PLC0415  after the event loop's policy is set
    except SettingsError as error:
        sys.stderr.write(f"hopline: {error}\n")
        return 2
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    # Faust would put a handler of its own in the place of ours.
    worker = faust.Worker(app, loglevel=settings.log_level, quiet=True, redirect_stdouts=False, override_logging=False)
    # The spinner sets the root logger to DEBUG to turn with each record: 10 % of a loaded worker's time.
    worker.spinner = None
    if settings.log_level != "DEBUG":
        # It tells of each lane's clients coming and going; the lanes say that themselves.
        logging.getLogger("aiokafka").setLevel(logging.WARNING)
    raise SystemExit(worker.execute_from_commandline())


if __name__ == "__main__":
    sys.exit(main())
