"""Run one worker process: `python -m streams.worker`, configured by the environment."""

import gc
import logging
import sys
from typing import Final

import faust
import uvloop

from streams.settings import SettingsError

GARBAGE_THRESHOLDS: Final = (50_000, 20, 50)
"""A batch makes tens of thousands of small objects that live until its commit and are in no cycle. With Python's own
thresholds (700, 10, 10) the collector looks at all of them over and over: a tenth of a loaded worker's time."""


def main() -> int:
    """Work until told to stop."""
    uvloop.install()
    try:
        from streams.app import SETTINGS, app  # noqa: PLC0415  after the event loop's policy is set
    except SettingsError as error:
        sys.stderr.write(f"hopline: {error}\n")
        return 2
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    worker = faust.Worker(app, loglevel=SETTINGS.log_level, quiet=True, redirect_stdouts=False)
    # The spinner sets the root logger to DEBUG to turn with each record: 10 % of a loaded worker's time.
    worker.spinner = None
    if SETTINGS.log_level != "DEBUG":
        # It tells of each lane's clients coming and going; the lanes say that themselves.
        logging.getLogger("aiokafka").setLevel(logging.WARNING)
    raise SystemExit(worker.execute_from_commandline())


if __name__ == "__main__":
    sys.exit(main())
