"""`hopline bench`: runs `python -m bench` with the same arguments."""

import subprocess
import sys

import click

from streams.cli.errors import CommandError


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def bench(*, arguments: tuple[str, ...]) -> None:
    """Run a benchmark; `hopline bench --help` lists them."""
    command = [sys.executable, "-m", "bench", *arguments]
    try:
        done = subprocess.run(command, check=False)  # noqa: S603  # forever: it takes as long as it takes
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        raise CommandError(f"the benchmarks cannot be started: {error}", "run `make setup`") from error
    sys.exit(done.returncode)
