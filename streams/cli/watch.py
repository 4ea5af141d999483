"""`hopline watch`: charts and alerts from what all processes tell, in this process."""

import click

from streams import logs
from streams.channels import ChannelsError
from streams.cli.access import access, run
from streams.cli.errors import MISUSED, CommandError
from streams.metrics import PROCESS
from streams.watch import service
from streams.watch.aboard import aboard


@click.command()
def watch() -> None:
    """Keep charts, judge alerts, tell channels and check the ledger until told to stop.

    A second one on another machine stands by and takes over.
    """
    at = access()
    logs.begin(at.settings, "watch")
    bootstrap = at.kafka.bootstrap
    try:
        found = aboard(at.settings, bootstrap, PROCESS)
    except ChannelsError as error:
        raise CommandError(str(error), "mend the file; docs/channels.md has each channel", code=MISUSED) from error
    run(service.run(at.settings, bootstrap, found))
