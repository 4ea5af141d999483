"""`hopline gateway`: the HTTP gateway against the cluster, in this process."""

import click

from streams import logs
from streams.cli.access import access, run
from streams.gateway import service


@click.command()
def gateway() -> None:
    """Serve `POST /v1/signals` until told to stop: CloudEvents, structured, binary or in batches."""
    at = access()
    logs.begin(at.settings, "gateway")
    run(service.run(at.settings, at.kafka.bootstrap, announce=lambda url: click.echo(f"the gateway listens on {url}")))
