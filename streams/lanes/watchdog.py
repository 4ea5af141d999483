"""Kill a worker whose event loop stands still: a hop that spins would hold all its lanes for ever."""

import asyncio
import faulthandler
import logging
import os
import signal
import sys
import threading
import time
from typing import Final

log = logging.getLogger(__name__)

BEAT_SECONDS: Final = 0.5
LOOK_SECONDS: Final = 1.0
STOPPED_SECONDS: Final = 3.0
"""If the watchdog itself comes so late, the whole process was stopped, not its loop."""


class Watchdog:
    """A thread that looks at the loop's heartbeat. `loop_lag_seconds` is what the loop itself sees."""

    def __init__(self, stuck_seconds_max: float) -> None:
        self.loop_lag_seconds = 0.0
        self._stuck_seconds_max = stuck_seconds_max
        self._beat = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    async def run(self) -> None:
        """Beat until cancelled."""
        self._thread.start()
        try:
            while True:
                self._beat = time.monotonic()
                await asyncio.sleep(BEAT_SECONDS)
                self.loop_lag_seconds = max(0.0, time.monotonic() - self._beat - BEAT_SECONDS)
        finally:
            self._ended.set()

    def _watch(self) -> None:
        looked = time.monotonic()
        while not self._ended.wait(LOOK_SECONDS):
            now = time.monotonic()
            if now - looked > STOPPED_SECONDS:
                self._beat = now
            looked = now
            if now - self._beat > self._stuck_seconds_max:
                log.critical(
                    "the event loop stands still for %.0f s: a hop spins. Ending this worker; its next "
                    "owner sets the culprit aside",
                    now - self._beat,
                )
                faulthandler.dump_traceback(file=sys.stderr)
                # Not sys.exit: whatever spins would never see it.
                os.kill(os.getpid(), signal.SIGKILL)
