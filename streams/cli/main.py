"""`hopline`: puts the commands together, and turns expected failures into words."""

import importlib
import os
import sys
from importlib.metadata import version
from typing import Any, Final

import click
from typing_extensions import override

from processors.vocabulary.topics import DEAD_LETTERS

# Name → (module, what it does). A module is imported when its command is asked for: `--help` is to be fast.
_COMMANDS: Final = {
    "up": ("up", "Start Kafka, workers, the gateway and a demo source, with a live table."),
    "demo": ("demo", "Send demo signals through everything, and prove what became of each."),
    "worker": ("worker", "Run worker processes against the cluster."),
    "gateway": ("gateway", "Run the HTTP gateway against the cluster."),
    "watch": ("watch", "Run the watch: charts, alerts, the ledger's check."),
    "kafka": ("kafka", "Run the embedded Kafka alone, or say where the running one is."),
    "send": ("send", "Send one signal."),
    "tail": ("tail", "Show records as they are committed."),
    "top": ("top", "Show the pipeline at a glance: rates, lag, latency, errors, alerts."),
    "topics": ("topics", "Show the topics: lag, open transactions, size."),
    "tenants": ("tenants", "Show tenants, set their status and limits."),
    "signals": ("signals", "Search, show and export signals, and what caused what."),
    "trace": ("trace", "Show a signal's way and time, hop by hop; list the slowest."),
    "history": ("history", "Keep what became of every signal in a database; build it anew."),
    "directives": ("directives", "Change a tenant while the pipeline runs: send, list, show, cancel."),
    "integrations": ("integrations", "Set what a tenant works with; secrets are sealed before they are sent."),
    "secrets": ("secrets", "Keep the keys of tenants' secrets: list, renew, destroy, wrap anew."),
    "state": ("state", "Write a tenant's state down, or begin it anew."),
    "keys": ("keys", "Make API keys, see who uses them, rotate and revoke them."),
    "alerts": ("alerts", "See alerts and their past, and try thresholds on the past."),
    "audit": ("audit", "Show who changed what of a tenant and when; prove that nobody changed that."),
    "limits": ("limits", "Show limits in force and their use; set those of the gateways."),
    "schema": ("schema", "Show what is taken and told, as JSON Schema."),
    "replay": ("replay", "Send again what a topic holds, at a rate, resumable; list, show, stop, resume."),
    DEAD_LETTERS: ("dead_letters", "List and show what was set aside; redrive it."),
    "ledger": ("ledger", "Show what became of every record, and prove it."),
    "telemetry": ("telemetry", "Show what is told about the work; run handlers over it again."),
    "config": ("config", "Show each setting, its value and its source."),
    "bench": ("bench", "Run a benchmark."),
}


class Commands(click.Group):
    """Imports a command's module only when it is wanted."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"streams.cli.{_COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, _COMMANDS[cmd_name][0])
        return command

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])

    @override
    def invoke(self, ctx: click.Context) -> Any:
        # Here and not above: these import nearly everything.
        from streams.cli.access import quiet  # noqa: PLC0415
        from streams.cli.errors import EXPECTED, explained  # noqa: PLC0415

        quiet()
        try:
            return super().invoke(ctx)
        except EXPECTED as error:
            raise explained(error) from error


@click.command(cls=Commands)
@click.version_option(version("hopline"), prog_name="hopline")
def cli() -> None:
    """Hopline: an observability-first signal pipeline on Kafka.

    `hopline up` starts everything on this machine. The other commands find what it started, or use the cluster that
    HOPLINE_KAFKA=host:port names. Exit codes: 0 done, 1 failed, 2 called wrongly.
    """


def main() -> None:
    """Run the command line."""
    try:
        cli.main(prog_name="hopline")
    except BrokenPipeError:
        # Whoever read our output has gone (`hopline tail | head`); there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


if __name__ == "__main__":
    main()
