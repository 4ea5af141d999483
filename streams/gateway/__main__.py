"""`python -m streams.gateway`: one gateway process, configured by the environment."""

import gc
import logging
import sys
from typing import Final

import uvloop

from streams import cluster, logs
from streams.admin import KafkaAwayError, TopicMismatchError, TopicsMissingError
from streams.gateway.errors import NotLoopbackError, PortTakenError
from streams.gateway.service import run
from streams.settings import SettingsError, load

GARBAGE_THRESHOLDS: Final = (20_000, 20, 50)
"""A request makes some hundreds of objects that go with it. With Python's own thresholds (700, 10, 10) the collector
runs about as often as requests end."""
EXIT_FAILED: Final = 1
EXIT_SETTINGS: Final = 2


def main() -> int:
    """Run it; return the exit code."""
    try:
        settings = load().settings
        logs.begin(settings, "gateway")
        log = logging.getLogger("streams.gateway")
        bootstrap = cluster.bootstrap(settings)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GARBAGE_THRESHOLDS)
        uvloop.run(run(settings, bootstrap, announce=lambda url: log.info("the gateway listens on %s", url)))
    except (SettingsError, NotLoopbackError) as error:
        return _complain(error, EXIT_SETTINGS)
    except (cluster.NoClusterError, PortTakenError, KafkaAwayError, TopicMismatchError, TopicsMissingError) as error:
        return _complain(error, EXIT_FAILED)
    return 0


def _complain(error: Exception, code: int) -> int:
    sys.stderr.write(f"error: {error}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
