"""`python -m streams.watch`: one watch process, configured by the environment."""

import sys
from typing import Final

import uvloop

from streams import cluster, logs
from streams.channels import ChannelsError
from streams.gateway.errors import PortTakenError
from streams.metrics import PROCESS
from streams.settings import SettingsError, load
from streams.watch.aboard import aboard
from streams.watch.service import run

EXIT_FAILED: Final = 1
EXIT_SETTINGS: Final = 2


def main() -> int:
    """Run it; return the exit code."""
    try:
        settings = load().settings
        logs.begin(settings, "watch")
        bootstrap = cluster.bootstrap(settings)
        uvloop.run(run(settings, bootstrap, aboard(settings, bootstrap, PROCESS)))
    except (SettingsError, ChannelsError) as error:
        return _complain(error, EXIT_SETTINGS)
    except (cluster.NoClusterError, PortTakenError) as error:
        return _complain(error, EXIT_FAILED)
    return 0


def _complain(error: Exception, code: int) -> int:
    sys.stderr.write(f"error: {error}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
