"""`python -m streams.history`: one projector process, configured by the environment."""

import logging
import sys
from typing import Final

import uvloop

from streams import cluster, logs
from streams.gateway.errors import PortTakenError
from streams.history.service import run
from streams.history.store import HistoryError
from streams.settings import SettingsError, load

EXIT_FAILED: Final = 1
EXIT_SETTINGS: Final = 2


def main() -> int:
    """Run it; return the exit code."""
    try:
        settings = load().settings
        logs.begin(settings, "history")
        uvloop.run(run(settings, cluster.bootstrap(settings), tell=logging.getLogger("streams.history").info))
    except (SettingsError, HistoryError) as error:
        return _complain(error, EXIT_SETTINGS)
    except (cluster.NoClusterError, PortTakenError) as error:
        return _complain(error, EXIT_FAILED)
    return 0


def _complain(error: Exception, code: int) -> int:
    sys.stderr.write(f"error: {error}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
