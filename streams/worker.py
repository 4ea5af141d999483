"""Run one worker process: `python -m streams.worker`, configured by the environment."""

import sys

import faust
import uvloop


def main() -> int:
    """Work until told to stop."""
    uvloop.install()
    from streams.app import SETTINGS, app  # after the event loop's policy is set

    worker = faust.Worker(app, loglevel=SETTINGS.log_level, quiet=True, redirect_stdouts=False)
    worker.execute_from_commandline()
    return 0


if __name__ == "__main__":
    sys.exit(main())
