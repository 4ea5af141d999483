"""`hopline kafka`: the embedded Kafka alone, and where the running one is."""

import os
import shlex
import signal
import threading
from contextlib import suppress

import click

from streams import cluster, secret
from streams.broker.config import BrokerSettings
from streams.broker.embedded import EmbeddedKafka
from streams.cli.access import loaded
from streams.cli.errors import CommandError
from streams.cli.output import json_option, print_json, print_table
from streams.cluster import NoClusterError, RunningCluster
from streams.settings import Settings

LOOK_SECONDS = 1.0


@click.group()
def kafka() -> None:
    """Run the embedded Kafka alone, or say where the running one is."""


@kafka.command()
def start() -> None:
    """Run the embedded Kafka in the foreground; the other commands find it. Ctrl-C stops it."""
    settings = loaded().settings
    if settings.kafka:
        raise CommandError(f"HOPLINE_KAFKA names {settings.kafka}", "unset it to run an own Kafka")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    wanted = BrokerSettings(
        settings.data_dir / "kafka",
        port=settings.kafka_port,
        heap_megabytes=settings.kafka_heap_megabytes,
        fsync=settings.kafka_fsync,
    )
    with EmbeddedKafka(wanted) as broker:
        word = RunningCluster(bootstrap=broker.bootstrap, supervisor_pid=os.getpid(), broker_pid=broker.pid)
        cluster.write(settings, word)
        click.echo(f"Kafka is at {broker.bootstrap}; Ctrl-C stops it")
        try:
            while not stop.wait(LOOK_SECONDS):
                if broker.pid is None:
                    raise CommandError("Kafka has ended", f"its log {broker.log_path} says why")
        finally:
            cluster.clear(settings)


@kafka.command()
def stop() -> None:
    """End what `hopline kafka start` or `hopline up` runs with this data directory."""
    running = _running(loaded().settings)
    with suppress(ProcessLookupError):
        os.kill(running.supervisor_pid, signal.SIGTERM)
    click.echo(f"asked process {running.supervisor_pid} to stop")


@kafka.command()
@json_option
def status(*, as_json: bool) -> None:
    """Say what runs with this data directory."""
    running = _running(loaded().settings)
    content = {
        "bootstrap": running.bootstrap,
        "supervisor_pid": running.supervisor_pid,
        "broker_pid": running.broker_pid,
        "gateway": running.gateway_url,
        "workers": list(running.worker_urls),
        "pids": dict(running.pids),
    }
    if as_json:
        print_json(content)
        return
    rows = {**content, "workers": " ".join(running.worker_urls), "pids": ""}
    rows |= {f"pid of {name}": pid for name, pid in running.pids.items()}
    print_table(("WHAT", "VALUE"), [(name, value) for name, value in rows.items() if value])


@kafka.command("shell-env")
def shell_env() -> None:
    """Print what a shell needs to find it: eval "$(hopline kafka shell-env)"."""
    settings = loaded().settings
    found = {"HOPLINE_KAFKA": cluster.bootstrap(settings), **secret.environment(settings)}
    for name, value in found.items():
        click.echo(f"export {name}={shlex.quote(value)}")


def _running(settings: Settings) -> RunningCluster:
    found = cluster.read(settings)
    if found is None:
        raise NoClusterError
    return found
